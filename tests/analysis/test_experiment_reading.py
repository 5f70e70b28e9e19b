"""From an MLflow store to frames."""

import math
from pathlib import Path

import numpy as np
import pytest
from logged_experiments import Logged, simulator, study, sweep, whole_run, write_experiment

from mosim_analysis import AnalysisError, Results, Store, read_results, store


@pytest.fixture(scope="module")
def results(everything: str) -> Results:
    return read_results(Store(everything), "mosim")


def named(results: Results, name: str) -> str:
    """The id of the run of a name."""
    [found] = results.runs.index[results.runs["name"] == name]
    return str(found)


def test_runs_are_those_that_a_user_knows(results: Results) -> None:
    phases = results.runs["phase"].value_counts().to_dict()
    assert phases == {"study run": 13, "trial": 12, "run": 3}
    assert set(results.runs.loc[results.runs["phase"] == "run", "name"]) == {
        f"run reacher-easy, seed {seed}" for seed in range(3)
    }
    assert set(results.runs["task"]) == {"reacher-easy"}


def test_groups_are_variants_sweeps_and_runs_but_for_their_seeds(results: Results) -> None:
    sizes = results.runs.groupby("group")["name"].count().to_dict()
    assert sizes == {"as shipped": 3, "no constraints": 3, "narrow": 3, "wide": 3, "search": 12, "run": 3}
    assert results.runs.loc[results.runs["baselines"], "group"].isna().all()


def test_the_phases_of_a_run_are_one(results: Results) -> None:
    run = named(results, "run reacher-easy, seed 1")
    for frame in (results.curves, results.dimensions, results.training, results.returns):
        assert run in set(frame["run"])
    parameters = results.parameters.loc[run].to_dict()
    assert (parameters["stages.0.learning_rate"], parameters["policy.learning_rate"]) == ("0.005", "0.0005")
    assert results.runs.loc[run, "random_return"] == 52.0


def test_a_judgement_that_is_said_twice_counts_once(results: Results) -> None:
    rows = results.returns[results.returns["run"] == named(results, "run reacher-easy, seed 0")]
    assert rows.groupby("policy").size().to_dict() == {"true-trained": 10, "zero-shot": 10}
    zero_shot = rows[rows["policy"] == "zero-shot"]
    np.testing.assert_allclose(zero_shot["simulated"] - zero_shot["true"], 40.0)


def test_frames_hold_what_was_logged(results: Results) -> None:
    run = named(results, "reacher-easy as shipped seed-2")
    curve = results.curves[results.curves["run"] == run]
    assert curve["step"].tolist() == list(range(1, 101))
    np.testing.assert_allclose(curve["mse"] / curve["mse"].iloc[0], np.sqrt(curve["step"]))
    training = results.training[results.training["run"] == run]
    assert training["samples"].tolist() == [step * 512 for step in training["step"]]
    assert training["error"].notna().sum() == 2
    dimensions = results.dimensions[results.dimensions["run"] == run]
    assert dimensions.groupby("horizon").size().to_dict() == {1: 4, 3: 4, 16: 4, 100: 4}


def test_a_run_that_failed_or_lacks_something_is_kept_and_marked(database: Path) -> None:
    lacking = simulator("lacking", "lacking", 0, 1e-6)
    lacking.metrics = {"train/loss": lacking.metrics["train/loss"]}
    running = simulator("running", "running", 0, 1e-6, status="RUNNING")
    nothing = Logged("nothing", tags={"phase": "train", "task": "reacher-easy"}, status="KILLED")
    uri = write_experiment(database, [*study(), lacking, running, nothing])
    runs = read_results(Store(uri), "mosim").runs.set_index("name")
    failed = runs.loc["reacher-easy wide seed-2"]
    assert (failed["status"], failed["failure"]) == ("FAILED", "diverged: the loss is not <finite>")
    assert runs.loc["lacking", "missing"] == "horizon curve"
    assert (runs.loc["running", "status"], runs.loc["running", "missing"]) == ("RUNNING", "")
    assert runs.loc["nothing", "status"] == "KILLED"
    assert set(runs.drop(index="lacking")["missing"]) == {""}


def test_an_error_that_became_infinite_is_infinite_again(database: Path) -> None:
    diverging = simulator("diverging", "diverging", 0, 1e-6)
    steps, errors = diverging.metrics["horizon_mse/mosim"]
    diverging.metrics = {"horizon_mse/mosim": (steps, [*errors[:50], *[math.inf] * 50])}
    curves = read_results(Store(write_experiment(database, [diverging])), "mosim").curves
    assert np.isinf(curves["mse"]).sum() == 50
    assert curves["mse"].iloc[:50].max() < 1e-4


