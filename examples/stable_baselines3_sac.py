"""A trainer that is there already: Stable-Baselines3's SAC, trained in a simulator and evaluated in the true task.

    pip install 'mosim[examples]'
    python examples/stable_baselines3_sac.py --checkpoint runs/reacher-easy   # what `mosim run reacher-easy` has left
    python examples/stable_baselines3_sac.py --checkpoint true                # the same, trained in the true task

Stable-Baselines3 has a vector environment of its own kind, where the step that ends an episode also begins the next and
the last observation comes beside (`terminal_observation`). `BatchVecEnv` makes one of any of mosim's. Any other of its
algorithms takes it too.
"""

from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np
import tyro
from stable_baselines3 import SAC
from stable_baselines3.common.vec_env import VecEnv, VecMonitor
from stable_baselines3.common.vec_env.base_vec_env import VecEnvIndices, VecEnvStepReturn

import mosim  # noqa: F401 It registers the environments.
from mosim.agents import evaluate_policy
from mosim.envs import MoSimVectorEnv
from mosim.tasks import load_task


class BatchVecEnv(VecEnv):
    """A batch of mosim's as Stable-Baselines3 wants it.

    Attributes:
      envs: the batch.
    """

    def __init__(self, envs: MoSimVectorEnv) -> None:
        self.envs = envs
        super().__init__(envs.num_envs, envs.single_observation_space, envs.single_action_space)

    def reset(self) -> np.ndarray:
        """Starts an episode in every env, of the seeds that `seed` has given."""
        seeds = None if self._seeds[0] is None else [int(seed or 0) for seed in self._seeds]
        self._reset_seeds()
        return self.envs.reset(seed=seeds)[0]

    def step_async(self, actions: np.ndarray) -> None:
        """Keeps the actions for `step_wait`."""
        self._actions = actions

    def step_wait(self) -> VecEnvStepReturn:
        """Steps, and begins the next episode where one is over."""
        observation, reward, terminated, truncated, info = self.envs.step(self._actions)
        ended = terminated | truncated
        infos: list[dict[str, Any]] = [{"TimeLimit.truncated": bool(cut)} for cut in truncated & ~terminated]
        for row in np.flatnonzero(info.get("diverged", ())):
            infos[row]["divergence"] = info["divergence"][row]
        if ended.any():
            for row in np.flatnonzero(ended):
                infos[row]["terminal_observation"] = observation[row]
            observation, _ = self.envs.reset(options={"reset_mask": ended})
        return observation, reward.astype(np.float32), ended, infos

    def close(self) -> None:
        """Closes the batch."""
        self.envs.close()

    def get_attr(self, attr_name: str, indices: VecEnvIndices = None) -> list[Any]:
        """An attribute of the batch, for each env."""
        return [getattr(self.envs, attr_name) for _ in self._get_indices(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: VecEnvIndices = None) -> None:
        """Not possible for one env of a batch."""
        raise NotImplementedError("the envs of a batch have no attributes of their own")

    def env_method(self, method_name: str, *arguments: Any, indices: VecEnvIndices = None, **options: Any) -> list[Any]:
        """Not possible for one env of a batch."""
        raise NotImplementedError("the envs of a batch have no methods of their own")

    def env_is_wrapped(self, wrapper_class: type[gymnasium.Wrapper], indices: VecEnvIndices = None) -> list[bool]:
        """None is."""
        return [False for _ in self._get_indices(indices)]


@dataclass(frozen=True)
class Settings:
    """Of a training; a control step is what the task's own agent acts at."""

    checkpoint: str  # The simulator: a run's folder, or "true" for the true task.
    task: str = "reacher-easy"
    control_steps: int = 300_000
    action_repeat: int = 4
    num_envs: int = 16
    gradient_steps: int = 8  # After a step of all envs.
    learning_starts: int = 1000  # Random actions before the first gradient step.
    gamma: float = 0.95
    learning_rate: float = 1e-3
    hidden: int = 128
    eval_episodes: int = 20
    seed: int = 0


def main(settings: Settings) -> None:
    repeat = settings.action_repeat
    envs = gymnasium.make_vec(
        f"MoSim/{settings.task}-v0",
        num_envs=settings.num_envs,
        checkpoint=settings.checkpoint,
        action_repeat=repeat,
    )
    if not isinstance(envs, MoSimVectorEnv):
        raise TypeError(f"{settings.task} has made {envs}, no batch of mosim's")
    model = SAC(
        "MlpPolicy",
        VecMonitor(BatchVecEnv(envs)),
        learning_rate=settings.learning_rate,
        gamma=settings.gamma,
        train_freq=1,
        gradient_steps=settings.gradient_steps,
        learning_starts=settings.learning_starts,
        policy_kwargs={"net_arch": [settings.hidden, settings.hidden]},
        seed=settings.seed,
        device="cpu",
        verbose=1,
    )
    model.learn(settings.control_steps // repeat, log_interval=2 * settings.num_envs)

    def act(observation: np.ndarray) -> np.ndarray:
        return model.predict(observation, deterministic=True)[0]

    evaluation = evaluate_policy(act, load_task(settings.task), settings.eval_episodes, action_repeat=repeat)
    print(f"true return {evaluation.mean:.0f} +- {evaluation.std:.0f} over {settings.eval_episodes} episodes")


if __name__ == "__main__":
    main(tyro.cli(Settings))
