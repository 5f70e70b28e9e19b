"""The neural simulator, and every other dynamics model behind the same interface."""

from mosim.dynamics.articulated import ArticulatedPredictor, Mechanics
from mosim.dynamics.base_parameters import BaseParameters, base_parameters
from mosim.dynamics.certainty import Certainty, certainty_of
from mosim.dynamics.compliance import Impedances
from mosim.dynamics.config import ConstraintsConfig, CorrectorConfig, IntegratorConfig, ModelConfig, NetworkConfig
from mosim.dynamics.configuration_space import ConfigurationSpace
from mosim.dynamics.excitation import Excitation
from mosim.dynamics.identification import MassFit, identify
from mosim.dynamics.integrators import Integrator, make_integrator
from mosim.dynamics.interface import DynamicsModel, HoldLast
from mosim.dynamics.measurement_noise import MeasurementNoise, smoothed_positions
from mosim.dynamics.mechanical_parameters import (
    INERTIAL,
    MechanicalParameters,
    Parameter,
    centre_and_inertia,
    full_inertia,
)
from mosim.dynamics.mujoco_dynamics import MujocoDynamics, PerturbedTwin
from mosim.dynamics.neural_simulator import NeuralSimulator
from mosim.dynamics.statistics import Statistics
from mosim.dynamics.step_fit import StepFit, fit_constraints, fit_steps

__all__ = [
    "INERTIAL",
    "ArticulatedPredictor",
    "BaseParameters",
    "Certainty",
    "ConfigurationSpace",
    "ConstraintsConfig",
    "CorrectorConfig",
    "DynamicsModel",
    "Excitation",
    "HoldLast",
    "Impedances",
    "Integrator",
    "IntegratorConfig",
    "MassFit",
    "MeasurementNoise",
    "MechanicalParameters",
    "Mechanics",
    "ModelConfig",
    "MujocoDynamics",
    "NetworkConfig",
    "NeuralSimulator",
    "Parameter",
    "PerturbedTwin",
    "Statistics",
    "StepFit",
    "base_parameters",
    "centre_and_inertia",
    "certainty_of",
    "fit_constraints",
    "fit_steps",
    "full_inertia",
    "identify",
    "make_integrator",
    "smoothed_positions",
]
