"""Systems that are any MJCF, and their facts."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from mosim.core.errors import MosimError, UnsupportedSystemError
from mosim.robots import System
from mosim.tasks import find_system, load_system

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
    assert slower.facts.differences(system.facts) == ["timestep is 0.002 instead of 0.004"]
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


def test_actuators_whose_state_only_code_of_a_user_s_own_knows_are_refused(tmp_path: Path) -> None:
    text = BODIES.format(mass=1).replace(
        '<motor joint="wrist" gear="1 0 0"/>', '<general name="odd" joint="slider" dyntype="user" actdim="2"/>'
    )
    with pytest.raises(
        UnsupportedSystemError, match=r"the internal states of 'odd' are not part of \[qpos, qvel, act\]; use"
    ):
        write(tmp_path / "user.xml", text)


def test_sources_that_name_nothing(tmp_path: Path) -> None:
    with pytest.raises(MosimError, match="there is no MJCF file at"):
        load_system(str(tmp_path / "absent.xml"))
    with pytest.raises(MosimError, match="neither a task"):
        load_system("some/folder")


def test_a_recorded_model_that_moved_names_the_option_that_says_where(tmp_path: Path, system: System) -> None:
    gone = str(tmp_path / "gone" / "bodies.xml")
    what = "the simulator in runs/bodies"
    with pytest.raises(MosimError, match=r"is of the model .*gone/bodies.xml, .* give its new path: --task PATH"):
        find_system(None, gone, "--task", what)
    assert find_system(system.source, gone, "--task", what).facts == system.facts
    assert find_system(None, system.source, "--task", what).facts == system.facts


def test_a_models_own_keyframe_is_where_it_starts(tmp_path: Path) -> None:
    keyframe = "<keyframe><key qpos='0 0 5 1 0 0 0 1 0 0 0 0 1'/></keyframe></mujoco>"
    system = write(tmp_path / "keyed.xml", BODIES.format(mass=0.1).replace("</mujoco>", keyframe))
    heights = [system.reset([seed]).state[2] for seed in range(20)]
    assert np.mean(heights) == pytest.approx(5, abs=0.2)


JOINTS = """
<mujoco>
  <worldbody>
    <body><joint {first} axis="0 1 0"/><geom size=".1" pos=".2 0 0"/>
      <body><joint {second} axis="0 1 0"/><geom size=".1" pos=".3 0 0"/>
        <body><joint {third} type="ball"/><geom size=".1" pos=".4 0 0"/></body>
      </body>
    </body>
  </worldbody>
</mujoco>
"""


def test_joints_without_a_name_take_one_that_is_free(tmp_path: Path) -> None:
    facts = write(tmp_path / "unnamed.xml", JOINTS.format(first="", second='name="joint0"', third="")).facts
    assert [joint.name for joint in facts.joints] == ["joint0 (2)", "joint0", "joint2"]
    assert len(set(facts.state_names)) == facts.state_size


@given(
    st.lists(st.sampled_from(["", "a", "a[0]", "a[1]", "a[0] (2)", "joint0", "joint2", "关节"]), min_size=3, max_size=3)
)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_two_dimensions_of_the_state_are_called_alike(tmp_path: Path, names: list[str]) -> None:
    given_names = [name for name in names if name]
    assume(len(set(given_names)) == len(given_names))
    places = dict(zip(("first", "second", "third"), (f'name="{name}"' if name else "" for name in names), strict=True))
    facts = write(tmp_path / "named.xml", JOINTS.format(**places)).facts
    assert len(set(facts.state_names)) == facts.state_size
    assert [joint.name for joint, name in zip(facts.joints, names, strict=True) if name] == given_names
