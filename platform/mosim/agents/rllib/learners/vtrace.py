"""The learners of IMPALA and APPO."""

from collections.abc import Sequence
from typing import Any

import torch
from ray.rllib.algorithms.appo.torch.appo_torch_learner import APPOTorchLearner
from ray.rllib.algorithms.impala.torch.impala_torch_learner import IMPALATorchLearner
from ray.rllib.core import COMPONENT_RL_MODULE, DEFAULT_MODULE_ID
from ray.rllib.core.columns import Columns
from ray.rllib.core.learner.training_data import TrainingData

from mosim.agents.rllib.learners.lean import LeanUpdates

_NEVER = 1e6
"""Logarithm of a probability beside which any other is nothing."""

_COUNT = "mosim_updates"
"""Key of a learner's state: how often it was updated."""


class _WholeFragments(LeanUpdates, IMPALATorchLearner):
    """RLlib's V-trace losses over minibatches of whole fragments, in the caller's thread.

    RLlib learns in a thread beside the one that feeds it, which on a core of its own only takes turns with it, and
    cuts minibatches anywhere, so that the last action of each bootstraps from the first of another.
    """

    _updates = 0

    def build(self) -> None:
        """Builds it, and ends the thread."""
        super().build()
        self.shutdown()
        # The loss cuts a batch into rows of this length, and every fragment comes with one more step to bootstrap from.
        self.config = self.config.copy(copy_frozen=False)
        self.config.rollout_fragment_length = self.config.get_rollout_fragment_length() + 1

    def update(self, training_data: TrainingData | None = None, *, return_state: bool = False, **kwargs: Any) -> Any:
        """Passes over what was sampled, `num_epochs` times, a minibatch of whole fragments at a time.

        Returns:
          What RLlib expects: metrics, and the weights where they are asked for.
        """
        del kwargs
        if training_data is None:
            raise TypeError("this learner can only be updated with training_data.")
        training_data.solve_refs()
        batches = [self.batch_of(group) for group in self._groups(training_data.episodes or ())]
        for _ in range(self.config.num_epochs or 1):
            for index in torch.randperm(len(batches)).tolist():
                self._update(batches[index])
        self._updates += 1
        self._weights_seq_no += 1
        self._follow()
        result: dict[str, Any] = self.metrics.reduce()
        if return_state:
            result["_rl_module_state_after_update"] = self.get_state(
                components=[f"{COMPONENT_RL_MODULE}/{DEFAULT_MODULE_ID}"], inference_only=True
            )
        return result

    def batch_of(self, episodes: Sequence[Any]) -> Any:
        """What the loss takes, made of fragments.

        In RLlib's, the step that comes after a fragment to bootstrap from is a step of V-trace too, of reward 0 and
        followed by nothing: what it takes away from the value it stands for is just what the last action adds of it, so
        that a fragment counts for no more than its own rewards. Here it has the weight of an action that the policy
        would never take, which is none.
        """
        batch = self._make_batch_if_necessary(training_data=TrainingData(episodes=list(episodes))).policy_batches
        columns: Any = batch[DEFAULT_MODULE_ID]
        columns[Columns.ACTION_LOGP] = columns[Columns.ACTION_LOGP].masked_fill(~columns[Columns.LOSS_MASK], _NEVER)
        columns[Columns.REWARDS] = columns[Columns.REWARDS] * self.config.learner_config_dict["reward_scale"]
        return batch

    def get_state(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """RLlib's, and how often it was updated."""
        return super().get_state(*args, **kwargs) | {_COUNT: self._updates}

    def set_state(self, state: dict[str, Any]) -> None:
        """Goes on from what `get_state` gave."""
        super().set_state(state)
        self._updates = state.get(_COUNT, self._updates)

    def _groups(self, episodes: Sequence[Any]) -> list[list[Any]]:
        """Fragments at random in groups of at least a minibatch, but the last; within a group the whole ones first."""
        groups: list[list[Any]] = [[]]
        minibatch = self.config.minibatch_size or 1
        for index in torch.randperm(len(episodes)).tolist():
            if sum(map(len, groups[-1])) >= minibatch:
                groups.append([])
            groups[-1].append(episodes[index])
        # A fragment in which an episode ended is two, and would shift those after it against the loss's rows.
        return [sorted(group, key=len, reverse=True) for group in groups]

    def _follow(self) -> None:
        """Has networks that follow others do so, after an update."""


class LeanIMPALALearner(_WholeFragments):
    """RLlib's IMPALA; see `_WholeFragments`."""


class LeanAPPOLearner(_WholeFragments, APPOTorchLearner):
    """RLlib's APPO; see `_WholeFragments`."""

    def _follow(self) -> None:
        modules: Any = self.module
        settings: Any = self.config
        if self._updates % settings.target_network_update_freq == 0:
            for network, copy in modules[DEFAULT_MODULE_ID].get_target_network_pairs():
                copy.load_state_dict(network.state_dict())
