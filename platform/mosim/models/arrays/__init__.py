"""Kinds of models that know the arrays alone: the neural simulator's rivals at this level of knowledge."""

from mosim.models.arrays.ensemble import Ensemble, EnsembleConfig
from mosim.models.arrays.gru import GRUConfig, GRUModel
from mosim.models.arrays.latent_dynamics import LatentDynamics, LatentDynamicsConfig
from mosim.models.arrays.state_space import RecurrentStateSpace, RecurrentStateSpaceConfig
from mosim.models.arrays.transformer import TransformerConfig, TransformerModel

__all__ = [
    "Ensemble",
    "EnsembleConfig",
    "GRUConfig",
    "GRUModel",
    "LatentDynamics",
    "LatentDynamicsConfig",
    "RecurrentStateSpace",
    "RecurrentStateSpaceConfig",
    "TransformerConfig",
    "TransformerModel",
]
