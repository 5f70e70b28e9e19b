"""Whether an MJCF that is written of a simulator moves as the simulator does, and says what it cannot hold."""

from pathlib import Path

import mujoco
import numpy as np
import pytest
import torch
from learned_robots import CONFIG, predictor_of, steps, task_data, two_links

from mosim.core.errors import MosimError
from mosim.evaluation import agreement, identification, mjcf_mechanics, write_learned
from mosim.models import ConstraintsConfig, Mechanics, MujocoDynamics, NeuralSimulator, Statistics
from mosim.models.mosim.constraints.compliance import FRICTION
from mosim.robots import System, require_replaceable
from mosim.tasks import load_system

ROBOT = """
<mujoco>
  <compiler boundmass="0.001" angle="degree" inertiafromgeom="true" settotalmass="6" meshdir="parts"/>
  <option timestep="0.002" gravity="1 -2 -9"/>
  <default><geom contype="0" conaffinity="0"/></default>
  <asset><mesh name="hull" file="hull.obj"/></asset>
  <worldbody>
    <body pos="3 0 1" quat="0.8 0.6 0 0">
      <joint name="lift" type="slide" axis="1 1 0" armature="0.3" damping="2"/>
      <joint name="yaw" type="hinge" axis="0 1 1" pos="0.1 0 0.2" damping="0.5" stiffness="7" springref="20"/>
      <joint name="pitch" type="hinge" axis="1 0 0" ref="30" armature="0.01"/>
      <body pos="0 0.2 0">
        <geom type="box" size="0.1 0.2 0.3" mass="2" pos="0 0.1 0.05" euler="10 20 30"/>
        <body pos="0.3 0 0.1" euler="0 40 0"><geom type="mesh" mesh="hull" density="3000"/></body>
        <body pos="0 0 0.4">
          <joint name="wrist" type="ball" pos="0 0.05 0" damping="0.2"/>
          <geom type="capsule" size="0.05 0.2" mass="0.5" pos="0.1 0 0"/>
        </body>
      </body>
    </body>
    <body pos="-50 2 0"><freejoint/><geom type="cylinder" size="0.2 0.1" mass="3" pos="0.1 0.2 0.3"/>
      <body pos="0 0 1"><joint name="arm" axis="1 2 3" armature="0.2"/><geom type="sphere" size="0.1" mass="1"/></body>
    </body>
  </worldbody>
  <tendon>
    <fixed name="both" stiffness="9" damping="3" springlength=".2">
      <joint joint="lift" coef="1"/><joint joint="yaw" coef="-0.5"/>
    </fixed>
  </tendon>
  <actuator>
    <motor name="pull" tendon="both" gear="30" ctrllimited="true" ctrlrange="-2 1"/>
    <position name="servo" joint="pitch" kp="40"/>
    <position name="grip" tendon="both" kp="20" gear="2"/>
    <motor name="turn" joint="wrist" gear="1 2 0.5"/>
  </actuator>
</mujoco>
"""

HULL = "v 0 0 0\nv .2 0 0\nv 0 .1 0\nv 0 0 .3\nf 1 3 2\nf 1 2 4\nf 1 4 3\nf 2 3 4\n"


@pytest.fixture(scope="module")
def robot(tmp_path_factory: pytest.TempPathFactory) -> System:
    folder = tmp_path_factory.mktemp("robot")
    (folder / "parts").mkdir()
    (folder / "parts" / "hull.obj").write_text(HULL)
    (folder / "robot.xml").write_text(ROBOT)
    return load_system(str(folder / "robot.xml"))


def with_numbers(system: System, mechanics: Mechanics) -> NeuralSimulator:
    """A simulator in double precision that has learned these numbers, but for their rounding to single precision."""
    states, _, next_states = steps(system, 50)
    simulator = NeuralSimulator(system.facts, CONFIG, Statistics.of(system.facts, states, next_states))
    predictor_of(simulator).assign(mechanics)
    return simulator.double()


def changed(mechanics: Mechanics) -> Mechanics:
    """Numbers of another robot of the same drawing: masses and centres elsewhere, joints stiffer, motors stronger."""
    shift = torch.eye(4, dtype=torch.float64)
    shift[0, 3], shift[1, 0] = 0.02, 0.1
    return mechanics._replace(
        pseudo_inertia=1.3 * shift @ mechanics.pseudo_inertia @ shift.mT,
        armature=1.5 * mechanics.armature,
        damping=0.7 * mechanics.damping,
        stiffness=1.2 * mechanics.stiffness,
        tendon_stiffness=1.4 * mechanics.tendon_stiffness,
        gear=0.8 * mechanics.gear,
    )


