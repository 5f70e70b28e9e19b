"""Critics as the papers have them: one network of observation and action together."""

from collections.abc import Sequence
from typing import Any

import torch
from ray.rllib.algorithms.sac.sac_catalog import SACCatalog
from ray.rllib.algorithms.tqc.tqc_catalog import TQCCatalog
from ray.rllib.core.columns import Columns
from ray.rllib.core.models.configs import MLPEncoderConfig
from ray.rllib.core.rl_module.rl_module import RLModuleSpec
from torch import nn


class JointEncoder(nn.Module):
    """The hidden layers of a critic."""

    def __init__(self, sizes: Sequence[int], hidden: Sequence[int], activation: str) -> None:
        """Takes the widths of observation and action, and of the layers."""
        super().__init__()
        config = MLPEncoderConfig(
            input_dims=[sum(sizes)],
            hidden_layer_dims=list(hidden[:-1]),
            hidden_layer_activation=activation,
            output_layer_dim=hidden[-1],
            output_layer_activation=activation,
        )
        self.layers = config.build(framework="torch")

    def forward(self, batch: dict[str, torch.Tensor]) -> Any:
        """What RLlib's encoders return."""
        return self.layers({Columns.OBS: torch.cat([batch[Columns.OBS], batch[Columns.ACTIONS]], dim=-1)})


class JointSACCatalog(SACCatalog):
    """RLlib's builder of SAC's networks, but for the critics.

    RLlib's own have a tower for the observation, one for the action and one more on top of both: three times the work.
    """

    def _build_qf_encoder_continuous(self, framework: str) -> Any:
        del framework
        spaces: Any = (self.observation_space, self.action_space)
        return JointEncoder(
            [space.shape[0] for space in spaces],
            self._model_config_dict["fcnet_hiddens"],
            self._model_config_dict["fcnet_activation"],
        )


class JointTQCCatalog(JointSACCatalog, TQCCatalog):
    """RLlib's builder of TQC's networks, with the same critics."""


def module_of(config: Any, catalog: type[SACCatalog]) -> RLModuleSpec:
    """What RLlib makes an algorithm's networks by, with another builder of them."""
    return RLModuleSpec(module_class=config.get_default_rl_module_spec().module_class, catalog_class=catalog)
