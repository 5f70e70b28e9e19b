"""Pictures of states, against MuJoCo's own renderer."""

import copy
import importlib
import os
import subprocess
import sys
from pathlib import Path

import mujoco
import numpy as np
import pytest
from mujoco.rendering.classic import gl_context

from mosim.core.errors import UnknownNameError
from mosim.rendering import Camera, Renderer
from mosim.robots import System
from mosim.tasks import load_system, load_task

WIDTH, HEIGHT = 160, 120

ROBOT = """
<mujoco model="crane">
  <worldbody>
    <light pos="0 0 4"/>
    <geom type="plane" size="5 5 .1" rgba=".3 .4 .5 1"/>
    <body pos="0 0 .5">
      <joint name="turn" type="hinge" axis="0 0 1"/>
      <geom type="box" size=".1 .1 .3" rgba=".9 .5 .1 1"/>
      <body pos="0 0 .4">
        <joint name="lift" type="hinge" axis="0 1 0" limited="true" range="-60 60"/>
        <geom type="capsule" fromto="0 0 0 .5 0 0" size=".04" rgba=".9 .5 .1 1"/>
      </body>
    </body>
  </worldbody>
  <actuator><motor joint="lift"/></actuator>
</mujoco>
"""


@pytest.fixture
def crane(tmp_path: Path) -> System:
    (tmp_path / "crane.xml").write_text(ROBOT)
    return load_system(str(tmp_path / "crane.xml"))


def mujocos_own(model: mujoco.MjModel, state: np.ndarray, monkeypatch: pytest.MonkeyPatch, camera: int) -> np.ndarray:
    """A picture by `mujoco.Renderer`, which without this would look for a window."""
    monkeypatch.setattr(gl_context, "GLContext", importlib.import_module("mujoco.egl").GLContext, raising=False)
    data = mujoco.MjData(model)
    data.qpos[:] = state[: model.nq]
    mujoco.mj_forward(model, data)
    with mujoco.Renderer(model, HEIGHT, WIDTH) as renderer:
        renderer.update_scene(data, camera)
        return renderer.render()


def robot_of(picture: np.ndarray) -> np.ndarray:
    """Which pixels are of dm_control's robots, which are orange on blue."""
    red, _, blue = np.moveaxis(picture.astype(int), -1, 0)
    return red > blue + 40


def test_a_picture_is_mujoco_s_own(opengl: None, crane: System, monkeypatch: pytest.MonkeyPatch) -> None:
    state = np.array([0.7, -0.4, 3.0, 5.0])
    with Renderer(crane, WIDTH, HEIGHT) as renderer:
        picture, _ = renderer.draw(state)
        elsewhere, _ = renderer.draw(-state)
        again, _ = renderer.draw(state)
    assert picture.shape == (HEIGHT, WIDTH, 3)
    np.testing.assert_array_equal(picture, mujocos_own(crane.model, state, monkeypatch, -1))
    np.testing.assert_array_equal(again, picture)
    assert np.mean(picture != elsewhere) > 0.01


def test_dm_control_s_stars_are_put_out_and_nothing_else(opengl: None, monkeypatch: pytest.MonkeyPatch) -> None:
    task = load_task("cheetah-run")
    state = task.reset([0, 0]).state
    before = copy.copy(task.model)
    with Renderer(task, WIDTH, HEIGHT) as renderer:
        picture, _ = renderer.draw(state)
    own = mujocos_own(task.model, state, monkeypatch, task.model.camera("side").id)
    changed = np.abs(picture.astype(int) - own).max(axis=-1) > 8
    assert 0.001 < changed.mean() < 0.15
    assert (picture[changed].mean(axis=-1) < own[changed].mean(axis=-1)).mean() > 0.9, "they are darker now"
    assert not (changed & robot_of(own)).any()
    np.testing.assert_array_equal(before.tex_data, task.model.tex_data)


def test_an_episode_s_target_is_drawn_where_it_is(opengl: None) -> None:
    task = load_task("reacher-easy")
    starts = [task.reset([0, index]) for index in range(2)]
    state, pictures = starts[0].state, []
    for start in starts:
        with Renderer(task, WIDTH, HEIGHT, start.context) as renderer:
            pictures.append(renderer.draw(state)[0])
    assert np.mean(pictures[0] != pictures[1]) > 0.005


