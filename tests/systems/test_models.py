"""Systems that are any MJCF, and their facts."""

from pathlib import Path

import numpy as np
import pytest

from mosim.errors import MosimError, UnsupportedSystemError
from mosim.systems import System, load_system

BODIES = """
<mujoco>
  <option timestep="0.004" integrator="implicitfast"/>
  <worldbody>
    <body name="box" pos="0 0 1">
      <freejoint name="root"/><geom type="box" size=".1 .1 .1"/>
      <body pos=".2 0 0">
        <joint name="wrist" type="ball"/><geom type="capsule" size=".02" fromto="0 0 0 .2 0 0"/>
        <body pos=".2 0 0">
          <joint name="slider" type="slide" limited="true" range="-.05 .05"/>
          <geom type="sphere" size=".03" mass="{mass}"/>
        </body>
      </body>
    </body>
    <body pos="2 0 0"><joint type="hinge" axis="0 1 0"/><geom type="capsule" size=".02" fromto="0 0 0 0 0 .3"/></body>
  </worldbody>
  <actuator>
    <motor joint="slider" ctrllimited="true" ctrlrange="-2 3"/>
    <motor joint="wrist" gear="1 0 0"/>
  </actuator>
</mujoco>
"""


@pytest.fixture
def system(tmp_path: Path) -> System:
    return write(tmp_path / "bodies.xml", BODIES.format(mass=0.1))


def write(path: Path, text: str) -> System:
    path.write_text(text)
    return load_system(str(path))


def test_facts_of_free_ball_slide_and_hinge_joints(system: System) -> None:
    facts = system.facts
    assert (facts.name, facts.nq, facts.nv, facts.nu) == ("bodies", 13, 11, 2)
    assert (facts.timestep, facts.integrator) == (0.004, "implicitfast")
    assert [joint.kind for joint in facts.joints] == ["free", "ball", "slide", "hinge"]
    assert [joint.qpos_address for joint in facts.joints] == [0, 7, 11, 12]
    assert [joint.dof_address for joint in facts.joints] == [0, 6, 9, 10]
    assert facts.joints[2].limited
    assert (facts.joints[2].lower, facts.joints[2].upper) == (-0.05, 0.05)
    assert facts.joints[3].name == "joint3"
    assert (facts.control_lower, facts.control_upper) == ((-2.0, -1.0), (3.0, 1.0))
    assert facts.state_names[6] == "qpos/root[6]"
    assert facts.state_names[-1] == "qvel/joint3"


def test_starts_have_unit_quaternions_and_keep_limits(system: System) -> None:
    starts = np.stack([system.reset([seed]).state for seed in range(50)])
    np.testing.assert_allclose(np.linalg.norm(starts[:, 3:7], axis=1), 1, atol=1e-12)
    np.testing.assert_allclose(np.linalg.norm(starts[:, 7:11], axis=1), 1, atol=1e-12)
    assert np.abs(starts[:, 11]).max() <= 0.05
    assert (starts.std(axis=0) > 0).all()
    np.testing.assert_array_equal(starts[3], system.reset([3]).state)


def test_differences_name_the_fact(system: System, tmp_path: Path) -> None:
    assert system.facts.differences(system.facts) == []
    heavier = write(tmp_path / "heavier.xml", BODIES.format(mass=0.2))
    (phrase,) = heavier.facts.differences(system.facts)
    assert phrase.startswith("physical constants differ (")
    assert "body_mass" in phrase
    slower = write(tmp_path / "slower.xml", BODIES.format(mass=0.1).replace("0.004", "0.002"))
    assert slower.facts.differences(system.facts) == ["timestep is 0.002 against 0.004"]
    wider = write(tmp_path / "wider.xml", BODIES.format(mass=0.1).replace(".05 .05", ".05 .06"))
    assert wider.facts.differences(system.facts)[0] == "joints differ (slider)"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("<mujoco><worldbody/></mujoco>", "its model has no joints"),
        ("<mujoco><nonsense/></mujoco>", "does not compile"),
        (BODIES.format(mass=1).replace('joint="slider" ctrl', 'joint="slider" dyntype="filter" ctrl'), "compile"),
    ],
)
def test_models_that_cannot_be_simulated(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(MosimError, match=sentence):
        write(tmp_path / "bad.xml", text)


def test_actuators_with_a_state_of_their_own_are_refused(tmp_path: Path) -> None:
    text = BODIES.format(mass=1).replace(
        '<motor joint="wrist" gear="1 0 0"/>', '<general joint="slider" dyntype="integrator"/>'
    )
    with pytest.raises(UnsupportedSystemError, match=r"1 internal states of its actuators .* outside \[qpos, qvel\]"):
        write(tmp_path / "muscle.xml", text)


def test_sources_that_name_nothing(tmp_path: Path) -> None:
    with pytest.raises(MosimError, match="there is no MJCF file at"):
        load_system(str(tmp_path / "absent.xml"))
    with pytest.raises(MosimError, match="neither a task"):
        load_system("some/folder")


def test_a_models_own_keyframe_is_where_it_starts(tmp_path: Path) -> None:
    keyframe = "<keyframe><key qpos='0 0 5 1 0 0 0 1 0 0 0 0 1'/></keyframe></mujoco>"
    system = write(tmp_path / "keyed.xml", BODIES.format(mass=0.1).replace("</mujoco>", keyframe))
    heights = [system.reset([seed]).state[2] for seed in range(20)]
    assert np.mean(heights) == pytest.approx(5, abs=0.2)
