"""Gymnasium environments over a dynamics model, and the true task with the same interface."""

from mosim.envs.core import ControlStep, EnvironmentCore, EnvState
from mosim.envs.creation import TRUE_DYNAMICS, load_dynamics, make_env, make_vector_env
from mosim.envs.divergence import Divergence
from mosim.envs.episodes import Ending, Episodes, Outcome
from mosim.envs.guards import Guards
from mosim.envs.single_env import MoSimEnv
from mosim.envs.starts import StartKind, Starts, StartStates, find_dataset, make_starts, start_states
from mosim.envs.vector_env import MoSimVectorEnv

__all__ = [
    "TRUE_DYNAMICS",
    "ControlStep",
    "Divergence",
    "Ending",
    "EnvState",
    "EnvironmentCore",
    "Episodes",
    "Guards",
    "MoSimEnv",
    "MoSimVectorEnv",
    "Outcome",
    "StartKind",
    "StartStates",
    "Starts",
    "find_dataset",
    "load_dynamics",
    "make_env",
    "make_starts",
    "make_vector_env",
    "start_states",
]
