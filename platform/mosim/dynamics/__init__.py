"""The neural simulator, and every other dynamics model behind the same interface."""

from mosim.dynamics.config import ConstraintsConfig, CorrectorConfig, IntegratorConfig, ModelConfig, NetworkConfig
from mosim.dynamics.configuration_space import ConfigurationSpace
from mosim.dynamics.constraint_fit import ConstraintFit, fit_constraints
from mosim.dynamics.identification import FirstGuess, identify
from mosim.dynamics.integrators import Integrator, make_integrator
from mosim.dynamics.interface import DynamicsModel, HoldLast
from mosim.dynamics.mujoco_dynamics import MujocoDynamics, PerturbedTwin
from mosim.dynamics.neural_simulator import NeuralSimulator
from mosim.dynamics.statistics import Statistics

__all__ = [
    "ConfigurationSpace",
    "ConstraintFit",
    "ConstraintsConfig",
    "CorrectorConfig",
    "DynamicsModel",
    "FirstGuess",
    "HoldLast",
    "Integrator",
    "IntegratorConfig",
    "ModelConfig",
    "MujocoDynamics",
    "NetworkConfig",
    "NeuralSimulator",
    "PerturbedTwin",
    "Statistics",
    "fit_constraints",
    "identify",
    "make_integrator",
]
