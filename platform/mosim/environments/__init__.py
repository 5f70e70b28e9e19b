"""Gymnasium environments over a dynamics model, and the true task in the same clothes."""

from mosim.environments.creation import TRUE_DYNAMICS, check_fit, load_dynamics, make_env, make_vector_env
from mosim.environments.single_env import MoSimEnv
from mosim.environments.vector_env import STATE_LIMIT, Ending, MoSimVectorEnv, Starts

__all__ = [
    "STATE_LIMIT",
    "TRUE_DYNAMICS",
    "Ending",
    "MoSimEnv",
    "MoSimVectorEnv",
    "Starts",
    "check_fit",
    "load_dynamics",
    "make_env",
    "make_vector_env",
]
