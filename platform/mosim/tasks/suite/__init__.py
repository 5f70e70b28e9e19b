"""Batched observations and rewards of the dm_control suite's tasks, one module a domain; importing it registers them.

Hopper is not here, and so goes the exact route: it observes the forces on its touch sensors, which only MuJoCo's
contact solver knows. Domains that have no module yet go it as well.
"""

from mosim.tasks.suite.acrobot import AcrobotEvaluator
from mosim.tasks.suite.cartpole import CartpoleEvaluator
from mosim.tasks.suite.cheetah import CheetahEvaluator
from mosim.tasks.suite.humanoid import HumanoidEvaluator
from mosim.tasks.suite.pendulum import PendulumEvaluator
from mosim.tasks.suite.reacher import ReacherEvaluator
from mosim.tasks.suite.walker import WalkerEvaluator

__all__ = [
    "AcrobotEvaluator",
    "CartpoleEvaluator",
    "CheetahEvaluator",
    "HumanoidEvaluator",
    "PendulumEvaluator",
    "ReacherEvaluator",
    "WalkerEvaluator",
]
