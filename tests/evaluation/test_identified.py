"""Whether what is told of a learned robot is MuJoCo's, and what is said to be untold is."""

import functools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from learned_robots import learned, predictor_of, steps, task_data, transitions_of, two_links

from mosim.core.errors import MosimError
from mosim.evaluation import Identified, Number, identification, mjcf_mechanics, over_seeds
from mosim.models import NeuralSimulator, NeuralSimulatorConfig, Statistics, base_parameters
from mosim.robots import System


def told(system: System, simulator: NeuralSimulator, transitions) -> Identified:
    return identification(simulator, mjcf_mechanics(system), system.model, transitions).found


@functools.cache
def arm() -> tuple[System, NeuralSimulator, Identified]:
    system = two_links()
    transitions = steps(system, 600)
    simulator = learned(system, transitions)
    return system, simulator, told(system, simulator, transitions)


def named(found: Identified, of: str, name: str) -> Number:
    [number] = [each for each in found.numbers if (each.of, each.name) == (of, name)]
    return number


@settings(max_examples=30)
@given(st.integers(0, 2**16), st.integers(1, 4), st.integers(0, 3))
def test_base_parameters_say_what_equations_say(seed: int, rank: int, more: int) -> None:
    random = torch.Generator().manual_seed(seed)
    mixing = torch.randn(rank, rank + more, generator=random, dtype=torch.float64)
    equations = torch.randn(20, rank, generator=random, dtype=torch.float64) @ mixing
    order = torch.randperm(rank + more, generator=random).tolist()
    base = base_parameters(equations, order)
    assert len(base.told) == rank
    assert sorted(base.told + base.untold) == list(range(rank + more))
    torch.testing.assert_close(equations @ base.changes().mT, torch.zeros(20, more, dtype=torch.float64))
    # The told ones and what goes into them give the equations back.
    torch.testing.assert_close(equations[:, base.told] @ base.combinations(), equations, rtol=1e-6, atol=1e-8)


def test_of_two_links_in_a_plane_exactly_what_is_known_is_told() -> None:
    _, _, found = arm()
    assert [(known.what, known.value) for known in found.known] == [("the gear of first", 5.0)]
    # Moments about the elbow: 1 kg at (0.1, 0.03) m; the upper link carries it at 0.5 m.
    expected = {
        "Izz of upper": (0.03 + 2 * 0.2**2 + 0.5**2 * 1, {"armature of shoulder": 1.0, "mass of lower": 0.25}),
        "mass*x of lower": (0.1, {}),
        "mass*y of lower": (0.03, {}),
        "Izz of lower": (0.005 + 0.1**2 + 0.03**2, {}),
    }
    assert {number.name for number in found.combinations} == {name.partition(" (")[0] for name in expected}
    for number in found.combinations:
        value, others = expected[number.name]
        assert number.determined
        assert number.value == pytest.approx(value, rel=1e-5)
        assert number.reference == pytest.approx(value, rel=1e-9)
        assert {name: pytest.approx(weight, rel=1e-6) for weight, name in number.terms[1:]} == others
    for body in ("upper", "lower"):
        assert not named(found, f"body {body}", "mass").determined
    assert not named(found, "joint shoulder", "armature").determined
    for joint, name, value in (("shoulder", "damping", 0.3), ("elbow", "damping", 0.1), ("elbow", "armature", 0.02)):
        number = named(found, f"joint {joint}", name)
        assert number.determined
        assert number.value == pytest.approx(value, rel=1e-5)
    assert named(found, "actuator second", "gear[0]").value == pytest.approx(3.0, rel=1e-5)
    assert named(found, "actuator first", "gear[0]").known


def test_what_no_motion_tells_of_two_links_is_found_exactly() -> None:
    _, _, found = arm()
    assert all(change.by == "motion" for change in found.changes)
    alone = {change.terms[0][1] for change in found.changes if len(change.terms) == 1}
    moments = ("mass*z", "Ixx", "Iyy", "Ixy", "Ixz", "Iyz")
    assert alone == {f"{name} of {body}" for body in ("upper", "lower") for name in moments} | {
        f"{name} of upper" for name in ("mass", "mass*x", "mass*y")
    }
    together = [change.terms for change in found.changes if len(change.terms) > 1]
    assert together == [
        ((1.0, "mass of lower", "kg"), (pytest.approx(-0.25), "Izz of upper", "kg m2")),
        ((1.0, "armature of shoulder", "kg m2"), (pytest.approx(-1.0), "Izz of upper", "kg m2")),
    ]


