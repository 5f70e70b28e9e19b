"""A sweep that is resumed under a file that has changed."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from ray import tune

from mosim.core.errors import MismatchError, MosimError
from mosim.core.run_identity import keep_identity
from mosim.experiments.sweep import Draw, SweepPlan, check_resumption, plan_sweep, read_sweep
from mosim.experiments.tune.searchers import DRAW, DrawnTrials

DRAWN = {"space": {"stages.1.learning_rate": {"loguniform": [0.001, 0.01]}}, "budget": {"trials": 2, "concurrent": 2}}


@pytest.fixture
def planned(tmp_path: Path, tiny_sweep: dict[str, Any]) -> Callable[..., SweepPlan]:
    """The plan of the tiny sweep with changes."""

    def plan(**changes: Any) -> SweepPlan:
        file = tmp_path / "sweep.yaml"
        file.write_text(yaml.safe_dump(tiny_sweep | DRAWN | changes))
        return plan_sweep(read_sweep(file), file)

    return plan


def test_what_decides_results_must_stay(planned: Callable[..., SweepPlan], tmp_path: Path) -> None:
    storage = str(tmp_path / "storage")
    assert check_resumption(planned(), storage, resume=False) == check_resumption(planned(), storage, resume=True) == []
    keep_identity(storage, planned().identity)
    with pytest.raises(MosimError, match="holds a run already"):
        check_resumption(planned(), storage, resume=False)
    assert check_resumption(planned(), storage, resume=True) == []
    for change, named in [
        ({"metric": "horizon_mse/100"}, 'sweep.metric.0 was "horizon_mse/16" and is "horizon_mse/100"'),
        ({"minutes": 0.1}, "sweep.minutes was 0.05 and is 0.1"),
        ({"seeds": [0, 1]}, "sweep.seeds was [0] and is [0, 1]"),
        ({"recipe": "general"}, "recipe.stages"),
        ({"budget": {"trials": 1}}, "sweep.budget.trials was 2 and is 1"),
    ]:
        with pytest.raises(MismatchError) as error:
            check_resumption(planned(**change), storage, resume=True)
        assert named in str(error.value)
        assert "may change budget.trials to a larger number, budget.minutes, budget.concurrent" in str(error.value)
    more = planned(budget={"trials": 5, "minutes": 3.0})
    assert check_resumption(more, storage, resume=True) == [
        "budget.concurrent was 2 and is null", "budget.minutes was null and is 3.0", "budget.trials was 2 and is 5",
    ]  # fmt: skip


def test_a_restored_search_goes_on_with_the_draws_that_are_new(tmp_path: Path) -> None:
    def trained(config: dict[str, Any]) -> None: ...

    def rates(search: DrawnTrials) -> list[float]:
        trials = iter(search.next_trial, None)
        return [trial.config[DRAW]["rate"] for trial in trials]

    draws: list[Draw] = [{"rate": float(rate)} for rate in range(5)]
    first = DrawnTrials(draws[:3], None)
    config = {DRAW: tune.grid_search(draws[:3])}
    first.add_configurations([tune.Experiment("small", trained, config=config, storage_path=str(tmp_path))])
    begun = first.next_trial()
    assert begun is not None
    first.save_to_dir(str(tmp_path), "session")
    for wanted in (draws[:3], draws):
        restored = DrawnTrials(wanted, None)
        restored.restore_from_dir(str(tmp_path))
        assert [begun.config[DRAW]["rate"], *rates(restored)] == [draw["rate"] for draw in wanted]
        assert restored.is_finished()
        restored.save_to_dir(str(tmp_path), "later")


@pytest.mark.slow
@pytest.mark.parametrize("search", ["random", "optuna"])
@pytest.mark.timeout(600)
def test_more_trials_are_run_and_those_that_ended_stay(search: str, sweep_command: Callable[..., Any]) -> None:
    command = sweep_command(**DRAWN, search=search)
    assert command.run() == 0, command.said
    assert "base recipe of the trials: the file " in command.said
    first, ended = command.trials, command.ended
    assert len(first) == 2
    sweep = yaml.safe_load(command.file.read_text())
    command.file.write_text(yaml.safe_dump(sweep | {"budget": {"trials": 4, "concurrent": 2}}))
    assert command.run("--resume") == 0, command.said
    assert "resumed with a changed setting: budget.trials was 2 and is 4" in command.said
    assert len(command.trials) == 4
    assert set(command.trials["status"]) == {"finished"}
    assert {trial: command.ended[trial] for trial in first.index} == ended, "what had ended was trained again"
    assert len(set(command.trials["stages.1.learning_rate"])) == 4
