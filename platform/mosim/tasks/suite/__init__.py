"""Batched observations and rewards of the dm_control suite's tasks, one module a domain; importing it registers them.

A domain without a module is evaluated by dm_control itself, one state after the other.
"""

from mosim.tasks.suite.acrobot import AcrobotEvaluator
from mosim.tasks.suite.cartpole import CartpoleEvaluator
from mosim.tasks.suite.cheetah import CheetahEvaluator
from mosim.tasks.suite.hopper import HopperEvaluator
from mosim.tasks.suite.humanoid import HumanoidEvaluator
from mosim.tasks.suite.pendulum import PendulumEvaluator
from mosim.tasks.suite.reacher import ReacherEvaluator
from mosim.tasks.suite.walker import WalkerEvaluator

__all__ = [
    "AcrobotEvaluator",
    "CartpoleEvaluator",
    "CheetahEvaluator",
    "HopperEvaluator",
    "HumanoidEvaluator",
    "PendulumEvaluator",
    "ReacherEvaluator",
    "WalkerEvaluator",
]
