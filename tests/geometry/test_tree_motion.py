"""Motion of links in double precision, against MuJoCo and finite differences."""

import mujoco
import numpy as np
import pytest
import torch
from dm_control import suite

from mosim.geometry import Jacobians, Kinematics, TreeMotion, read_skeleton, twist_matrices, wrenches

TASKS = (("humanoid", "walk"), ("stacker", "stack_2"), ("cheetah", "run"))


def random_state(model: mujoco.MjModel, seed: int) -> mujoco.MjData:
    data, random = mujoco.MjData(model), np.random.default_rng(seed)
    data.qpos[:] = model.qpos0
    mujoco.mj_integratePos(model, data.qpos, random.normal(size=model.nv), 1.0)
    data.qvel[:] = random.normal(size=model.nv)
    mujoco.mj_forward(model, data)
    return data


@pytest.mark.parametrize("task", TASKS)
def test_the_drawing_is_known_to_double_precision(task: tuple[str, str]) -> None:
    model = suite.load(*task).physics.model.ptr
    skeleton, data = read_skeleton(model), random_state(model, 0)
    poses = Kinematics(skeleton, torch.float64).poses(torch.from_numpy(data.qpos.copy()))
    for index, body in enumerate(skeleton.bodies, start=1):
        if body.link >= 0:
            place = poses.position[body.link] + poses.rotation[body.link] @ torch.tensor(
                body.position, dtype=torch.float64
            )
            np.testing.assert_allclose(place, data.xpos[index], rtol=0, atol=1e-12)


@pytest.mark.parametrize("task", TASKS)
def test_screws_about_a_place_are_those_about_the_origin_carried_there(task: tuple[str, str]) -> None:
    model = suite.load(*task).physics.model.ptr
    skeleton, data = read_skeleton(model), random_state(model, 1)
    poses = Kinematics(skeleton, torch.float64).poses(torch.from_numpy(data.qpos.copy()))
    jacobians = Jacobians(skeleton, torch.float64)
    place = torch.tensor([3.0, -2.0, 5.0], dtype=torch.float64)
    about_origin = jacobians.screws(poses).mT
    moved = jacobians.screws(poses, place.expand(model.nv, 3)).mT
    there = torch.cat([place, torch.ones(1, dtype=torch.float64)])
    torch.testing.assert_close(moved[:, 3:], twist_matrices(about_origin) @ there)
    torch.testing.assert_close(moved[:, :3], about_origin[:, :3])


def test_power_is_the_product_of_twist_and_wrench() -> None:
    random = torch.Generator().manual_seed(0)
    twist, moments = torch.randn(5, 6, generator=random), torch.randn(5, 3, 4, generator=random)
    torch.testing.assert_close((twist * wrenches(moments)).sum(-1), (twist_matrices(twist) * moments).sum((-1, -2)))


@pytest.mark.parametrize("task", TASKS)
def test_accelerations_are_how_velocities_change(task: tuple[str, str]) -> None:
    model = suite.load(*task).physics.model.ptr
    motion, data = TreeMotion(read_skeleton(model)), random_state(model, 2)
    qacc, step = np.random.default_rng(3).normal(size=model.nv), 1e-6
    placement = motion(torch.from_numpy(data.qpos.copy()))
    gravity = torch.zeros(3, dtype=torch.float64)
    found = motion.accelerations(placement, torch.from_numpy(data.qvel.copy()), gravity, torch.from_numpy(qacc))
    # Corners of a cube about each link, followed by MuJoCo.
    links = torch.tensor([0.1, -0.2, 0.3, 1.0], dtype=torch.float64)
    expected = (found @ (placement.frames @ links).unsqueeze(-1)).squeeze(-1)
    kinematics, velocities = Kinematics(read_skeleton(model), torch.float64), []
    for sign in (-1, 1):
        qpos = data.qpos.copy()
        qvel = data.qvel + sign * step * qacc
        mujoco.mj_integratePos(model, qpos, data.qvel + 0.5 * sign * step * qacc, sign * step)
        poses, speeds = kinematics(torch.from_numpy(qpos), torch.from_numpy(qvel))
        arm = poses.rotation[list(motion.carriers)] @ links[:3]
        spin = speeds.angular[list(motion.carriers)]
        velocities.append(speeds.linear[list(motion.carriers)] + torch.linalg.cross(spin, arm))
    torch.testing.assert_close(expected, (velocities[1] - velocities[0]) / (2 * step), rtol=1e-5, atol=1e-6)
