"""Gymnasium environments over a dynamics model, and the true task in the same clothes."""

from mosim.environments.creation import TRUE_DYNAMICS, check_fit, load_dynamics, make_env, make_vector_env
from mosim.environments.explosions import Explosion
from mosim.environments.limits import STATE_LIMIT, StateLimits, limits_of
from mosim.environments.single_env import MoSimEnv
from mosim.environments.starts import StartKind, Starts, StartStates, find_dataset, make_starts, start_states
from mosim.environments.vector_env import Ending, MoSimVectorEnv

__all__ = [
    "STATE_LIMIT",
    "TRUE_DYNAMICS",
    "Ending",
    "Explosion",
    "MoSimEnv",
    "MoSimVectorEnv",
    "StartKind",
    "StartStates",
    "Starts",
    "StateLimits",
    "check_fit",
    "find_dataset",
    "limits_of",
    "load_dynamics",
    "make_env",
    "make_starts",
    "make_vector_env",
    "start_states",
]