def test_mujoco_moves_what_is_written_as_the_simulator_moves(robot: System, tmp_path: Path) -> None:
    simulator = with_numbers(robot, changed(mjcf_mechanics(robot).mechanics))
    mechanics = predictor_of(simulator).mechanics()
    written = write_learned(tmp_path / "elsewhere" / "robot.xml", simulator, mechanics, robot)
    states, actions, _ = (torch.from_numpy(part) for part in steps(robot, 40))
    expected = simulator.step(states, actions).detach()
    found = MujocoDynamics(written.system).step(states, actions)
    # Against what the model was before, whose step is another one.
    before = MujocoDynamics(robot).step(states, actions)
    # Controls are scaled in single precision.
    assert (found - expected).abs().max() < 1e-7
    assert (before - expected).abs().max() > 1e-2
    torch.testing.assert_close(
        mjcf_mechanics(written.system).mechanics.pseudo_inertia, mechanics.pseudo_inertia, rtol=1e-6, atol=1e-9
    )
    assert written.unwritten == (
        "the bias of actuator servo is written as stiffness, damping and rest position of its joint",
        "the bias of actuator grip is written as stiffness, damping and rest position of its tendon",
    )


def test_what_an_mjcf_has_no_number_for_is_told(robot: System, tmp_path: Path) -> None:
    mechanics = mjcf_mechanics(robot).mechanics
    constant, damping, gear = mechanics.constant.clone(), mechanics.damping.clone(), mechanics.gear.clone()
    free = next(joint for joint in robot.facts.joints if joint.kind == "free").dof_address
    wrist = next(joint for joint in robot.facts.joints if joint.kind == "ball").dof_address
    yaw = next(joint for joint in robot.facts.joints if joint.name == "yaw").dof_address
    constant[free + 2], damping[wrist], gear[yaw, 0] = 50.0, 0.9, 30.0
    simulator = with_numbers(robot, mechanics._replace(constant=constant, damping=damping, gear=gear))
    written = write_learned(tmp_path / "robot.xml", simulator, predictor_of(simulator).mechanics(), robot)
    said = "\n".join(written.unwritten)
    assert "the constant force of 50 N on " in said
    assert "joint wrist has one damping in an MJCF, not the learned 0.9, 0.2, 0.2" in said
    assert "of the force of actuator pull acts on its joints in another ratio than its gear" in said


def sunk(model: mujoco.MjModel) -> dict[tuple[str, int], np.ndarray]:
    """Of each contact of a robot that stands in the floor, how it gives way, by the shape and a count."""
    data, found = mujoco.MjData(model), {}
    data.qpos[1] = -0.35
    mujoco.mj_forward(model, data)
    for contact in data.contact:
        name = model.geom(max(contact.geom)).name
        key = name, sum(shape == name for shape, _ in found)
        found[key] = np.array([*contact.solref, *contact.solimp, contact.dim, contact.includemargin, contact.dist])
    return found


def test_friction_is_written_as_pairs_that_are_otherwise_mujocos_own(tmp_path: Path) -> None:
    system, trajectories = task_data("cheetah-run")
    rows = trajectories.windows(1)
    statistics = Statistics.of(system.facts, trajectories.states[rows], trajectories.states[rows + 1])
    config = CONFIG.model_copy(update={"constraints": ConstraintsConfig()})
    simulator = NeuralSimulator(system.facts, config, statistics)
    predictor = predictor_of(simulator)
    predictor.assign(mjcf_mechanics(system).mechanics)
    assert predictor.constraints is not None
    assert predictor.constraints.contacts is not None
    with torch.no_grad():
        predictor.constraints.contacts.compliance.shared[FRICTION] = np.log(0.4)  # Less than MuJoCo's own, which is 1.
    written = write_learned(tmp_path / "cheetah.xml", simulator, predictor.mechanics(), system)
    assert "only the friction of contacts is written" in written.unwritten[-1]
    model, own = written.system.model, system.model
    # The others of six touch nothing in these data.
    assert 2 <= model.npair <= 6
    np.testing.assert_allclose(model.pair_friction[:, :2], 0.4, rtol=1e-6)
    before, after = (sunk(each) for each in (own, model))
    assert before.keys() == after.keys()
    assert len(before) > 3
    for contact, numbers in before.items():
        np.testing.assert_allclose(after[contact], numbers, rtol=1e-6, atol=1e-12)


