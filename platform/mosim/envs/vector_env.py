"""Many environments of one task, stepped as one batch by a dynamics model."""

from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space
from pydantic import ConfigDict, InstanceOf, SkipValidation
from torch import Tensor
from typing_extensions import TypedDict

from mosim.core.arguments import LARGEST_SEED, Count, Index, Seed, checked
from mosim.core.errors import MosimError
from mosim.core.threads import single_threaded
from mosim.envs.core import EnvironmentCore
from mosim.envs.episodes import Ending, Episodes, task_ending
from mosim.envs.guards import Guards
from mosim.envs.inputs import require_numbers, require_shape, seeds_of
from mosim.envs.pictures import RENDER_MODE, Pictures, pictures_of
from mosim.envs.starts import Starts
from mosim.models import DynamicsModel, StateLimits
from mosim.tasks import Evaluator, Task


class EnvOptions(TypedDict, total=False):
    """Further options of an env and of a batch; see `MoSimVectorEnv`."""

    __pydantic_config__ = ConfigDict(extra="forbid", arbitrary_types_allowed=True)  # pyright: ignore[reportGeneralTypeIssues]

    action_repeat: Count
    max_episode_steps: Count | None
    evaluator: SkipValidation[Evaluator | None]
    starts: Starts | None
    ending: Ending
    limits: InstanceOf[StateLimits] | None
    guards: Guards
    first_index: Index
    render_mode: str | None
    width: Count
    height: Count


