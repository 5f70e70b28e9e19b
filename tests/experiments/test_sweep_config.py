"""What a sweep's file may say, and how mistakes in it are told."""

from pathlib import Path

import pytest

from mosim.core.errors import MosimError
from mosim.experiments.sweep.config import METRICS, Sweep, read_sweep
from mosim.experiments.sweep.strategies import Asha, NoScheduler, OptunaSearch, Pbt, RandomSearch

SWEEP = """\
name: mine
task: reacher-easy
minutes: 2
space:
  rate: {loguniform: [0.001, 0.01]}
  structure:
    choice:
      one: {}
      two: {model.bias.width: 8}
  stages.1.learning_rate: {uniform: [0.1, 1], when: {structure: two}}
metric: horizon_mse/100
scheduler: none
search: random
budget: {trials: 3}
resources: {cpu: 1}
"""


def read(folder: Path, *changes: tuple[str, str]) -> Sweep:
    text = SWEEP
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    (folder / "mine.yaml").write_text(text)
    return read_sweep(folder / "mine.yaml")


def test_what_is_not_said_has_a_default(tmp_path: Path) -> None:
    sweep = read(tmp_path, ("resources: {cpu: 1}\n", ""))
    assert (sweep.trains, sweep.seeds, sweep.share_predictors) == ("simulator", (0,), True)
    assert (sweep.resources.cpu, sweep.resources.gpu, sweep.report_seconds) == (1, 0, 10)
    assert (sweep.data.path, sweep.data.episodes) == (None, 300)
    assert (sweep.metric, sweep.modes) == (("horizon_mse/100",), ("min",))
    assert (sweep.scheduler, sweep.search) == (NoScheduler(), RandomSearch())


def test_short_forms_and_long_ones(tmp_path: Path) -> None:
    both = ("metric: horizon_mse/100", "metric: [horizon_mse/100, rollout_steps_per_second]")
    sweep = read(tmp_path, both, ("search: random", "search: {kind: optuna, startup_trials: 4}"))
    assert sweep.modes == ("min", "max")
    assert sweep.search == OptunaSearch(startup_trials=4)
    assert read(tmp_path, ("scheduler: none", "scheduler: asha")).scheduler == Asha()
    assert read(tmp_path, ("search: random", "search: optuna")).search == OptunaSearch()
    pbt = read(tmp_path, ("rate:", "stages.0.learning_rate:"), ("scheduler: none", "scheduler: pbt"))
    assert isinstance(pbt.scheduler, Pbt)
    assert pbt.mutated == ("stages.0.learning_rate",)
    sweep = read(tmp_path, ("task", "data: {path: s3://bucket/data}\ntask"), ("{cpu: 1}", "{cpu: 0.5, gpu: 0.25}"))
    assert sweep.data.path == "s3://bucket/data"
    assert sweep.space["structure"].kind.changes("structure", "two") == {"model.bias.width": 8}


def test_a_sweep_survives_being_written_as_json(tmp_path: Path) -> None:
    for changes in ([], [("task", "data: {path: there}\ntask")], [("scheduler: none", "scheduler: asha")]):
        sweep = read(tmp_path, *changes)
        assert Sweep.model_validate_json(sweep.model_dump_json()) == sweep


def test_a_grid_needs_no_number_of_trials(tmp_path: Path) -> None:
    grid = ("rate: {loguniform: [0.001, 0.01]}", "rate: {grid: [1, 2]}")
    assert read(tmp_path, grid, ("{trials: 3}", "{}")).draw_count == 1
    assert read(tmp_path, grid).draw_count == 3


