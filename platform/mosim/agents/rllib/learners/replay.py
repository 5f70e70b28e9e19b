"""The learners of SAC and TQC."""

import warnings
from typing import Any

import torch
from ray.rllib.algorithms.sac.torch.sac_torch_learner import SACTorchLearner
from ray.rllib.algorithms.tqc.torch.tqc_torch_learner import TQCTorchLearner
from ray.rllib.core import DEFAULT_MODULE_ID
from ray.rllib.utils.metrics.metrics_logger import MetricsLogger

_ALPHA = "mosim_log_alpha"
"""Key of a learner's state: the logarithm of the entropy's weight, which RLlib's leaves out."""

# Of RLlib's quantile loss, which means to hold each quantile against every other.
warnings.filterwarnings("ignore", "Using a target size")


class _Silent(MetricsLogger):
    """Logs nothing: RLlib keeps each batch's temporal differences until somebody reads them."""

    def log_value(self, *args: Any, **kwargs: Any) -> None:
        """Does nothing."""

    def log_dict(self, *args: Any, **kwargs: Any) -> None:
        """Does nothing."""


class _LeanReplay(SACTorchLearner):
    """RLlib's networks and losses, updated from ready batches: one backward pass, one fused Adam, one step of targets.

    RLlib goes backward once for every loss, though no two of them share a parameter that learns.
    """

    def build(self) -> None:
        """Builds it."""
        super().build()
        self.metrics = _Silent(root=False)
        modules: Any = self.module
        pairs = [
            (target, parameter)
            for network, copy in modules[DEFAULT_MODULE_ID].get_target_network_pairs()
            for target, parameter in zip(copy.parameters(), network.parameters(), strict=True)
        ]
        self._targets = [target.data for target, _ in pairs]
        self._followed = [parameter.data for _, parameter in pairs]

    def configure_optimizers_for_module(self, module_id: str, config: Any = None) -> None:
        """Registers one fused Adam for actor, critics and the entropy's weight."""
        modules: Any = self._module
        networks: Any = list(self.get_parameters(modules[module_id]))
        alpha: Any = self.curr_log_alpha[module_id]
        groups = [{"params": networks, "lr": config.critic_lr}, {"params": [alpha], "lr": config.alpha_lr}]
        adam = torch.optim.Adam(groups, fused=True)
        self.register_optimizer(module_id=module_id, optimizer=adam, params=[*networks, alpha])

    def set_rates(self, learning_rate: float) -> None:
        """Sets Adam's step size for actor and critics."""
        self._adam.param_groups[0]["lr"] = learning_rate

    def learn(self, columns: dict[str, torch.Tensor], size: int) -> None:
        """An update for each batch of `size` rows of `columns`, whose keys are those that RLlib's losses expect."""
        modules: Any = self.module
        module, adam = modules[DEFAULT_MODULE_ID], self._adam
        settings: Any = self.config
        parts = {name: values.to(self.device).split(size) for name, values in columns.items()}
        for rows in zip(*parts.values(), strict=True):
            batch = dict(zip(parts, rows, strict=True))
            output = module._forward_train(batch)
            loss: Any = self.compute_loss_for_module(
                module_id=DEFAULT_MODULE_ID, config=settings, batch=batch, fwd_out=output
            )
            self._temp_losses.clear()
            adam.zero_grad(set_to_none=True)
            loss.backward()
            adam.step()
            torch._foreach_lerp_(self._targets, self._followed, settings.tau)  # pyright: ignore[reportPrivateImportUsage]
        self._weights_seq_no += 1

    @torch.no_grad()
    def copy_to(self, module: torch.nn.Module) -> None:
        """Gives a module of this process, such as one that only acts, the weights that it has in common."""
        modules: Any = self.module
        own = dict(modules[DEFAULT_MODULE_ID].named_parameters())
        for name, parameter in module.named_parameters():
            parameter.copy_(own[name])

    def get_state(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """RLlib's, and the entropy's weight."""
        return super().get_state(*args, **kwargs) | {_ALPHA: self._log_alpha.detach().cpu().numpy().copy()}

    def set_state(self, state: dict[str, Any]) -> None:
        """Goes on from what `get_state` gave."""
        super().set_state(state)
        if _ALPHA in state:
            self._log_alpha.data.copy_(torch.as_tensor(state[_ALPHA]))

    @property
    def _log_alpha(self) -> torch.Tensor:
        alpha: Any = self.curr_log_alpha[DEFAULT_MODULE_ID]
        return alpha

    @property
    def _adam(self) -> torch.optim.Optimizer:
        ((_, adam),) = self.get_optimizers_for_module(DEFAULT_MODULE_ID)
        return adam


class LeanSACLearner(_LeanReplay):
    """RLlib's SAC; see `_LeanReplay`."""


class LeanTQCLearner(_LeanReplay, TQCTorchLearner):
    """RLlib's TQC; see `_LeanReplay`."""