def test_a_training_and_its_evaluation_are_one(database: Path) -> None:
    whole = simulator("", "", 0, 1e-6)
    tags = {"task": "reacher-easy", "simulator": "abc"}
    train = Logged(
        "train reacher-easy", whole.parameters, {"train/loss": whole.metrics["train/loss"]}, {"phase": "train", **tags}
    )
    curve = {"horizon_mse/mosim": whole.metrics["horizon_mse/mosim"]}
    evaluations = [Logged("evaluate reacher-easy", {}, curve, {"phase": "evaluate", **tags}) for _ in range(2)]
    results = read_results(Store(write_experiment(database, [train, *evaluations])), "mosim")
    assert len(results.runs) == 2, "the earlier evaluation stands for itself"
    merged = results.runs.index[results.runs["phase"] == "train"][0]
    assert set(results.curves["run"]) == set(results.runs.index)
    assert set(results.training["run"]) == {merged}


def test_how_it_was_measured_makes_no_group(database: Path) -> None:
    runs = [
        Logged(
            "evaluate reacher-easy",
            {"seed": seed, "model.bias.width": 64, "evaluation.starts": starts, "checkpoint": f"runs/{seed}"},
            {"horizon_mse/mosim": ([1, 2], [1e-6, 2e-6])},
            {"phase": "evaluate", "task": "reacher-easy", "dataset.id": f"d{seed}"},
        )
        for seed, starts in ((0, 50), (1, 400), (2, 400))
    ]
    runs[2].parameters = {**runs[2].parameters, "model.bias.width": 128}
    groups = read_results(Store(write_experiment(database, runs)), "mosim").runs["group"].tolist()
    assert groups == ["width 64", "width 64", "width 128"]


def test_runs_can_be_chosen_by_id_name_or_sweep(everything: str) -> None:
    whole = Store(everything)
    chosen = read_results(whole, "mosim", only=["sweep search"])
    assert set(chosen.runs["phase"]) == {"trial"}
    assert len(chosen.runs) == 12
    one = read_results(whole, "mosim", only=["reacher-easy narrow seed-0"])
    assert one.runs["name"].tolist() == ["reacher-easy baselines", "reacher-easy narrow seed-0"]
    by_id = read_results(whole, "mosim", only=[str(one.runs.index[1])[:12]])
    assert by_id.runs.index.tolist() == one.runs.index.tolist()


def test_runs_can_be_grouped_by_a_parameter_or_a_tag(everything: str) -> None:
    whole = Store(everything)
    by_parameter = read_results(whole, "mosim", group_by="model.constraints").runs["group"]
    assert set(by_parameter.dropna()) == {"constraints 12", "constraints None", "constraints not set"}
    by_tag = read_results(whole, "mosim", group_by="model.structure").runs["group"]
    assert by_tag.value_counts().to_dict() == {"structure rigid_body + corrector": 15, "structure not set": 12}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"experiment": "nope"}, "has no experiment 'nope'; available: Default, mosim."),
        ({"experiment": "Default"}, "has no runs yet"),
        ({"experiment": "mosim", "only": ["nope"]}, "no run 'nope'"),
        ({"experiment": "mosim", "group_by": "model.structur"}, "'model.structur'; available: model.structure"),
    ],
)
def test_what_is_not_there_is_told(everything: str, arguments: dict, said: str) -> None:
    with pytest.raises(AnalysisError, match=said):
        read_results(Store(everything), **arguments)


def test_every_page_of_runs_is_read(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "PAGE", 5)
    uri = write_experiment(database, [*study(seeds=4), *sweep(trials=6)])
    results = read_results(Store(uri), "mosim")
    assert len(results.runs) == 1 + 16 + 6
    assert results.curves["run"].nunique() == 1 + 15 + 6


def test_what_has_ended_is_asked_for_once(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    running = simulator("running", "running", 0, 1e-6, status="RUNNING")
    uri = write_experiment(database, [*whole_run(0), running])
    whole = Store(uri)
    first = read_results(whole, "mosim")
    asked = []
    ask = whole._client.get_metric_history
    monkeypatch.setattr(whole._client, "get_metric_history", lambda *key: asked.append(key[0]) or ask(*key))
    second = read_results(whole, "mosim")
    assert set(asked) == {running.id}
    assert second.curves.equals(first.curves)
