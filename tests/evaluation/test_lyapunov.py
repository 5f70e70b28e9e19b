"""The largest Lyapunov exponent: that of systems whose exponent is known."""

import math

import mujoco
import pytest
import torch

from mosim.evaluation import lyapunov_exponent
from mosim.models import MujocoDynamics, Persistence
from mosim.robots import System
from mosim.tasks import load_task

SLIDER = """
<mujoco><option timestep="0.001" gravity="0 0 0"/><worldbody>
  <body><joint name="x" type="slide" axis="1 0 0" stiffness="{stiffness}" damping="{damping}"/>
    <geom size=".1" mass="1"/></body>
  <body pos="0 1 0"><joint name="y" type="slide" axis="1 0 0" damping="3"/><geom size=".1" mass="1"/></body>
</worldbody></mujoco>
"""


DOUBLE_PENDULUM = """
<mujoco><option timestep="0.005" integrator="RK4"/><worldbody><body pos="0 0 2">
  <joint axis="0 1 0"/><geom type="capsule" fromto="0 0 0 0 0 -.5" size=".02" contype="0" conaffinity="0"/>
  <body pos="0 0 -.5">
    <joint axis="0 1 0"/><geom type="capsule" fromto="0 0 0 0 0 -.5" size=".02" contype="0" conaffinity="0"/>
  </body>
</body></worldbody></mujoco>
"""


def slider(stiffness: float, damping: float) -> MujocoDynamics:
    model = mujoco.MjModel.from_xml_string(SLIDER.format(stiffness=stiffness, damping=damping))
    return MujocoDynamics(System("slider.xml", "slider", model))


def measured(model: MujocoDynamics, starts: int = 3, steps: int = 8000) -> tuple[float, float, int]:
    states = torch.randn(starts, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return lyapunov_exponent(model, 0.1 * states, torch.zeros(starts, steps, 0))


@pytest.mark.parametrize(
    ("stiffness", "damping", "exponent"),
    [
        # Of x'' = -k x - c x', and of y'' = -3 y', whose position keeps what it is: the largest real part.
        (-4.0, 0.0, 2.0),
        (-4.0, 3.0, 1.0),
        (100.0, 16.0, 0.0),
    ],
)
def test_it_is_the_largest_real_part_of_a_linear_system_s_eigenvalues(
    stiffness: float, damping: float, exponent: float
) -> None:
    found = measured(slider(stiffness, damping))
    assert found[0] == pytest.approx(exponent, abs=0.02)
    assert found[2] == 3


def test_a_double_pendulum_is_chaotic_at_high_energy_alone_whatever_the_distance() -> None:
    model = MujocoDynamics(System("double.xml", "double", mujoco.MjModel.from_xml_string(DOUBLE_PENDULUM)))
    actions = torch.zeros(6, 4000, 0)
    high = torch.tensor([[2.5, 0.3, 0.0, 0.0]], dtype=torch.float64) + 0.1 * torch.arange(6).unsqueeze(1)
    exponents = [lyapunov_exponent(model, high, actions, distance=distance).mean for distance in (1e-7, 1e-5)]
    assert exponents[0] > 1
    assert exponents[0] == pytest.approx(exponents[1], rel=0.2)
    assert lyapunov_exponent(model, 0.02 * high, actions).mean < 0.3


def test_no_change_has_none_and_what_is_not_finite_is_left_out() -> None:
    task = load_task("pendulum-swingup")
    still = lyapunov_exponent(Persistence(task.facts), torch.zeros(2, 2), torch.zeros(2, 50, 1))
    assert still.mean == pytest.approx(0, abs=1e-6)
    broken = lyapunov_exponent(Persistence(task.facts), torch.full((2, 2), math.nan), torch.zeros(2, 50, 1))
    assert broken.starts == 0
    assert math.isnan(broken.mean)