@pytest.mark.parametrize("name", ["cheetah-run", "humanoid-walk", "hopper-hop", "walker-run", "swimmer-swimmer6"])
def test_the_camera_goes_along(opengl: None, name: str) -> None:
    task = load_task(name)
    state = task.reset([0, 0]).state
    away = state.copy()
    away[task.facts.cyclic[0]] += 7.0
    with Renderer(task, WIDTH, HEIGHT) as renderer:
        here, there = (robot_of(renderer.draw(each)[0]) for each in (state, away))
    assert here.mean() > 0.005
    assert there.sum() == pytest.approx(here.sum(), rel=0.3)
    middle = np.argwhere(there).mean(axis=0) / (HEIGHT, WIDTH)
    assert (middle > 0.2).all()
    assert (middle < 0.8).all()


def test_a_robot_without_a_camera_is_followed_too(opengl: None, tmp_path: Path) -> None:
    (tmp_path / "puck.xml").write_text(
        "<mujoco><worldbody><light pos='0 0 9'/><geom type='plane' size='50 50 .1' rgba='.1 .2 .5 1'/>"
        "<body pos='0 0 1'><freejoint/><geom type='box' size='.1 .1 .1' rgba='.9 .5 .1 1'/></body></worldbody></mujoco>"
    )
    system = load_system(str(tmp_path / "puck.xml"))
    state = np.concatenate([system.model.qpos0, np.zeros(6)])
    away = state.copy()
    away[:2] += 7.0
    with Renderer(system, WIDTH, HEIGHT) as renderer:
        for each in (state, away):
            robot = robot_of(renderer.draw(each)[0])
            assert 0.02 < robot.mean() < 0.5
            assert np.argwhere(robot).mean(axis=0) == pytest.approx((HEIGHT / 2, WIDTH / 2), abs=0.1 * HEIGHT)


def test_a_second_robot_is_filmed_from_where_the_first_is_until_it_would_leave_the_picture(opengl: None) -> None:
    task = load_task("cheetah-run")
    state = task.reset([0, 0]).state
    columns = []
    with Renderer(task, WIDTH, HEIGHT) as renderer:
        _, place = renderer.draw(state)
        for ahead in (0.0, 0.3, 20.0):
            moved = state.copy()
            moved[0] += ahead
            robot = robot_of(renderer.draw(moved, place)[0])
            assert robot.mean() > 0.005
            columns.append(np.argwhere(robot)[:, 1].mean())
    assert columns[1] - columns[0] > 0.05 * WIDTH
    assert columns[2] > columns[1]
    assert columns[2] < 0.9 * WIDTH


def test_cameras_are_the_model_s(crane: System) -> None:
    with pytest.raises(UnknownNameError, match="did you mean side"):
        Camera(load_task("cheetah-run"), "sid")
    with pytest.raises(UnknownNameError, match="unknown camera 'side'"):
        Camera(crane, "side")


@pytest.mark.parametrize(
    ("environment", "sentence"),
    [
        (
            {"__EGL_VENDOR_LIBRARY_FILENAMES": "/nowhere"},
            "on Debian or Ubuntu: apt-get install libegl1 libgl1-mesa-dri",
        ),
        ({"MUJOCO_GL": "off"}, "MUJOCO_GL=off disables"),
    ],
)
def test_where_there_is_no_opengl_a_sentence_says_what_to_install(environment: dict[str, str], sentence: str) -> None:
    program = (
        "from mosim.rendering import NoOpenGLError, require_opengl\n"
        "try:\n    require_opengl()\nexcept NoOpenGLError as error:\n    print(error)"
    )
    kept = {name: value for name, value in os.environ.items() if name not in ("DISPLAY", "MUJOCO_GL")}
    result = subprocess.run(
        [sys.executable, "-c", program], env=kept | environment, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    assert sentence in result.stdout
    assert len(result.stdout.splitlines()) == 1
