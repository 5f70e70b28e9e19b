"""Batched observations and rewards of the dm_control suite's tasks, one module a domain; importing it registers them.

Hopper is not here, and so goes the exact route: it observes the forces on its touch sensors, which only MuJoCo's
contact solver knows. Domains that have no module yet go it as well.
"""

from mosim.systems.batched.acrobot import AcrobotEvaluator
from mosim.systems.batched.cartpole import CartpoleEvaluator
from mosim.systems.batched.cheetah import CheetahEvaluator
from mosim.systems.batched.humanoid import HumanoidEvaluator
from mosim.systems.batched.pendulum import PendulumEvaluator
from mosim.systems.batched.reacher import ReacherEvaluator
from mosim.systems.batched.walker import WalkerEvaluator

__all__ = [
    "AcrobotEvaluator",
    "CartpoleEvaluator",
    "CheetahEvaluator",
    "HumanoidEvaluator",
    "PendulumEvaluator",
    "ReacherEvaluator",
    "WalkerEvaluator",
]
