"""Observations brought to mean 0 and standard deviation 1 by what has been seen so far, a batch at a time."""

from collections.abc import Collection, Sequence
from typing import Any

import gymnasium
import numpy as np
from ray.rllib.connectors.connector_v2 import ConnectorV2

from mosim.agents.moments import CLIP, SMALL, Moments


class ObservationFilter(ConnectorV2):
    """RLlib's `MeanStdFilter` for a whole batch of envs at once, whose states merge exactly over env runners.

    RLlib's own takes each env's observation alone, which is half the time of sampling, and merges what its runners
    have seen since the last merge by the change of their means.
    """

    def __init__(self, input_observation_space: Any = None, input_action_space: Any = None, **kwargs: Any) -> None:
        super().__init__(input_observation_space, input_action_space, **kwargs)
        self.seen = Moments.none()
        self._new = Moments.none()

    def filter_batch(self, observations: np.ndarray, update: bool = True) -> np.ndarray:
        """Filters `(rows, size)` into float32 within `CLIP`; with `update`, they count among the seen first."""
        if update and len(observations):
            new = Moments.of(observations)
            self.seen, self._new = self.seen.joined(new), self._new.joined(new)
        filtered = (observations - self.seen.mean) / (self.seen.deviation + SMALL)
        return np.clip(filtered, -CLIP, CLIP).astype(np.float32)

    def recompute_output_observation_space(
        self, input_observation_space: gymnasium.Space, input_action_space: gymnasium.Space
    ) -> gymnasium.Space:
        """The space of what `filter_batch` returns, for one env."""
        del input_action_space
        return gymnasium.spaces.Box(-CLIP, CLIP, input_observation_space.shape, np.float32)

    def __call__(
        self,
        *,
        rl_module: Any,
        batch: dict[str, Any],
        episodes: Sequence[Any],
        explore: bool | None = None,
        **kwargs: Any,
    ) -> dict[str, Any]:
        """Replaces the last observation of each episode, as RLlib's own filter does; learns only while exploring."""
        del rl_module, kwargs
        episodes = list(self.single_agent_episode_iterator(list(episodes)))
        last = np.stack([episode.get_observations(indices=-1) for episode in episodes])
        for episode, row in zip(episodes, self.filter_batch(last, update=bool(explore)), strict=True):
            episode.observation_space = self.observation_space
            episode.set_observations(at_indices=-1, new_data=row)
        return batch

    def get_state(
        self,
        components: str | Collection[str] | None = None,
        *,
        not_components: str | Collection[str] | None = None,
        **kwargs: Any,
    ) -> dict[str, Any]:
        """What has been seen, and what of it since the state was last set."""
        del components, not_components, kwargs
        return {"seen": self.seen.as_dict(), "new": self._new.as_dict()}

    def told(self) -> None:
        """Counts what has been seen as known to whoever merges states; nothing is new then."""
        self._new = Moments.none()

    def set_state(self, state: dict[str, Any]) -> None:
        """Takes over what `state` has seen; nothing is new then."""
        self.seen = Moments(**state["seen"])
        self._new = Moments.none()

    def merge_states(self, states: list[dict[str, Any]]) -> dict[str, Any]:
        """What this filter has seen, and what each of `states` has seen since they were last set alike."""
        seen = self.seen
        for state in states:
            seen = seen.joined(Moments(**state["new"]))
        self.set_state({"seen": seen.as_dict()})
        return self.get_state()


def observation_filter(algorithm: Any) -> ObservationFilter:
    """The filter in front of an algorithm's module, with all that its env runners have seen."""
    runner = algorithm.env_runner
    pipeline = algorithm.env_to_module_connector if runner is None else runner._env_to_module
    return next(piece for piece in pipeline.connectors if isinstance(piece, ObservationFilter))