def test_the_scale_of_all_forces_does_not_matter() -> None:
    system, simulator, found = arm()
    predictor = predictor_of(simulator)
    before = predictor.mechanics()
    predictor.assign(before._replace(**{name: 7 * part for name, part in before._asdict().items()}))
    again = told(system, simulator, None)
    predictor.assign(before)
    assert again.known[0].factor == pytest.approx(found.known[0].factor / 7, rel=1e-5)
    for number, other in zip(found.combinations, again.combinations, strict=True):
        assert other.value == pytest.approx(number.value, rel=1e-5)
    assert identification(simulator).found.known[0].factor == 1.0


@pytest.mark.parametrize("task", ["cartpole-swingup", "cheetah-run"])
def test_every_number_that_is_told_is_mujocos(task: str) -> None:
    system, trajectories = task_data(task)
    transitions = transitions_of(trajectories)
    found = told(system, learned(system, transitions), transitions)
    numbers = [number for number in (*found.numbers, *found.combinations) if number.determined]
    for number in numbers:
        assert number.reference is not None
        assert number.half_width is not None
        if number.difference is not None:
            assert abs(number.difference) < 0.01, number
        assert abs(number.value - number.reference) < 0.01 * max(number.scale, abs(number.reference)), number
    kinds = {number.name for number in numbers}
    if task == "cartpole-swingup":
        assert {"gear[0]", "damping"} <= kinds
        whole = next(number for number in found.combinations if number.name == "mass of cart")
        assert whole.value == pytest.approx(1.1, rel=1e-4)
    else:
        assert {"gear[0]", "damping", "armature", "stiffness"} <= kinds
        whole = next(number for number in found.combinations if number.name == "mass of torso")
        assert whole.value == pytest.approx(14.0, rel=1e-4)
        assert sum(not number.nothing for number in found.combinations) == 22
        springs = [number for number in numbers if number.name == "stiffness" and number.reference]
        assert [round(number.value) for number in springs] == [240, 180, 120, 180, 120, 60]


def test_what_the_data_leave_open_is_named_with_what_would_tell() -> None:
    system, simulator, _ = arm()
    found = told(system, simulator, steps(system, 300, controls=np.array([1.0, 0.0])))
    open_ones = [change for change in found.changes if change.by == "data"]
    assert {change.terms[0][1] for change in open_ones} == {
        "gear of ctrl[1] on elbow",
    }
    assert all(len(change.terms) == 1 and change.remedy == ("ctrl[1]",) for change in open_ones)
    assert not named(found, "actuator second", "gear[0]").determined
    assert named(found, "joint elbow", "damping").determined


def test_intervals_hold_mujocos_numbers_under_noise() -> None:
    system, _, _ = arm()
    transitions = steps(system, 1500, noise=2e-4)
    found = told(system, learned(system, transitions), transitions)
    numbers = [each for each in (*found.numbers, *found.combinations) if each.determined and not each.known]
    assert len(numbers) > 8
    inside = [abs(number.value - (number.reference or 0.0)) <= (number.half_width or 0.0) for number in numbers]
    assert np.mean(inside) > 0.8
    widths = [(number.half_width or 0.0) / number.scale for number in numbers]
    assert 1e-4 < np.median(widths) < 0.1  # They are no wider than they need be.


def test_data_without_a_free_row_tell_nothing() -> None:
    system, trajectories = task_data("cheetah-run")
    states, actions, next_states = transitions_of(trajectories)
    simulator = learned(system, (states, actions, next_states))
    sunk = states[:20].copy()
    sunk[:, 1] -= 5.0  # Every shape is in the floor.
    found = told(system, simulator, (sunk, actions[:20], next_states[:20]))
    assert found.transitions == 0
    assert set(found.unseen) == {each.name for each in system.facts.joints}
    assert not any(number.determined for number in found.combinations)


def test_several_checkpoints_are_told_as_one() -> None:
    system, _, found = arm()
    other = learned(system, steps(system, 600, noise=1e-4))
    both = over_seeds([found, told(system, other, steps(system, 600))])
    pairs = zip(both.numbers, found.numbers, strict=True)
    assert all(mean.spread is not None and number.spread is None for mean, number in pairs)
    damping = named(both, "joint elbow", "damping")
    assert damping.spread == pytest.approx(abs(damping.value - named(found, "joint elbow", "damping").value) * 2**0.5)
    assert over_seeds([found]) is found


def test_a_predictor_of_networks_has_no_masses() -> None:
    system, _, _ = arm()
    simulator = NeuralSimulator(system.facts, NeuralSimulatorConfig(), Statistics.neutral(system.facts))
    with pytest.raises(MosimError, match=r"is of the kind rigid_body.*, which has no masses"):
        identification(simulator)
