"""Dynamics models: the interface, the neural simulator, the baselines, and MuJoCo itself."""

from mosim.models.arrays import (
    EnsembleConfig,
    GRUConfig,
    LatentDynamicsConfig,
    RecurrentStateSpaceConfig,
    TransformerConfig,
)
from mosim.models.carry import Carry, flat_carry, map_carry, unflat_carry
from mosim.models.config import AnyModelConfig, Knowledge, ModelConfig
from mosim.models.interface import DynamicsModel, MarkovModel, Persistence
from mosim.models.learned import LearnedModel, Mean, Windows
from mosim.models.limits import STATE_LIMIT, StateLimits
from mosim.models.mosim.config import ConstraintsConfig, CorrectorConfig, NeuralSimulatorConfig
from mosim.models.mosim.constraints.compliance import Impedances
from mosim.models.mosim.identification.base_parameters import BaseParameters, base_parameters
from mosim.models.mosim.identification.certainty import Certainty, certainty_of
from mosim.models.mosim.identification.excitation import Excitation
from mosim.models.mosim.identification.mass_fit import MassFit, identify
from mosim.models.mosim.identification.measurement_noise import MeasurementNoise, smoothed_positions
from mosim.models.mosim.identification.mechanical_parameters import (
    DRAG,
    INERTIAL,
    MechanicalParameters,
    Parameter,
    centre_and_inertia,
    full_inertia,
)
from mosim.models.mosim.identification.step_fit import StepFit, fit_constraints, fit_steps
from mosim.models.mosim.neural_simulator import NeuralSimulator
from mosim.models.mosim.tree.articulated import ArticulatedPredictor, Mechanics
from mosim.models.mosim.tree.drag_places import DragPlace, common_axes, drag_places, first_alike, pose_of
from mosim.models.mosim.tree.servos import NUMBER_NAMES as SERVO_NUMBERS
from mosim.models.mujoco_dynamics import ChaosFloor, MujocoDynamics
from mosim.models.parts.integrators import Integrator, IntegratorConfig, make_integrator
from mosim.models.parts.networks import NetworkConfig
from mosim.models.statistics import Statistics

__all__ = [
    "DRAG",
    "INERTIAL",
    "SERVO_NUMBERS",
    "STATE_LIMIT",
    "AnyModelConfig",
    "ArticulatedPredictor",
    "BaseParameters",
    "Carry",
    "Certainty",
    "ChaosFloor",
    "ConstraintsConfig",
    "CorrectorConfig",
    "DragPlace",
    "DynamicsModel",
    "EnsembleConfig",
    "Excitation",
    "GRUConfig",
    "Impedances",
    "Integrator",
    "IntegratorConfig",
    "Knowledge",
    "LatentDynamicsConfig",
    "LearnedModel",
    "MarkovModel",
    "MassFit",
    "Mean",
    "MeasurementNoise",
    "MechanicalParameters",
    "Mechanics",
    "ModelConfig",
    "MujocoDynamics",
    "NetworkConfig",
    "NeuralSimulator",
    "NeuralSimulatorConfig",
    "Parameter",
    "Persistence",
    "RecurrentStateSpaceConfig",
    "StateLimits",
    "Statistics",
    "StepFit",
    "TransformerConfig",
    "Windows",
    "base_parameters",
    "centre_and_inertia",
    "certainty_of",
    "common_axes",
    "drag_places",
    "first_alike",
    "fit_constraints",
    "fit_steps",
    "flat_carry",
    "full_inertia",
    "identify",
    "make_integrator",
    "map_carry",
    "pose_of",
    "smoothed_positions",
    "unflat_carry",
]
