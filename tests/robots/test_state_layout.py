"""Where the parts of a state stand, held to MuJoCo's own data."""

import mujoco
import numpy as np
import pytest
import torch

from mechanisms import ACTUATORS, EVERY_JOINT, compiled
from mosim.robots import StateLayout


@pytest.mark.parametrize("xml", [EVERY_JOINT, ACTUATORS])
def test_a_state_is_what_mujoco_s_data_hold(xml: str) -> None:
    model, facts = compiled(xml)
    layout, data = facts.layout, mujoco.MjData(model)
    state = np.random.default_rng(0).normal(size=layout.size)
    layout.write(state, data)
    parts = layout.split(torch.from_numpy(state))
    for part, own in zip(parts, (data.qpos, data.qvel, data.act), strict=True):
        np.testing.assert_array_equal(part.numpy(), own)
    np.testing.assert_array_equal(layout.read(data), state)
    assert (layout.nq, layout.nv, layout.na) == (model.nq, model.nv, model.na)
    assert layout.size == facts.state_size == len(layout.names) == len(set(layout.names))


def test_dimensions_say_what_they_are() -> None:
    _, facts = compiled(ACTUATORS)
    units = {dimension.name: (dimension.quantity, dimension.unit) for dimension in facts.layout.dimensions}
    assert units["qpos/elbow"] == ("angle", "rad")
    assert units["qvel/rail"] == ("velocity", "m/s")
    assert units["act/muscle"] == ("activation", "")
    assert list(units)[-4:] == ["act/filter", "act/exact", "act/integrator", "act/muscle"]
    _, free = compiled(EVERY_JOINT)
    quantities = [dimension.quantity for dimension in free.layout.dimensions]
    assert quantities[:7] == ["length"] * 3 + ["quaternion"] * 4
    assert [free.layout.names[place.start] for place in free.layout.quaternions] == ["qpos/root[3]", "qpos/neck[0]"]
    assert [(free.layout.names[a], free.layout.names[b]) for a, b in free.layout.rates][2:4] == [
        ("qpos/root[2]", "qvel/root[2]"),
        ("qpos/shoulder", "qvel/shoulder"),
    ]


def test_activations_are_further_controls_to_what_knows_motion_alone() -> None:
    _, facts = compiled(ACTUATORS)
    assert facts.driven.nu == facts.nu + facts.layout.na == 9
    assert facts.driven.state_size == facts.nq + facts.nv
    assert facts.driven.control_upper[5:] == (2.0, 1.0, 0.5, 1.0), "an activation's range, or else its control's"
    _, plain = compiled(EVERY_JOINT)
    assert plain.driven is plain


def test_systems_whose_activations_differ_are_two(tmp_path: object) -> None:
    _, one = compiled(ACTUATORS)
    _, other = compiled(ACTUATORS.replace('actrange="-.5 .5"', 'actrange="-.4 .5"'))
    assert any("internal states of actuators" in phrase for phrase in one.differences(other))


def test_a_layout_is_read_back_from_json() -> None:
    _, facts = compiled(ACTUATORS)
    assert StateLayout.model_validate_json(facts.layout.model_dump_json()) == facts.layout