def test_a_policy_is_trained_in_a_simulator(tmp_path: Path) -> None:
    policy = [("task:", "trains: policy\nsimulator: runs/x\ntask:"), ("horizon_mse/100", "true_return")]
    sweep = read(tmp_path, *policy, ("minutes: 2\n", ""))
    assert sweep.modes == ("max",)
    for odd, said in [
        (("minutes: 2\n", "minutes: 2\n"), "line 5: key 'minutes': a policy is trained for control_steps"),
        (("minutes: 2\n", "data: {steps: 5}\n"), "line 5: key 'data': only simulators are trained on data"),
        (
            ("simulator: runs/x\n", ""),
            "key 'simulator': a policy is trained in a simulator; give a checkpoint or the folder",
        ),
    ]:
        with pytest.raises(MosimError) as error:
            read(tmp_path, *policy, odd)
        assert said in str(error.value)


ASHA = ("scheduler: none", "scheduler: asha")
PBT = ("scheduler: none", "scheduler: pbt")
OPTUNA = ("search: random", "search: optuna")
TWO_METRICS = ("horizon_mse/100", "[horizon_mse/100, samples_per_second]")


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ([("name: mine", "name: a/b")], "line 1: key 'name' is 'a/b'; string should match pattern"),
        ([("task: reacher-easy\n", "")], "mine.yaml: key 'task' is missing"),
        (
            [("trials: 3", "trails: 3")],
            "line 14: unknown key 'budget.trails'; allowed are: concurrent, minutes, trials.",
        ),
        ([("budget: {trials: 3}\n", "")], "key 'budget.trials': a number of trials is needed, since the space has no"),
        ([("horizon_mse/100", "horizon_mse/10")], "line 11: key 'metric': unknown metric of a simulator"),
        (
            [("horizon_mse/100", "true_return")],
            "line 11: key 'metric': unknown metric of a simulator 'true_return'; available",
        ),
        ([("horizon_mse/100", "[horizon_mse/16, horizon_mse/16]")], "line 11: key 'metric': metrics must be distinct"),
        ([("task:", "simulator: runs/x\ntask:")], "line 2: key 'simulator': only a sweep that trains policies"),
        (
            [("cpu: 1", "cpu: 1.5")],
            "line 15: key 'resources.cpu': it must be at most 1 or a whole number, and 1.5 is neither",
        ),
        ([("cpu: 1", "cpu: 0")], "line 15: key 'resources.cpu' is 0; input should be greater than 0"),
        ([("task", "data: {path: x, steps: 5}\ntask")], "line 2: key 'data.steps': it is for data to be collected"),
        ([("task", "seeds: [1, 1]\ntask")], "line 2: key 'seeds': seeds must be distinct"),
        ([("task", "seeds: [-1]\ntask")], "line 2: key 'seeds.0' is -1; input should be greater than or equal to 0"),
        # The space.
        ([("loguniform:", "logunform:")], "line 5: unknown key 'space.rate.logunform'; allowed are: choice, grid, log"),
        (
            [("[0.001, 0.01]", "[0.1, 0.01]")],
            "line 5: key 'space.rate.loguniform': its low, 0.1, must be below its high",
        ),
        (
            [("[0.001, 0.01]", "[0, 0.01]")],
            "line 5: key 'space.rate.loguniform.low' is 0; input should be greater than 0",
        ),
        (
            [("[0.001, 0.01]", "[1, 2, 3]")],
            "line 5: key 'space.rate.loguniform': it must be [low, high], not [1, 2, 3].",
        ),
        ([("[0.001, 0.01]", "[1, .inf]")], "line 5: key 'space.rate.loguniform.high' is inf; input should be a finite"),
        (
            [("loguniform: [0.001, 0.01]", "quniform: [0, 1, 0.3]")],
            "line 5: key 'space.rate.quniform': 1 minus 0 is not",
        ),
        ([("loguniform: [0.001, 0.01]", "randint: [1, 1]")], "line 5: key 'space.rate.randint': its low, 1, must be"),
        ([("loguniform: [0.001, 0.01]", "randint: [1, 2.5]")], "line 5: key 'space.rate.randint.high' is 2.5; input"),
        (
            [("{loguniform: [0.001, 0.01]}", "{}")],
            "line 5: key 'space.rate': a dimension must have exactly one of choice, ",
        ),
        (
            [("01]}", "01], grid: [1]}")],
            "line 5: key 'space.rate': a dimension must have exactly one of choice, grid",
        ),
        (
            [("loguniform: [0.001, 0.01]", "choice: []")],
            "line 5: key 'space.rate.choice': it must be a list of values, or",
        ),
        (
            [("loguniform: [0.001, 0.01]", "choice: [[], []]")],
            "line 5: key 'space.rate.choice': \"[]\" is given twice.",
        ),
        (
            [("two: {model.bias.width: 8}", "two: 8")],
            "line 7: key 'space.structure.choice': 'two' must be a mapping",
        ),
        # Conditions.
        (
            [("structure: two", "struct: two")],
            "line 10: key 'space.stages.1.learning_rate.when.struct': 'struct' is not a dimension",
        ),
        (
            [("structure: two", "structure: [one, three]")],
            '\'structure\' is never "three"; allowed are: "one", "two".',
        ),
        (
            [("structure: two", "structure: []")],
            "line 10: key 'space.stages.1.learning_rate.when.structure' is (); tuple",
        ),
        ([("structure: two", "rate: 0.005")], "when.rate': 'rate' (loguniform) is never exactly 0.005."),
        (
            [("0.01]}", "0.01], when: {structure: one}}")],
            "line 5: key 'space.rate.when.structure': 'structure' is not a dimension",
        ),
        # What does not go together.
        (
            [("loguniform: [0.001, 0.01]", "grid: [1]"), OPTUNA],
            "line 5: key 'space.rate.grid': a grid needs search: random",
        ),
        ([TWO_METRICS], "line 13: key 'search': several metrics need search: optuna, not random."),
        ([TWO_METRICS, OPTUNA, ASHA], "line 12: key 'scheduler': several metrics need scheduler: none, not asha."),
        (
            [ASHA, ("minutes: 2\n", "")],
            "line 11: key 'scheduler': asha compares trials of equal length, so minutes is needed",
        ),
        (
            [("none", "{kind: asha, grace_minutes: 3}")],
            "line 12: key 'scheduler.grace_minutes': it must not exceed minutes, which is 2",
        ),
        (
            [("none", "{kind: asha, grace: 3}")],
            "line 12: unknown key 'scheduler.grace'; allowed are: grace_minutes, kind, ",
        ),
        (
            [("none", "ahsa")],
            "line 12: key 'scheduler' is {'kind': 'ahsa'}; input tag 'ahsa' found using 'kind' does not",
        ),
        ([PBT, OPTUNA], "line 13: key 'search': pbt needs search: random, not optuna."),
        (
            [PBT, ("trials: 3", "concurrent: 2, trials: 3")],
            "line 14: key 'budget.concurrent': pbt starts all trials",
        ),
        ([PBT], "line 12: key 'scheduler': pbt has no dimension to mutate; 'rate': only fields of stages can"),
        (
            [("none", "{kind: pbt, mutate: [rite]}")],
            "line 12: key 'scheduler.mutate': unknown dimension 'rite'; did you mean r",
        ),
        (
            [("none", "{kind: pbt, mutate: [structure]}")],
            "'structure' cannot change during training: it has a condition",
        ),
        (
            [("none", "{kind: pbt, mutate: [model.bias.width]}"), ("rate:", "model.bias.width:")],
            "'model.bias.width' cannot change during training: only fields of stages can change, such as stages",
        ),
    ],
)
def test_mistakes_name_file_line_and_key(changes: list[tuple[str, str]], sentence: str, tmp_path: Path) -> None:
    with pytest.raises(MosimError) as error:
        read(tmp_path, *changes)
    assert sentence in str(error.value)
    assert str(error.value).startswith(f"{tmp_path}/mine.yaml")
    assert "Traceback" not in str(error.value)


def test_errors_are_to_be_small_and_the_rest_large() -> None:
    assert {metric.mode for name, metric in METRICS.items() if "mse" in name} == {"min"}
    assert {metric.mode for name, metric in METRICS.items() if "mse" not in name} == {"max"}
    assert all(metric.description for metric in METRICS.values())
