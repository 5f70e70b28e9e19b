"""What the lean learners share."""

from typing import Any

import torch
from ray.rllib.core import DEFAULT_MODULE_ID
from ray.rllib.core.learner.torch.torch_learner import TorchLearner
from ray.rllib.utils.schedules.scheduler import Scheduler

_UNBOUNDED = float("inf")


class LeanUpdates(TorchLearner):
    """RLlib's loss and minibatches, without what it does besides for each of them.

    For layers this small, RLlib's own bookkeeping of a minibatch (a dictionary of gradients, its clipping and checks
    tensor by tensor, Adam tensor by tensor, some ten metrics) takes about as long as its gradients.
    """

    def set_rates(self, learning_rate: float, entropy: float) -> None:
        """Sets Adam's step size and the weight of the entropy bonus.

        RLlib's own schedules go by a count of steps that is part of its metrics, which would then be part of what has
        to be kept for a training to be resumed.
        """
        for group in self._adam.param_groups:
            group["lr"] = learning_rate
        schedulers: Any = self.entropy_coeff_schedulers_per_module  # pyright: ignore[reportAttributeAccessIssue]
        schedulers[DEFAULT_MODULE_ID] = Scheduler(fixed_value_or_schedule=entropy, framework=self.framework)

    def configure_optimizers_for_module(self, module_id: str, config: Any = None) -> None:
        """Registers one fused Adam."""
        modules: Any = self._module
        parameters: Any = list(self.get_parameters(modules[module_id]))
        adam = torch.optim.Adam(parameters, lr=config.lr, fused=True)
        self.register_optimizer(module_id=module_id, optimizer=adam, params=parameters)

    def _uncompiled_update(self, batch: dict[str, Any], **kwargs: Any) -> tuple[Any, Any, Any]:
        del kwargs
        modules: Any = self.module
        module = modules[DEFAULT_MODULE_ID]
        output = {DEFAULT_MODULE_ID: module._forward_train(batch[DEFAULT_MODULE_ID])}
        losses = self.compute_losses(fwd_out=output, batch=batch)
        adam = self._adam
        adam.zero_grad(set_to_none=True)
        losses[DEFAULT_MODULE_ID].backward()
        parameters = adam.param_groups[0]["params"]
        norm = torch.nn.utils.clip_grad_norm_(parameters, self.config.grad_clip or _UNBOUNDED)
        if torch.isfinite(norm):
            adam.step()
        return output, losses, {}

    @property
    def _adam(self) -> torch.optim.Optimizer:
        ((_, adam),) = self.get_optimizers_for_module(DEFAULT_MODULE_ID)
        return adam

    def _log_steps_trained_metrics(self, batch: Any) -> None:
        """Nobody reads them."""
