"""What a fluid does to bodies, against MuJoCo's own forces."""

import mujoco
import numpy as np
import pytest
import torch

from mechanisms import IN_A_FLUID, compiled
from mosim.models import (
    NeuralSimulator,
    NeuralSimulatorConfig,
    Statistics,
    common_axes,
    drag_places,
    first_alike,
    identify,
    pose_of,
)
from mosim.models.mosim.tree.articulated import ArticulatedPredictor
from mosim.models.mosim.tree.drag_places import VISCOUS_TURN
from mosim.robots import SystemFacts
from mosim.tasks import load_task
from physics_steps import single_steps
from true_mechanics import true_mechanics

CONFIG = NeuralSimulatorConfig(predictor="articulated", correctors=())

FRAMES = """
<mujoco>
  <option density="1000"/>
  <worldbody>
    <body name="moved">
      <joint axis="0 1 0"/>
      <geom name="ball" type="sphere" size=".1"/>
      <geom name="other" type="sphere" size=".2"/>
      <geom name="rod" type="capsule" fromto="0 0 0 1 0 0" size=".1"/>
      <body name="welded" pos="1 0 0" euler="0 30 0"><geom name="plate" type="box" size=".1 .2 .3"/></body>
      <body name="bare" pos="2 0 0"><inertial pos=".1 0 0" mass="1" diaginertia="1 1 1"/></body>
    </body>
    <body name="fixed" pos="0 0 9"><geom type="sphere" size=".1"/></body>
  </worldbody>
</mujoco>
"""


def load(name: str) -> tuple[mujoco.MjModel, SystemFacts]:
    if name == "in a fluid":
        return compiled(IN_A_FLUID)
    task = load_task(name)
    return task.model, task.facts


def predictor_of(model: NeuralSimulator) -> ArticulatedPredictor:
    assert isinstance(model.predictor, ArticulatedPredictor)
    return model.predictor


@pytest.mark.parametrize("name", ["in a fluid", "swimmer-swimmer6", "fish-swim"])
def test_with_mujocos_numbers_the_forces_are_mujocos(name: str) -> None:
    model, facts = load(name)
    learned = NeuralSimulator(facts, CONFIG, Statistics.neutral(facts)).double().requires_grad_(False)
    predictor = predictor_of(learned)
    predictor.assign(true_mechanics(model, facts, predictor))
    fluid, data, random = predictor.fluid, mujoco.MjData(model), np.random.default_rng(0)
    assert fluid is not None
    for _ in range(10):
        mujoco.mj_integratePos(model, data.qpos, random.normal(size=model.nv), 1.0)
        data.qvel[:] = 3 * random.normal(size=model.nv)
        mujoco.mj_forward(model, data)
        placement = predictor.tree.motion(torch.from_numpy(data.qpos.copy()))
        qvel = torch.from_numpy(data.qvel.copy())
        assert np.abs(data.qfrc_fluid).max() > 0
        tolerance = {"rtol": 0, "atol": 1e-8 * np.abs(data.qfrc_fluid).max()}
        torch.testing.assert_close(fluid(placement, qvel), -torch.from_numpy(data.qfrc_fluid), **tolerance)
        summed = fluid.columns(placement, qvel) @ fluid.strength
        torch.testing.assert_close(summed, fluid(placement, qvel), **tolerance)


def test_drag_is_placed_at_each_body_and_at_shapes_with_other_frames() -> None:
    _, facts = compiled(FRAMES)
    places = list(drag_places(facts.skeleton))
    assert [place.name for place in places] == ["moved", "moved/ball", "moved/rod", "welded", "bare"]
    assert [place.body for place in places] == [0, 0, 0, 1, 2]
    assert {place.link for place in places} == {0}
    np.testing.assert_allclose(places[2].pose[:3, 3], [0.5, 0, 0])
    np.testing.assert_allclose(places[4].pose[:3, 3], [2, 0, 0])
    assert common_axes(places[3].pose, pose_of(facts.skeleton.bodies[1])) is not None


def test_frames_are_one_where_their_axes_are_the_same_lines() -> None:
    first, second = np.eye(4), np.eye(4)
    second[:3, :3] = [[0, -1, 0], [0, 0, -1], [1, 0, 0]]
    order = common_axes(first, second)
    assert order is not None
    assert order.tolist() == [1, 2, 0]
    second[0, 3] = 0.1
    assert common_axes(first, second) is None
    second[0, 3], second[:2, :2] = 0.0, [[0.6, 0.8], [-0.8, 0.6]]
    assert common_axes(first, second) is None


def test_without_a_fluid_there_is_no_drag() -> None:
    _, facts = compiled(IN_A_FLUID.replace('density="100" viscosity="0.1"', ""))
    predictor = predictor_of(NeuralSimulator(facts, CONFIG, Statistics.neutral(facts)))
    assert facts.wind is None
    assert predictor.fluid is None
    assert predictor.mechanics().drag.shape == (0,)


def test_where_each_body_is_dragged_is_found() -> None:
    model, facts = load("in a fluid")
    states, actions, next_states = single_steps(model, 1500)
    learned = NeuralSimulator(facts, CONFIG, Statistics.of(facts, states.numpy(), next_states.numpy()))
    fit = identify(learned, states, actions, next_states)
    assert fit.exact
    predictor = predictor_of(learned)
    true, found = true_mechanics(model, facts, predictor), predictor.mechanics()
    factor = true.gear.max() / found.gear.max()
    others = torch.arange(len(true.drag)) != VISCOUS_TURN
    least = 1e-5 * float(true.drag.max())
    torch.testing.assert_close(factor * found.drag[others], true.drag[others], rtol=1e-3, atol=least)
    # Damping of a free joint's turns does what viscosity does against those of its body.
    turning = factor * (found.drag[VISCOUS_TURN] + found.damping[3:6])
    torch.testing.assert_close(turning, true.drag[VISCOUS_TURN].expand(3), rtol=1e-3, atol=0)


def test_numbers_that_do_what_others_do_are_left_out() -> None:
    _, facts = compiled(FRAMES)
    places = list(drag_places(facts.skeleton))
    wrenches = np.concatenate([wrenches_of(place.pose) for place in places])
    first, kept = first_alike(places).flatten(), 0
    for later, one in enumerate(first):
        alike = np.abs(wrenches[: later + 1] - wrenches[later]).max((1, 2)) < 1e-9
        assert one == np.flatnonzero(alike)[0]
        kept += one == later
    assert kept < len(first)


def wrenches_of(pose: np.ndarray) -> np.ndarray:
    """What one unit of each number of a place does to its link in 20 random motions, `(8, 20, 6)`."""
    random, found = np.random.default_rng(0), []
    rotation, arm = pose[:3, :3], pose[:3, 3]
    for spin, speed in random.normal(size=(20, 2, 3)):
        along = np.concatenate([rotation.T @ spin, rotation.T @ (speed + np.cross(spin, arm))])
        forces = np.zeros((8, 6))
        forces[:6] = np.diag(np.abs(along) * along)
        forces[6, :3], forces[7, 3:] = along[:3], along[3:]
        push = forces[:, 3:] @ rotation.T
        found.append(np.concatenate([forces[:, :3] @ rotation.T + np.cross(arm, push), push], axis=-1))
    return np.stack(found, axis=1)