class MoSimVectorEnv(gymnasium.vector.VectorEnv):
    """A task over a dynamics model: its spaces, starts, rewards and time limit; the model's motion.

    An env whose episode has ended is reset by the next step, which ignores that env's action and gives reward 0
    (`AutoresetMode.NEXT_STEP`). The time limit truncates an episode and does not terminate it, so that an algorithm can
    bootstrap from its last observation. An env whose predicted state is not finite, or beyond `limits`, has diverged:
    terminated, reward 0, the observation before it kept, and `info` has `diverged` and a `Divergence` as `divergence`.

    `reset` and `step` compute on one of torch's threads, unless within `mosim.torch_threads`.

    Attributes:
      task, dynamics: as given.
      control_lower, control_upper: bounds of an action, `(nu,)`, in actuator units.
      ended: `(num_envs,)` bool, whose episode is over and whose next step is a reset.
      first_index: of the first env; env i draws its starts from the seed, `first_index + i` and the episode's number.
      divergences: how many episodes have ended by a divergence so far.
    """

    metadata: dict[str, Any] = {  # noqa: RUF012 Gymnasium's own; frames a second are each batch's.
        "autoreset_mode": AutoresetMode.NEXT_STEP,
        "render_modes": [RENDER_MODE],
    }

    # Of the class, since Gymnasium closes whatever it has begun to make.
    _pictures: Pictures | None = None

    @checked
    def __init__(
        self,
        task: Task,
        dynamics: DynamicsModel,
        num_envs: Count = 1,
        seed: Seed | None = None,
        *,
        action_repeat: Count = 1,
        max_episode_steps: Count | None = None,
        evaluator: SkipValidation[Evaluator | None] = None,
        starts: Starts | None = None,
        ending: Ending = task_ending,
        limits: InstanceOf[StateLimits] | None = None,
        guards: Guards = Guards(),  # noqa: B008 It is frozen.
        first_index: Index = 0,
        render_mode: str | None = None,
        width: Count = 480,
        height: Count = 360,
    ) -> None:
        """Makes the envs; they start at `reset`.

        Args:
          task: whose spaces, starts, rewards and time limit these are.
          dynamics: predicts the motion; must model the task's system, see `mosim.robots.require_fit`.
          num_envs: size of the batch, at least 1.
          seed: of a first `reset` without a seed; None draws one.
          action_repeat: control steps that an action is held, at least 1; the rewards are summed.
          max_episode_steps: calls of `step`, each of `action_repeat` control steps, after which an episode is
            truncated, at least 1, as Gymnasium's `TimeLimit` counts them; None is the task's own time limit.
          evaluator: gives observation and reward; None is the task's own.
          starts: draws where episodes start; None is the task's own.
          ending: says which episodes end, apart from the time limit; the task's own unless given.
          limits: of a state, beyond which it counts as a divergence; None is those of the dynamics.
          guards: what becomes of the reward and the episode where the dynamics are uncertain.
          first_index: see above; envs that are one batch in several processes have each an index of their own.
          render_mode: `rgb_array` for pictures by `render`.
          width: of a picture, in pixels.
          height: likewise.

        Raises:
          MosimError: an argument is unknown or not allowed; `NoOpenGLError`: nothing can be drawn here.
        """
        self._pictures = pictures_of(task, render_mode, width, height)
        facts = task.facts
        self.task, self.dynamics, self.num_envs = task, dynamics, num_envs
        self.control_lower = np.array(facts.control_lower, np.float32)
        self.control_upper = np.array(facts.control_upper, np.float32)
        self.single_action_space = gymnasium.spaces.Box(self.control_lower, self.control_upper, dtype=np.float32)
        self.single_observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (task.observation_size,), np.float32)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self._episodes = Episodes(
            EnvironmentCore(task, dynamics, evaluator, limits, guards),
            [_drawn_seed() if seed is None else seed] * num_envs,
            action_repeat=action_repeat,
            max_steps=max_episode_steps and max_episode_steps * action_repeat,
            starts=starts,
            ending=ending,
            first_index=first_index,
        )
        self.divergences = 0
        self.render_mode = render_mode
        self.metadata = self.metadata | {"render_fps": 1.0 / (task.control_timestep * action_repeat)}

    @property
    def state(self) -> Tensor:
        """`[qpos, qvel, act]` of all envs, `(num_envs, state_size)`."""
        return self._episodes.states

    @property
    def context(self) -> Tensor:
        """Of all envs, `(num_envs, context_size)`."""
        return self._episodes.now.context

    @property
    def observation(self) -> np.ndarray:
        """Of all envs, `(num_envs, observation_size)`, float32."""
        return self._episodes.observation.cpu().numpy().astype(np.float32)

    @property
    def limits(self) -> StateLimits:
        """Of a state, `(state_size,)` each."""
        return self._episodes.core.limits

    @property
    def ended(self) -> np.ndarray:
        """See the class."""
        return self._episodes.ended

    @property
    def first_index(self) -> int:
        """See the class."""
        return self._episodes.first_index

    @first_index.setter
    def first_index(self, index: int) -> None:
        self._episodes.first_index = index

    @single_threaded
    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Starts an episode in every env, or in those that a mask names.

        Args:
          seed: an integer for all envs, or one or None for each; with it an env's episodes are counted from 0 again.
            Without, an env goes on to its next episode.
          options: may have `reset_mask`, `(num_envs,)` bool, as Gymnasium's own vector envs take it: the envs that
            start an episode, while the others stay where they are. What has ended and been reset so is not reset by
            the next step, so a trainer that wants its resets in the same step can have them.

        Returns:
          Observations `(num_envs, observation_size)`, and an empty info.

        Raises:
          MosimError: the mask is no bool array of one an env, there is another option, a seed is not one, or seeds are
            not one an env.
        """
        rows = self._masked(options or {})
        seeds = seeds_of(seed, self.num_envs)
        for row in rows:
            if (own := seeds[row]) is not None:
                self._episodes.seed(int(row), own)
        self._episodes.begin(rows)
        return self.observation, {}

    @single_threaded
    @torch.no_grad()
    def step(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Advances every env by `action_repeat` control steps, or to the end of its episode.

        Args:
          actions: `(num_envs, nu)`, in actuator units; what is beyond the control range is clipped to it. Those of envs
            that are reset may be anything.

        Returns:
          Observations `(num_envs, observation_size)` float32; summed rewards, terminated and truncated, each
          `(num_envs,)`; and an info, with `diverged` and `divergence` of the envs whose prediction diverged.

        Raises:
          MosimError: the actions have another shape, or one of them is NaN; names the env and the actuator.
        """
        actions = require_shape(actions, (self.num_envs, self.task.facts.nu), "(num_envs, nu)")
        require_numbers(actions, self.ended)
        control = torch.as_tensor(np.clip(actions, self.control_lower, self.control_upper)).to(self.state)
        reset = np.flatnonzero(self.ended)
        outcome = self._episodes.act(control)
        self._episodes.begin(reset)
        diverged, info = outcome.diverged, {}
        self.divergences += int(diverged.sum())
        if diverged.any():
            told = outcome.divergences
            info = {"diverged": diverged, "divergence": told, "_diverged": diverged, "_divergence": diverged}
        return self.observation, outcome.reward.cpu().numpy(), outcome.terminated, outcome.truncated, info

    def render(self) -> tuple[np.ndarray, ...] | None:
        """A picture of each env's state, `(height, width, 3)` uint8; None without a render mode."""
        if self._pictures is None:
            return None
        return self._pictures.draw(self.state.cpu().numpy(), self.context.cpu().numpy())

    def close_extras(self, **kwargs: Any) -> None:
        """Lets go of OpenGL, where there are pictures."""
        del kwargs
        if self._pictures is not None:
            self._pictures.close()

    def snapshot(self) -> dict[str, np.ndarray]:
        """Everything that the next step depends on, but the dynamics; for `restore`."""
        return {**self._episodes.snapshot(), "divergences": np.array(self.divergences)}

    def restore(self, snapshot: dict[str, np.ndarray]) -> None:
        """Goes on from a `snapshot` of as many envs of the same task."""
        self._episodes.restore(snapshot)
        self.divergences = int(snapshot["divergences"])

    def _masked(self, options: dict[str, Any]) -> np.ndarray:
        """The rows of the envs that a reset with these options is for."""
        if unknown := options.keys() - {"reset_mask"}:
            raise MosimError(f"reset: unknown option {min(unknown)!r}; allowed is: reset_mask.")
        if (mask := options.get("reset_mask")) is None:
            return np.arange(self.num_envs)
        if not isinstance(mask, np.ndarray) or mask.dtype != np.bool_ or mask.shape != (self.num_envs,):
            raise MosimError(f"reset_mask must be an array of {self.num_envs} bools, one per env, not {mask!r}.")
        return np.flatnonzero(mask)


def _drawn_seed() -> int:
    return int(np.random.SeedSequence().generate_state(1)[0]) % (LARGEST_SEED + 1)
