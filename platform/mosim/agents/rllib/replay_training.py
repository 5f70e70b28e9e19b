"""SAC and TQC over a replay buffer of plain arrays."""

from typing import Any

import numpy as np
import torch
from ray.rllib.algorithms.sac import SAC, SACConfig
from ray.rllib.algorithms.tqc import TQC, TQCConfig
from ray.rllib.core.columns import Columns
from ray.rllib.utils.metrics import ENV_RUNNER_RESULTS

from mosim.agents.rllib.env_runner import BatchedEnvRunner
from mosim.agents.rllib.observation_filter import observation_filter
from mosim.agents.rllib.recipe import RLlibRecipe
from mosim.agents.rllib.replay_buffer import ReplayBuffer, Transitions

_REPLAY = "mosim_replay"
"""Key of an algorithm's state."""


class _Replay(SAC):
    """RLlib's algorithm, but for what it does with what was sampled.

    Observations are kept as the envs gave them and filtered when they are drawn, by what the filter knows by then, just
    as those are that the actor sees: filtered ones would be each of its own time, and one state two inputs.
    """

    def setup(self, config: Any) -> None:
        """Sets it up."""
        super().setup(config)
        settings: Any = self.config
        self._recipe = settings.recipe
        self._replay: ReplayBuffer | None = None

    def training_step(self) -> None:
        """Samples from every env and, after `learning_starts`, takes gradient steps, `rollouts_per_iteration` times.

        What RLlib does besides for an iteration takes as long as several gradient steps.
        """
        group: Any = self.env_runner_group
        alone = not group.num_remote_env_runners()
        for _ in range(self._recipe.rollouts_per_iteration):
            self._round(group, alone)
        results = group.foreach_env_runner(lambda runner: runner.get_metrics(), local_env_runner=alone)
        self.metrics.aggregate(results, key=ENV_RUNNER_RESULTS)

    def _round(self, group: Any, alone: bool) -> None:
        recipe = self._recipe
        transitions = self._sampled(random_actions=self._taken < recipe.learning_starts)
        replay = self._buffer(transitions)
        replay.add(transitions)
        if self._taken < recipe.learning_starts:
            return
        drawn = replay.sample(recipe.gradient_steps * recipe.batch_size, recipe.n_step, recipe.gamma)
        learners: Any = self.learner_group
        columns = self._columns(drawn)
        learners.foreach_learner(lambda learner: learner.learn(columns, recipe.batch_size))
        if alone:
            runner: Any = self.env_runner
            learners.foreach_learner(lambda learner: learner.copy_to(runner.module))
        else:
            group.sync_weights(from_worker_or_learner_group=learners, inference_only=True)

    def get_state(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """RLlib's, and what is kept for replay."""
        state = super().get_state(*args, **kwargs)
        return state | {_REPLAY: None if self._replay is None else self._replay.get_state()}

    def set_state(self, state: dict[str, Any]) -> None:
        """Goes on from what `get_state` gave."""
        super().set_state({key: value for key, value in state.items() if key != _REPLAY})
        if kept := state.get(_REPLAY):
            observation, action = kept["observation"], kept["action"]
            sizes = observation.shape[1], observation.shape[2], action.shape[2]
            self._replay = ReplayBuffer(self._recipe.buffer_size, *sizes)
            self._replay.set_state(kept)

    @property
    def _taken(self) -> int:
        """Control steps sampled so far."""
        recipe = self._recipe
        return 0 if self._replay is None else self._replay.added * recipe.num_envs * recipe.action_repeat

    def _buffer(self, like: Transitions) -> ReplayBuffer:
        if self._replay is None:
            sizes = like["observation"].shape[1:] + like["action"].shape[2:]
            self._replay = ReplayBuffer(self._recipe.buffer_size, *sizes)
        return self._replay

    def _sampled(self, random_actions: bool) -> Transitions:
        """A fragment of all runners' envs, side by side."""
        group: Any = self.env_runner_group
        fragment = self._recipe.rollout_fragment_length

        def sample(runner: BatchedEnvRunner) -> Transitions:
            return runner.sample_transitions(fragment, random_actions)

        alone = not group.num_remote_env_runners()
        each = group.foreach_env_runner(sample, local_env_runner=alone)
        if not alone:
            group.sync_env_runner_states(
                config=self.config,
                env_to_module=self.env_to_module_connector,
                module_to_env=self.module_to_env_connector,
            )
        return {name: np.concatenate([part[name] for part in each], axis=1) for name in each[0]}

    def _columns(self, drawn: Transitions) -> dict[str, torch.Tensor]:
        """What the learner takes."""
        filter_ = observation_filter(self)
        columns = {
            Columns.OBS: filter_.filter_batch(drawn["observation"], update=False),
            Columns.NEXT_OBS: filter_.filter_batch(drawn["next_observation"], update=False),
            Columns.ACTIONS: drawn["action"],
            Columns.REWARDS: drawn["reward"],
            Columns.TERMINATEDS: drawn["terminated"],
            "n_step": drawn["n_step"],
            "weights": np.ones_like(drawn["reward"]),
        }
        return {name: torch.from_numpy(values) for name, values in columns.items()}


class ReplaySAC(_Replay):
    """See `_Replay`."""


class ReplayTQC(_Replay, TQC):
    """See `_Replay`."""


class ReplaySACConfig(SACConfig):
    """RLlib's config of SAC, and the recipe that it was made of."""

    def __init__(self, recipe: RLlibRecipe | None = None, algo_class: Any = None) -> None:
        super().__init__(algo_class or ReplaySAC)
        self.recipe = recipe


class ReplayTQCConfig(TQCConfig):
    """RLlib's config of TQC, and the recipe that it was made of."""

    def __init__(self, recipe: RLlibRecipe | None = None, algo_class: Any = None) -> None:
        super().__init__(algo_class or ReplayTQC)
        self.recipe = recipe
