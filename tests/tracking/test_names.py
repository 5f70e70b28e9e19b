"""Names of any script stay as they are, and stay apart, wherever MLflow allows less than the user."""

import re
import unicodedata
from pathlib import Path

from hypothesis import example, given
from hypothesis import strategies as st
from mlflow import MlflowClient
from mlflow.utils.validation import _validate_metric_name, _validate_model_name

from mosim.tracking import Tracker
from mosim.tracking.limits import MAX_NAME_LENGTH, fitting_model_name, fitting_name, run_key

TEXT = st.text(min_size=1, max_size=300)
NEAR = st.text(alphabet="a_ ?:/[]0'\"%é左", min_size=1, max_size=6)
"""Names of few characters, so that two of them are often nearly the same."""


@given(st.one_of(TEXT, NEAR))
@example("左臂/関節[3]")
def test_mlflow_takes_every_name(name: str) -> None:
    fitting = fitting_name(f"m{name}".replace("/", " "))
    _validate_metric_name(fitting)
    assert len(fitting) <= MAX_NAME_LENGTH
    model = fitting_model_name(f"mosim-{name}")
    _validate_model_name(model)
    assert len(model) <= MAX_NAME_LENGTH
    assert not set(model) & set("'\"/:?#")


@given(st.one_of(st.tuples(NEAR, NEAR), st.tuples(TEXT, TEXT)))
@example(("a_b", "a b"))
@example(("a?b", "a_b"))
@example(("a[1]", "a:1"))
@example(("a[1]", "a[1]\n"))
@example(("a?", "a:3f:"))
@example(("x" * 299 + "a", "x" * 299 + "b"))
def test_two_names_stay_two(names: tuple[str, str]) -> None:
    first, second = names
    for fit in (fitting_name, fitting_model_name, lambda name: run_key(name, "study")):
        assert (fit(first) == fit(second)) == (first == second)


@given(st.tuples(NEAR, NEAR), st.tuples(NEAR, NEAR))
def test_keys_of_runs_stay_apart_whatever_their_parents_are_called(
    first: tuple[str, str], other: tuple[str, str]
) -> None:
    keys = [run_key(name, run_key(parent, None)) for parent, name in (first, other)]
    assert (keys[0] == keys[1]) == (first == other)


@given(st.text(alphabet=st.characters(categories=["L", "N"]), min_size=1, max_size=80))
def test_letters_of_any_script_stay(name: str) -> None:
    assert run_key(name, None) == name
    assert fitting_model_name(name) == name
    if all(re.match(r"\w", letter) for letter in unicodedata.normalize("NFC", name)):
        assert fitting_name(name) == name


def test_what_names_are_for() -> None:
    assert fitting_name("mse/root[3]") == "mse/root:3"
    assert fitting_name("a?") == "a:3f:"
    assert fitting_name("stages.0.learning_rate") == "stages.0.learning_rate"
    assert run_key("train", "run") == "run/train"
    assert fitting_model_name("mosim-左臂") == "mosim-左臂"


def test_runs_of_such_names_are_runs_of_their_own_and_are_found_again(tmp_path: Path, store: str) -> None:
    names = [
        "左臂 recipe seed-0",
        "右臂 recipe seed-0",
        "a_b",
        "a b",
        "a?b",
        "a'b",
        'a"b',
        "a`b",
        "a%27b",
        "a\\b",
        "bras é",
    ]
    for step in range(2):
        with Tracker.open(tmp_path / "out", "arms", store) as tracker:
            parent = tracker.run("study 左")
            for number, name in enumerate(names):
                with parent.child(name) as run:
                    run.log_metrics({"误差[0]": number}, step)
        # Whoever has lost the cursor finds the runs by their keys.
        for cursor in (tmp_path / "out" / "tracking").glob("cursor-*.json"):
            cursor.unlink()
    client = MlflowClient(store)
    found = client.get_experiment_by_name("arms")
    assert found is not None
    runs = {str(run.info.run_name): run for run in client.search_runs([found.experiment_id])}
    assert runs.keys() == {"study 左", *names}
    for number, name in enumerate(names):
        points = client.get_metric_history(runs[name].info.run_id, "误差:0")
        assert [(point.step, point.value) for point in points] == [(0, number), (1, number)]
