"""What makes a system: everything in the compiled model that changes motion, and nothing else."""

from collections.abc import Callable
from fnmatch import fnmatchcase
from pathlib import Path

import mujoco
import numpy as np
import pytest
from mujoco.introspect import ast_nodes, structs

from mosim.core.errors import UnsupportedSystemError
from mosim.robots import read_facts
from mosim.robots.physics import LEFT_OUT, array_fields, physics_digests, physics_fields
from mosim.tasks import load_system

PUCK = """
<mujoco model="puck">
  <option timestep="0.005"/>
  <asset>
    <texture name="grid" type="2d" builtin="checker" width="8" height="8"/><material name="grid" texture="grid"/>
  </asset>
  <custom><numeric name="note" data="1 2"/><text name="word" data="said"/></custom>
  <worldbody>
    <light pos="0 0 3"/><camera name="eye" pos="0 -2 1"/>
    <geom name="floor" type="plane" size="5 5 0.1" friction="1 0.005 0.0001" material="grid"/>
    <site name="mark" pos="0 0 1" size=".01"/>
    <body name="puck" pos="0 0 0.2">
      <joint name="x" type="slide" axis="1 0 0"/>
      <joint name="z" type="slide" axis="0 0 1"/>
      <geom name="puck" type="sphere" size="0.1" mass="1"/>
      <geom name="shell" type="box" size="0.12 0.12 0.12" mass="0" contype="0" conaffinity="0"/>
      <site name="hook" pos="0 0 .1"/>
    </body>
    <body name="weight" pos="1 0 1">
      <joint name="fall" type="slide" axis="0 0 1" damping="1e-12"/>
      <geom name="weight" type="capsule" size="0.05 0.1" mass="0.5"/>
    </body>
  </worldbody>
  <tendon><spatial name="rope" stiffness="3" width=".02"><site site="mark"/><site site="hook"/></spatial></tendon>
  <equality><joint joint1="z" joint2="fall" polycoef="0 0.5 0 0 0"/></equality>
  <actuator>
    <motor name="push" joint="x" gear="10" ctrlrange="-1 1" forcelimited="true" forcerange="-8 8"/>
  </actuator>
  <sensor><jointpos joint="x" noise="0.1"/></sensor>
  <keyframe><key name="home" qpos="0 0 0" qvel="1 1 1"/><key name="later" qpos="1 1 1"/></keyframe>
</mujoco>
"""


def compiled(text: str = PUCK) -> mujoco.MjModel:
    return mujoco.MjModel.from_xml_string(text)


def differences(text: str) -> list[str]:
    return read_facts(compiled(), "puck").differences(read_facts(compiled(text), "puck"))


STRUCTURES = {"mjModel": "", "mjOption": "opt.", "mjStatistic": "stat."}
TEXTS = {"names", "paths", "text_data"}


def all_fields() -> set[str]:
    """Every array of a model and every option, as MuJoCo's own description of its structures has them."""
    return {
        prefix + field.name
        for structure, prefix in STRUCTURES.items()
        for field in structs.STRUCTS[structure].fields
        if isinstance(field, ast_nodes.StructFieldDecl) and (prefix or field.array_extent)
    } - TEXTS


def left_out(field: str) -> bool:
    return any(fnmatchcase(field, pattern) for patterns in LEFT_OUT.values() for pattern in patterns)


def test_every_field_of_the_installed_mujoco_counts_or_is_left_out_by_a_pattern_that_is_in_use() -> None:
    every = all_fields()
    assert len(every) > 400
    counted = {name for name, _ in physics_fields(compiled())}
    assert counted == {field for field in every if not left_out(field)}
    patterns = [pattern for patterns in LEFT_OUT.values() for pattern in patterns]
    assert [pattern for pattern in patterns if not any(fnmatchcase(field, pattern) for field in every)] == []


@pytest.mark.parametrize(
    ("old", "new", "field"),
    [
        ('friction="1 0.005 0.0001"', 'friction="0.05 0.005 0.0001"', "geom_friction"),
        ('forcerange="-8 8"', 'forcerange="-1 1"', "actuator_forcerange"),
        ('size="0.1" mass="1"', 'size="0.1" mass="1" solref="0.2 1"', "geom_solref"),
        ('size="0.1" mass="1"', 'size="0.1" mass="1" contype="0" conaffinity="0"', "geom_contype"),
        ('timestep="0.005"', 'timestep="0.005" cone="elliptic"', "opt.cone"),
        ('timestep="0.005"', 'timestep="0.005" solver="CG"', "opt.solver"),
        ('timestep="0.005"', 'timestep="0.005" iterations="1"', "opt.iterations"),
        ('gear="10"', 'gear="9"', "actuator_gear"),
        ('axis="1 0 0"', 'axis="1 0 0" solreflimit="0.5 1"', "jnt_solref"),
        ('<geom name="floor"', '<geom name="floor" surfacevel="1 0 0"', "geom_surfacevel"),
        ('qpos="0 0 0"', 'qpos="3 1 0"', "key_qpos"),
        ('name="hook" pos="0 0 .1"', 'name="hook" pos="0 0 .2"', "site_pos"),
        ('polycoef="0 0.5', 'polycoef="0 0.6', "eq_data"),
        ('damping="1e-12"', 'damping="2e-12"', "dof_damping"),
    ],
)
def test_an_edit_that_changes_motion_makes_another_system(old: str, new: str, field: str) -> None:
    assert old in PUCK
    (phrase,) = differences(PUCK.replace(old, new))
    assert phrase.startswith("physical constants differ (")
    assert field in phrase


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('material="grid"/>', 'rgba="1 0 0 1"/>'),
        ('name="shell" type="box" size="0.12 0.12 0.12"', 'name="shell" type="sphere" size="0.3"'),
        ('<site name="mark" pos="0 0 1" size=".01"/>', '<site name="mark" pos="0 0 1" size=".5"/>'),
        ('<camera name="eye" pos="0 -2 1"/>', ""),
        ('data="1 2"', 'data="5 2"'),
        ('noise="0.1"', 'noise="0.7"'),
        ('width=".02"', 'width=".05"'),
        ('qvel="1 1 1"/><key name="later" qpos="1 1 1"/>', "/>"),
        ('model="puck"', 'model="other"'),
        ("fall", "落下"),
    ],
)
def test_an_edit_that_changes_no_motion_does_not(old: str, new: str) -> None:
    assert old in PUCK
    assert differences(PUCK.replace(old, new)) == []


