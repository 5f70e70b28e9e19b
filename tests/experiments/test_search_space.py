"""What is drawn of a search space, whoever draws it."""

import itertools
import json
import pickle
from typing import Any

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mosim.core.configuration import with_values
from mosim.experiments.sweep.dimensions import Dimension
from mosim.experiments.sweep.space import Draw, Space
from mosim.training import load_recipe

optuna.logging.set_verbosity(optuna.logging.WARNING)

GENERAL = load_recipe("", "geometry/general")

FLOATS = ("stages.0.learning_rate", "stages.1.gradient_clip", "stages.2.huber_delta")
WHOLE = ("stages.0.batch_size", "stages.3.horizon", "model.inertia.width", "model.correctors.0.network.width")
INPUTS = ([], ["limit_depth"], ["contacts"], ["limit_depth", "contacts"])
STRUCTURES: dict[str, dict[str, Any]] = {
    "as it is": {},
    "shallow": {"model.bias.depth": 0, "model.inertia": {"width": 16, "depth": 0}},
    "no constraints": {"model.constraints": None},
}


def space_of(**dimensions: dict[str, Any]) -> Space:
    return Space({name.replace("__", "."): Dimension.model_validate(each) for name, each in dimensions.items()})


@st.composite
def ranges(draw: st.DrawFn) -> dict[str, Any]:
    low = draw(st.floats(1e-6, 1e3))
    return {draw(st.sampled_from(["uniform", "loguniform"])): [low, low * draw(st.floats(1.01, 1e4))]}


@st.composite
def whole_numbers(draw: st.DrawFn) -> dict[str, Any]:
    low, steps, q = draw(st.integers(1, 50)), draw(st.integers(1, 9)), draw(st.integers(1, 16))
    kinds: list[dict[str, Any]] = [{"quniform": [low, low + steps * q, q]}, {"randint": [low, low + steps]}]
    kinds += [{kind: list(range(low, low + steps))} for kind in ("choice", "grid")]
    return draw(st.sampled_from(kinds))


@st.composite
def spaces(draw: st.DrawFn, grids: bool = True) -> Space:
    """Spaces over the general recipe, with conditions on what can be one of several values."""
    kinds = {name: draw(ranges()) for name in FLOATS} | {name: draw(whole_numbers()) for name in WHOLE}
    kinds["model.correctors.0.inputs"] = {"choice": list(INPUTS)}
    kinds["structure"] = {"grid": STRUCTURES}
    names = draw(st.lists(st.sampled_from(sorted(kinds)), min_size=1, max_size=6, unique=True))
    dimensions: dict[str, Dimension] = {}
    for name in names:
        spec = kinds[name]
        if not grids and "grid" in spec:
            spec = {"choice": spec["grid"]}
        parents = [parent for parent, each in dimensions.items() if each.options is not None]
        if parents and draw(st.booleans()):
            parent = draw(st.sampled_from(parents))
            labels = dimensions[parent].options.labels  # pyright: ignore[reportOptionalMemberAccess]
            spec = spec | {"when": {parent: draw(st.lists(st.sampled_from(labels), min_size=1, unique=True))}}
        dimensions[name] = Dimension.model_validate(spec)
    return Space(dimensions)


def check(space: Space, draw: Draw) -> None:
    """That a draw is one of this space's."""
    assert json.loads(json.dumps(draw)) == draw
    for name, dimension in space.dimensions.items():
        exists = all(parent in draw and draw[parent] in values for parent, values in dimension.when.items())
        assert (name in draw) == exists
        if not exists:
            continue
        value: Any = draw[name]
        if dimension.options is not None:
            assert dimension.kind.takes(value)
        elif dimension.randint is not None:
            assert isinstance(value, int)
            assert dimension.randint.low <= value < dimension.randint.high
        elif dimension.quniform is not None:
            kind = dimension.quniform
            assert kind.low <= value <= kind.high
            assert (value - kind.low) % kind.q == pytest.approx(0)
        else:
            kind = dimension.uniform or dimension.loguniform
            assert kind is not None
            assert kind.low <= value <= kind.high
    assert space.bounded(draw) == draw


@given(spaces(), st.integers(1, 4), st.integers(0, 2**32 - 1))
@settings(max_examples=60)
def test_draws_are_of_the_space_and_make_valid_recipes(space: Space, count: int, seed: int) -> None:
    draws = space.draws(count, seed)
    assert draws
    assert draws == space.draws(count, seed)
    assert space.draws(count + 2, seed)[: len(draws)] == draws
    assert len({json.dumps(draw) for draw in draws}) == len(draws)
    for draw in draws:
        check(space, draw)
        with_values(GENERAL, space.changes(draw), "here")
        assert list(space.changes(draw)) == list(space.origins(draw))


@given(spaces(grids=False), st.integers(0, 1000))
@settings(max_examples=25)
def test_what_optuna_suggests_is_of_the_space(space: Space, seed: int) -> None:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed))
    for _ in range(5):
        trial = study.ask()
        draw = space.suggest(trial)
        check(space, draw)
        assert list(trial.params) == list(draw)
        with_values(GENERAL, space.changes(draw), "here")


