"""One of RLlib's algorithms as what trains a policy."""

from contextlib import ExitStack
from typing import Any

from mosim.agents.learner import PolicyLearner, TrainingSetup, Update
from mosim.agents.policy import Policy
from mosim.agents.rllib.algorithm import algorithm_state, make_algorithm, set_algorithm_state, set_rates
from mosim.agents.rllib.env_runner import DIVERGENCES
from mosim.agents.rllib.export import export_policy
from mosim.agents.rllib.recipe import RLlibRecipe
from mosim.envs import Divergence
from mosim.jobs.ray_cluster import started


class RLlibLearner(PolicyLearner):
    """Trains a policy by RLlib, in a Ray that it starts where none runs yet.

    With `num_env_runners=0` on the CPU, a training that goes on from a state gives the same policy as one that was
    never stopped; env runners of their own begin new episodes.

    Attributes:
      algorithm: RLlib's.
    """

    def __init__(self, recipe: RLlibRecipe, setup: TrainingSetup) -> None:
        self._recipe, self._task = recipe, setup.task
        with ExitStack() as stack:
            stack.enter_context(started(num_cpus=recipe.processes))
            self.algorithm = make_algorithm(
                recipe,
                setup.task.source,
                setup.dynamics_source,
                data=setup.starts,
                device=setup.device,
                gpus_per_runner=setup.gpus_per_runner,
            )
            stack.callback(self.algorithm.stop)
            self._running = stack.pop_all()

    def update(self, share: float) -> Update:
        """See `PolicyLearner`: one iteration of RLlib."""
        set_rates(self.algorithm, self._recipe.rates(share))
        sampled: dict[str, Any] = self.algorithm.train()["env_runners"]
        told = sampled.get(DIVERGENCES, [])
        mean = sampled.get("episode_return_mean")
        return Update(
            control_steps=int(sampled.get("num_env_steps_sampled", 0)) * self._recipe.action_repeat,
            episodes=int(sampled.get("num_episodes", 0)),
            # RLlib takes a series of a single item out of its list.
            divergences=[told] if isinstance(told, Divergence) else told,
            return_mean=float(mean) if mean is not None and mean == mean else None,
        )

    def policy(self) -> Policy:
        """See `PolicyLearner`."""
        return export_policy(self.algorithm, self._recipe, self._task)

    def state(self) -> dict[str, Any]:
        """See `PolicyLearner`."""
        return algorithm_state(self.algorithm)

    def set_state(self, state: dict[str, Any]) -> None:
        """See `PolicyLearner`."""
        set_algorithm_state(self.algorithm, state)

    def stop(self) -> None:
        """See `PolicyLearner`."""
        self._running.close()
