"""A batch of episodes under way, in tensors: where each starts, how far it is, when and why it ends.

Gymnasium's environments and the gradients of policies stand on it. It stops no gradient.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from mosim.envs.core import EnvironmentCore, EnvState
from mosim.envs.divergence import evaluation_divergence, state_divergence, uncertainty_divergence
from mosim.envs.starts import Starts
from mosim.models import flat_carry, unflat_carry
from mosim.tasks import Evaluation

Ending = Callable[[Tensor, Evaluation], Tensor]
"""Says which episodes end, `(batch,)` bool, of the states `(batch, state_size)` and what the task says of them."""


def task_ending(state: Tensor, evaluation: Evaluation) -> Tensor:
    """Ends an episode where the task itself does."""
    del state
    return evaluation.terminated


class Outcome(NamedTuple):
    """What an action led to, in each of `n` episodes.

    Attributes:
      reward: summed over the action's control steps, `(n,)`, float64; 0 where the prediction diverged, and where the
        episode was over before.
      terminated, truncated: `(n,)` bool, whose episode ends here: because the task says so or the prediction diverged,
        or by the time limit.
      diverged: `(n,)` bool.
      divergences: `(n,)`, a `Divergence` of each that diverged; None of the others.
    """

    reward: Tensor
    terminated: np.ndarray
    truncated: np.ndarray
    diverged: np.ndarray
    divergences: np.ndarray


class Episodes:
    """One episode at a time in each of `n` environments.

    Attributes:
      core: the task over the dynamics.
      first_index: see `__init__`.
      now: the states of the environments.
      observation: of them, `(n, observation_size)`, float64. Of a diverged episode, the last one before.
      ended: `(n,)` bool, whose episode is over; what they do does not count until they begin another.
      seeds: of each environment's starts.
    """

    def __init__(
        self,
        core: EnvironmentCore,
        seeds: Sequence[int],
        *,
        action_repeat: int = 1,
        max_steps: int | None = None,
        starts: Starts | None = None,
        ending: Ending = task_ending,
        first_index: int = 0,
    ) -> None:
        """Lays them out; none has begun.

        Args:
          core: the task over the dynamics.
          seeds: one an environment.
          action_repeat: control steps that an action is held.
          max_steps: control steps after which an episode is truncated; None is the task's own time limit.
          starts: draws where episodes start; None is the task's own.
          ending: says which episodes end, apart from the time limit.
          first_index: environment i draws its starts from its seed, `first_index + i` and the episode's number.
        """
        count = len(seeds)
        self.core, self.first_index, self.seeds = core, first_index, list(seeds)
        self.now = core.idle(count)
        self.observation = torch.zeros(
            count, core.task.observation_size, dtype=torch.float64, device=core.dynamics.like.device
        )
        self.ended = np.zeros(count, bool)
        self._action_repeat, self._starts, self._ending = action_repeat, starts or core.task.reset, ending
        self._max_steps = max_steps or core.task.episode_steps or np.inf
        self._numbers = np.full(count, -1)
        self._steps = np.zeros(count, int)

    @property
    def states(self) -> Tensor:
        """`[qpos, qvel, act]` of all environments, `(n, state_size)`."""
        return self.core.states_of(self.now)

    def __len__(self) -> int:
        return len(self.ended)

    def seed(self, row: int, seed: int) -> None:
        """Gives an environment another seed; its episodes are counted from 0 again."""
        self.seeds[row], self._numbers[row] = seed, -1

    def begin(self, rows: np.ndarray) -> None:
        """Starts the next episode of the environments in `rows`, integers."""
        if not rows.size:
            return
        self._numbers[rows] += 1
        starts = [self._starts((self.seeds[row], self.first_index + int(row), int(self._numbers[row]))) for row in rows]
        states, contexts = (torch.from_numpy(np.stack(part)) for part in zip(*starts, strict=True))
        where = torch.from_numpy(rows).to(self.observation.device)
        self.now, evaluation = self.core.begin(self.now, where, states, contexts)
        self.observation = self.observation.index_copy(0, where, evaluation.observation)
        self._steps[rows] = 0
        self.ended[rows] = False

    def act(self, control: Tensor) -> Outcome:
        """Holds an action in each environment, for `action_repeat` control steps or to the end of its episode.

        Args:
          control: `(n, nu)`, in actuator units, within the control range; of what has ended, anything.
        """
        alive = ~self.ended
        reward = torch.zeros(len(self), dtype=torch.float64, device=control.device)
        terminated, truncated, diverged = (np.zeros(len(self), bool) for _ in range(3))
        divergences: np.ndarray = np.full(len(self), None, object)
        for _ in range(self._action_repeat):
            evaluation, moved = self._advance(control, alive, divergences)
            self._steps += alive
            diverged |= alive & ~moved
            alive = alive & moved
            mask = torch.from_numpy(alive).to(reward.device)
            reward = reward + torch.where(mask, evaluation.reward, 0.0)
            self.observation = torch.where(mask.unsqueeze(-1), evaluation.observation, self.observation)
            # As in dm_control, an episode that reaches its time limit is cut there and not ended by the task.
            truncated |= alive & (self._steps >= self._max_steps)
            terminated |= alive & ~truncated & self._ending(self.states, evaluation).cpu().numpy()
            alive = alive & ~truncated & ~terminated
            if not alive.any():
                break
        if diverged.any():
            reward = torch.where(torch.from_numpy(diverged).to(reward.device), 0.0, reward)
        terminated |= diverged
        self.ended = terminated | truncated
        return Outcome(reward, terminated, truncated, diverged, divergences)

    def spread(self, random: np.random.Generator) -> None:
        """Counts a random number of control steps of each episode as taken, where there is a time limit.

        Else all episodes that begin together end together, and the environments are always in the same part of theirs.
        """
        if np.isfinite(self._max_steps):
            self._steps = random.integers(0, int(self._max_steps), len(self))

    def detach(self) -> None:
        """Ends all gradients here."""
        self.map_carry(lambda name, part: part.detach())
        self.observation = self.observation.detach()

    def map_carry(self, function: Callable[[str, Tensor], Tensor]) -> None:
        """Replaces each tensor that the dynamics carry by what the function makes of its name and itself."""
        carry = self.now.carry
        made = {name: function(name, part) for name, part in flat_carry(carry).items()}
        self.now = EnvState(unflat_carry(made, carry), self.now.context)

    def snapshot(self) -> dict[str, np.ndarray]:
        """Everything that the next action's outcome depends on, but the dynamics; for `restore`."""
        return {
            **{name: tensor.detach().cpu().numpy().copy() for name, tensor in flat_carry(self.now.carry).items()},
            "context": self.now.context.cpu().numpy().copy(),
            "observation": self.observation.detach().cpu().numpy().copy(),
            "seeds": np.array(self.seeds, np.int64),
            "episodes": self._numbers.copy(),
            "steps": self._steps.copy(),
            "ended": self.ended.copy(),
        }

    def restore(self, snapshot: dict[str, np.ndarray]) -> None:
        """Goes on from a `snapshot` of as many environments of the same task."""
        flat = flat_carry(self.now.carry)
        carried = {name: torch.from_numpy(snapshot[name].copy()).to(tensor) for name, tensor in flat.items()}
        context = torch.from_numpy(snapshot["context"].copy()).to(self.now.context)
        self.now = EnvState(unflat_carry(carried, self.now.carry), context)
        self.observation = torch.from_numpy(snapshot["observation"].copy()).to(self.observation)
        self.seeds = snapshot["seeds"].tolist()
        self._numbers, self._steps = snapshot["episodes"].copy(), snapshot["steps"].copy()
        self.ended = snapshot["ended"].copy()
        self.core.dynamics.use_contexts(self.now.context)

    def _advance(self, control: Tensor, alive: np.ndarray, divergences: np.ndarray) -> tuple[Evaluation, np.ndarray]:
        """One control step of the rows that are alive; says which are where a motion can be, and why others are not."""
        before = self.states
        moving = torch.from_numpy(alive).to(control.device)
        self.now, (states, evaluation, valid, uncertainty) = self.core.step(self.now, control, moving)
        moved = valid.cpu().numpy()
        for row in np.flatnonzero(alive & ~moved).tolist():
            step = int(self._steps[row]) + 1
            if not self.core.limits.hold(states[row]).all():
                facts, limits = self.core.task.facts, self.core.limits
                divergences[row] = state_divergence(facts, limits, states[row].detach(), before[row].detach(), step)
            elif uncertainty is not None and uncertainty[row] > (self.core.guards.uncertainty_limit or np.inf):
                divergences[row] = uncertainty_divergence(float(uncertainty[row]), before[row].detach(), step)
            else:
                divergences[row] = evaluation_divergence(evaluation, row, self.states[row].detach(), step)
        return evaluation, moved & alive