def test_what_is_left_out_as_drawing_or_notes_moves_nothing() -> None:
    reference = motion(compiled())
    for reason, patterns in LEFT_OUT.items():
        if not reason.startswith(("drawing", "names", "numbers", "readings", "keyframes", "scales")):
            continue
        model = compiled()
        for name, array in array_fields(model):
            if array.dtype.kind == "f" and any(fnmatchcase(name, pattern) for pattern in patterns):
                array *= 1.5
                array += 0.25
        np.testing.assert_array_equal(motion(model), reference, reason)


def motion(model: mujoco.MjModel) -> np.ndarray:
    data, rows = mujoco.MjData(model), []
    data.qvel[:] = 0.3
    for step in range(300):
        data.ctrl[:] = np.sin(step / 20)
        mujoco.mj_step(model, data)
        rows.append(np.concatenate([data.qpos, data.qvel]))
    return np.array(rows)


def test_every_number_that_counts_is_seen() -> None:
    digests = physics_digests(compiled())
    for name, array in physics_fields(compiled()):
        if not array.size or "." in name or name.startswith(("geom", "site")):
            continue
        model = compiled()
        getattr(model, name).flat[0] = 0 if array.dtype.kind == "b" and array.flat[0] else array.flat[0] + 1
        assert physics_digests(model).get(name) != digests.get(name), name


@pytest.mark.parametrize("name", ["hopper-hop", "humanoid_CMU-run", "manipulator-bring_ball"])
def test_last_bits_do_not_count(name: str) -> None:
    model = load_system(name).model
    digests = physics_digests(model)
    for _, array in physics_fields(model):
        if array.dtype == np.float64 and np.any(array):
            array[array == 0] = 1e-16 * min(np.abs(array).max(), 1)
            array *= 1 + 2e-16
    assert physics_digests(model) == digests


def test_tasks_of_one_body_are_one_system_and_a_drawn_target_is_no_part_of_it() -> None:
    easy, hard = load_system("reacher-easy"), load_system("reacher-hard")
    assert easy.facts.differences(hard.facts) == []
    assert load_system("fish-swim").facts.differences(load_system("fish-upright").facts) == []
    assert load_system("finger-spin").facts.differences(load_system("finger-turn_easy").facts) == [
        "physical constants differ (dof_damping)"
    ]
    assert load_system("point_mass-hard").facts == load_system("point_mass-hard").facts


def test_where_a_file_lies_and_what_it_is_called_is_no_part_of_the_system(tmp_path: Path) -> None:
    (tmp_path / "moved").mkdir()
    for path in (tmp_path / "puck.xml", tmp_path / "moved" / "冰球.xml"):
        path.write_text(PUCK)
    here, there = load_system(str(tmp_path / "puck.xml")), load_system(str(tmp_path / "moved" / "冰球.xml"))
    assert here.facts.differences(there.facts) == []


HIDDEN: list[tuple[Callable[[str], str], str]] = [
    (
        lambda text: text.replace('name="push"', 'name="push" delay="0.05" nsample="10"'),
        r"the earlier controls of 'push' are not part of \[qpos, qvel, act\]; remove the delay",
    ),
    (
        lambda text: text.replace('<option timestep="0.005"/>', '<option><flag sleep="enable"/></option>'),
        r"the sleeping bodies are not part of \[qpos, qvel, act\]; disable the option sleep",
    ),
]


@pytest.mark.parametrize(("edit", "sentence"), HIDDEN)
def test_states_beside_qpos_and_qvel_are_refused(edit: Callable[[str], str], sentence: str) -> None:
    assert edit(PUCK) != PUCK
    with pytest.raises(UnsupportedSystemError, match=rf"'puck' cannot be simulated: {sentence}"):
        read_facts(compiled(edit(PUCK)), "puck")


def test_a_delayed_reading_is_no_hidden_state() -> None:
    text = PUCK.replace('noise="0.1"', 'delay="0.05" nsample="10"')
    assert compiled(text).nhistory
    assert read_facts(compiled(text), "puck").nq == 3
