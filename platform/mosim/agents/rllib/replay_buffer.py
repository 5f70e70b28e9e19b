"""What many envs have done, kept as plain arrays and drawn from at random."""

from typing import Any

import numpy as np
import torch

Transitions = dict[str, np.ndarray]
"""Steps of a batch of envs, in the order they were taken; see `ReplayBuffer.add`."""

_PER_STEP = ("action", "reward", "terminated", "ended", "valid")


class ReplayBuffer:
    """A ring of steps of all envs at once.

    An observation is kept once, though it is what one action led to and what the next was taken in. RLlib's own keeps
    episodes, and puts a batch together out of them one action at a time, in Python.

    Attributes:
      num_envs: envs that are stepped as one.
      added: steps ever added; each is one of all envs.
    """

    def __init__(self, capacity: int, num_envs: int, observation_size: int, action_size: int) -> None:
        """Takes the number of actions to keep, over all envs, and the widths of what is kept."""
        self.num_envs = num_envs
        self.added = 0
        # A slot more than steps, for the observation that the latest has led to.
        slots = max(capacity // num_envs, 1) + 1
        self._observation = np.zeros((slots, num_envs, observation_size), np.float32)
        self._steps: Transitions = {
            "action": np.zeros((slots, num_envs, action_size), np.float32),
            "reward": np.zeros((slots, num_envs), np.float32),
            "terminated": np.zeros((slots, num_envs), bool),
            "ended": np.zeros((slots, num_envs), bool),
            "valid": np.zeros((slots, num_envs), bool),
        }

    def __len__(self) -> int:
        """Steps that are kept."""
        return min(self.added, self._slots - 1)

    def add(self, transitions: Transitions) -> None:
        """Takes over steps that follow those added last.

        Args:
          transitions: `observation` `(steps + 1, envs, size)`, the last of which the last action has led to; of
            `(steps, envs)` each: `action` `(..., size)` in [-1, 1], `reward`, `terminated`, `ended` (terminated or
            truncated) and `valid`, which is false of what was no step of an episode but a reset.
        """
        steps = len(transitions["reward"])
        slots = (self.added + np.arange(steps + 1)) % self._slots
        # The oldest of more than fit are left out, so that no slot is written twice.
        self._observation[slots[-self._slots :]] = transitions["observation"][-self._slots :]
        for name in _PER_STEP:
            self._steps[name][slots[:-1][-self._slots :]] = transitions[name][-self._slots :]
        self.added += steps

    def sample(self, count: int, n_step: int = 1, gamma: float = 1.0) -> Transitions:
        """Draws actions at random, each as likely as the other, by torch's global generator.

        Args:
          count: how many; the same may come twice.
          n_step: actions whose rewards are summed, fewer where the episode ends or nothing newer is kept.
          gamma: discount an action within that sum.

        Returns:
          Of `(count,)` each: `observation` and `action` `(..., size)`, `reward`, the summed one, `next_observation`
          after the last of the actions, `terminated`, whether the episode was over then, and `n_step`, how many they
          were. An episode that was cut is not over.
        """
        age, env = np.empty(count, np.int64), np.empty(count, np.int64)
        valid = self._steps["valid"]
        missing = np.arange(count)
        while missing.size:
            drawn = torch.randint(len(self) * self.num_envs, (missing.size,)).numpy()
            age[missing], env[missing] = np.divmod(drawn, self.num_envs)
            missing = missing[~valid[self._slot(age[missing]), env[missing]]]
        first = last = self._slot(age)
        reward, taken = self._steps["reward"][first, env].copy(), np.ones(count, np.float32)
        for step in range(1, n_step):
            going = ~self._steps["ended"][last, env] & (taken == step) & (age >= step)
            last = np.where(going, (last + 1) % self._slots, last)
            reward += np.where(going, np.float32(gamma**step) * self._steps["reward"][last, env], 0.0)
            taken += going
        return {
            "observation": self._observation[first, env],
            "action": self._steps["action"][first, env],
            "reward": reward,
            "next_observation": self._observation[(last + 1) % self._slots, env],
            "terminated": self._steps["terminated"][last, env],
            "n_step": taken,
        }

    def get_state(self) -> dict[str, Any]:
        """All that is kept, in the order it was added."""
        kept = self._slot(np.arange(len(self) - 1, -1, -1))
        state: dict[str, Any] = {name: values[kept] for name, values in self._steps.items()}
        current = np.append(kept, self.added % self._slots)
        return state | {"observation": self._observation[current], "added": self.added}

    def set_state(self, state: dict[str, Any]) -> None:
        """Goes on from what `get_state` of a buffer of the same size gave."""
        self.added = state["added"] - len(state["reward"])
        self.add(state)

    @property
    def _slots(self) -> int:
        return len(self._observation)

    def _slot(self, age: np.ndarray) -> np.ndarray:
        """Where steps lie that are so many steps older than the latest."""
        return (self.added - 1 - age) % self._slots