def test_rollouts_of_file_and_simulator_agree(tmp_path: Path) -> None:
    system, trajectories = task_data("cartpole-swingup")
    simulator = with_numbers(system, mjcf_mechanics(system).mechanics)
    found = identification(simulator, mjcf_mechanics(system))
    written = write_learned(tmp_path / "cartpole.xml", simulator, found.mechanics, system)
    table = agreement(simulator, written.system, trajectories, (1, 16, 5000), 20)
    assert table["horizon"].tolist() == [1, 16]  # No episode has 5000 steps.
    assert table["written, truth median"].max() < 1e-12
    assert table["written, simulator median"].max() < 1e-12
    assert (table["starts"] == 20).all()


def test_only_a_file_that_mosim_wrote_is_replaced(tmp_path: Path) -> None:
    system = two_links()
    arm = tmp_path / "arm.xml"
    mujoco.mj_saveLastXML(str(arm), system.model)
    before = arm.read_bytes()
    source = load_system(str(arm))
    simulator = with_numbers(source, mjcf_mechanics(source).mechanics)
    mechanics = predictor_of(simulator).mechanics()
    with pytest.raises(MosimError, match=r"arm\.xml was not written by mosim and is not replaced"):
        write_learned(arm, simulator, mechanics, source)
    assert arm.read_bytes() == before
    out = tmp_path / "learned.xml"
    for _ in range(2):
        write_learned(out, simulator, mechanics, source)
    assert "written by mosim identify" in out.read_text()
    with pytest.raises(MosimError, match="not a valid name for an MJCF file"):
        require_replaceable(tmp_path / "arm.urdf")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["arm.xml", "learned.xml"]


def test_a_model_whose_meshes_are_gone_is_not_written(robot: System, tmp_path: Path) -> None:
    folder = tmp_path / "moved"
    (folder / "parts").mkdir(parents=True)
    hull = folder / "parts" / "hull.obj"
    hull.write_text(HULL)
    (folder / "robot.xml").write_text(ROBOT)
    system = load_system(str(folder / "robot.xml"))
    simulator = with_numbers(system, mjcf_mechanics(system).mechanics)
    hull.unlink()
    with pytest.raises(MosimError, match=r"hull\.obj"):
        write_learned(tmp_path / "robot.xml", simulator, predictor_of(simulator).mechanics(), system)
    assert not (tmp_path / "robot.xml").exists()


def test_meshes_that_collide_are_written_though_their_frames_are_computed_anew(tmp_path: Path) -> None:
    path = tmp_path / "stone.xml"
    path.write_text(
        """
        <mujoco>
          <asset>
            <mesh name="stone" vertex="-.1 -.1 -.08 .12 -.1 -.08 0 .1 -.08 0 0 .12 .1 .05 .05"/>
            <mesh name="chip" vertex="-.02 .01 -.07 .1 -.03 -.02 .01 .13 -.04 .03 .02 .11"/>
          </asset>
          <worldbody>
            <geom type="plane" size="5 5 1"/>
            <body><freejoint/><geom type="mesh" mesh="stone"/><geom type="mesh" mesh="chip" pos=".1 .2 0"/></body>
          </worldbody>
        </mujoco>
        """
    )
    system = load_system(str(path))
    assert [shape.kind for shape in system.facts.skeleton.shapes] == ["plane", "mesh", "mesh"]
    simulator = with_numbers(system, mjcf_mechanics(system).mechanics)
    written = write_learned(tmp_path / "out.xml", simulator, predictor_of(simulator).mechanics(), system)
    skeleton = written.system.facts.skeleton
    assert skeleton.is_alike(system.facts.skeleton)
    stone = skeleton.shapes[1]
    longer = stone.model_copy(update={"vertices": ((0.2, 0.0, 0.0), *stone.vertices[1:])})
    assert not skeleton.is_alike(
        skeleton.model_copy(update={"shapes": (skeleton.shapes[0], longer, skeleton.shapes[2])})
    )