def test_optuna_and_the_draws_reach_the_same_points() -> None:
    space = space_of(
        structure={"choice": {"one": {}, "two": {}}},
        model__correctors__0__inputs={"choice": list(INPUTS[:2]), "when": {"structure": "one"}},
        stages__0__batch_size={"quniform": [32, 96, 32], "when": {"structure": "two"}},
        model__inertia__depth={"randint": [1, 3], "when": {"stages.0.batch_size": [64]}},
        stages__0__schedule={"choice": ["cosine", None]},
    )
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(0))
    suggested = {json.dumps(space.suggest(study.ask())) for _ in range(300)}
    drawn = {json.dumps(draw) for draw in space.draws(300, 0)}
    assert suggested == drawn
    assert len(drawn) == (2 + (2 + 2)) * 2


def test_every_draw_meets_every_point_of_the_grid() -> None:
    space = space_of(a={"grid": [1, 2]}, rate={"uniform": [0, 1]}, b={"grid": ["x", "y", "z"]})
    draws = space.draws(3, 0)
    assert len(draws) == 3 * 2 * 3
    rates = [rate for rate, _ in itertools.groupby(draw["rate"] for draw in draws)]
    assert len(rates) == len(set(rates)) == 3, "a draw is compared at every point"
    assert [(draw["a"], draw["b"]) for draw in draws[:6]] == list(itertools.product([1, 2], "xyz"))
    assert list(draws[0]) == ["a", "rate", "b"]


def test_points_of_the_grid_that_differ_in_nothing_that_exists_are_one() -> None:
    space = space_of(method={"grid": ["euler", "dopri5"]}, rtol={"grid": [1e-3, 1e-6], "when": {"method": "dopri5"}})
    expected = [{"method": "euler"}, {"method": "dopri5", "rtol": 1e-3}, {"method": "dopri5", "rtol": 1e-6}]
    assert space.draws(1, 0) == space.draws(5, 0) == expected


def test_a_dimension_at_the_end_leaves_the_others_as_they_were() -> None:
    first: dict[str, Any] = {"a": {"uniform": [0, 1]}, "b": {"choice": [1, 2, 3]}}
    last = {"c": {"loguniform": [1, 2], "when": {"b": [1]}}}
    longer = space_of(**first, **last).draws(20, 5)
    assert [{name: draw[name] for name in "ab"} for draw in longer] == space_of(**first).draws(20, 5)
    assert {draw["b"] == 1 for draw in longer if "c" in draw} == {True}


@given(spaces(), st.integers(0, 9))
@settings(max_examples=30)
def test_samples_hold_every_option(space: Space, seed: int) -> None:
    samples = space.samples(3, seed)
    for draw in samples:
        check(space, draw)
    for name, dimension in space.dimensions.items():
        parents_exist = all(not space.dimensions[parent].when for parent in dimension.when)
        if dimension.options is not None and parents_exist:
            assert {json.dumps(draw[name]) for draw in samples if name in draw} == set(
                map(json.dumps, dimension.options.labels)
            )


def test_logarithms_are_uniform_and_integers_stay_below_their_bound() -> None:
    space = space_of(rate={"loguniform": [1e-4, 1]}, count={"randint": [0, 3]})
    draws: list[dict[str, Any]] = list(space.draws(2000, 0))
    assert sum(draw["rate"] < 1e-2 for draw in draws) == pytest.approx(1000, abs=100)
    assert {draw["count"] for draw in draws} == {0, 1, 2}


def test_changes_come_in_the_order_of_the_dimensions() -> None:
    space = space_of(
        stages={"choice": [[{"name": "a", "learns": ["predictor"], "steps": 1}]]},
        stages__0__steps={"choice": [5]},
        again={"choice": {"b": {"stages": [{"name": "b", "learns": ["predictor"], "steps": 2}]}}},
    )
    (draw,) = space.draws(1, 0)
    assert list(space.changes(draw)) == ["stages.0.steps", "stages"]
    assert space.origins(draw)["stages"] == ("again", "choice", "b", "stages")
    assert with_values(GENERAL, space.changes(draw), "here").stages[0].steps == 2


def test_mutations_are_what_population_based_training_takes() -> None:
    from ray.tune.schedulers import PopulationBasedTraining

    space = space_of(
        rate={"loguniform": [1e-3, 1e-2]},
        size={"choice": [32, 64]},
        inputs={"choice": list(INPUTS)},
        depth={"randint": [1, 4]},
    )
    mutations = space.mutations(["rate", "size", "depth"])
    assert mutations["size"] == [32, 64]
    PopulationBasedTraining(metric="m", mode="min", hyperparam_mutations=dict(mutations))
    rate, depth = pickle.loads(pickle.dumps((mutations["rate"], mutations["depth"])))  # noqa: S301
    assert len({rate() for _ in range(20)}) == 20
    assert {depth() for _ in range(60)} == {1, 2, 3}
    led_out = {"rate": 0.1, "size": 64, "inputs": "[]", "depth": 9}
    assert space.bounded(led_out) == {"rate": 1e-2, "size": 64, "inputs": "[]", "depth": 3}
