"""Tasks as a user adds them: a reward of one's own on a robot of the suite, and a robot of one's own with a task."""

from pathlib import Path

import torch
from torch import Tensor

from mosim.tasks import TensorTask

SLIDER = """
<mujoco>
  <option timestep="0.005"/>
  <worldbody>
    <body name="cart"><joint name="slide" type="slide" axis="1 0 0" damping="0.1"/><geom size="0.1" mass="1"/></body>
  </worldbody>
  <actuator><motor joint="slide" gear="5" ctrllimited="true" ctrlrange="-1 1"/></actuator>
</mujoco>
"""


class Backwards(TensorTask):
    """Cheetah runs backwards."""

    robot = "cheetah-run"
    control_timestep = 0.01
    episode_steps = 40

    def observe(self, state: Tensor, action: Tensor, context: Tensor) -> Tensor:
        return state[:, 1:]

    def reward(self, state: Tensor, action: Tensor, context: Tensor) -> Tensor:
        return (-state[:, 9]).clamp(0, 10) / 10


class Nearer(TensorTask):
    """Reacher, with a dense reward for the distance that its own task rewards sparsely."""

    robot = "reacher-easy"
    control_timestep = 0.02
    episode_steps = None

    def observe(self, state: Tensor, action: Tensor, context: Tensor) -> Tensor:
        return torch.cat([state, context], dim=-1)

    def reward(self, state: Tensor, action: Tensor, context: Tensor) -> Tensor:
        return -context[:, :2].square().sum(-1) - 0.01 * action.square().sum(-1)


class Home(TensorTask):
    """A cart on a rail is to come home, and the episode ends where it is lost."""

    robot = "slider.xml"  # Written beside this module by whoever uses it.
    control_timestep = 0.02
    episode_steps = 50

    def observe(self, state: Tensor, action: Tensor, context: Tensor) -> Tensor:
        return state

    def reward(self, state: Tensor, action: Tensor, context: Tensor) -> Tensor:
        return torch.exp(-state[:, 0].square())

    def terminated(self, state: Tensor, action: Tensor, context: Tensor) -> Tensor:
        return state[:, 0].abs() > 1


def write_slider(folder: Path) -> Path:
    file = folder / "slider.xml"
    file.write_text(SLIDER)
    return file
