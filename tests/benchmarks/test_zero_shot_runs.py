"""The benchmarks of policies' returns: their files are valid; a row once written stays until it is measured anew."""

import csv
import importlib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from mosim.agents import ReturnRow, load_policy_recipe
from mosim.agents.returns import write_returns
from mosim.cli.parsing import parse_with_recipes
from mosim.cli.zero_shot_command import Options, _defaults
from mosim.core.files import write_json

BENCHMARKS = Path(__file__).parent.parent.parent / "benchmarks"


@pytest.fixture
def modules(monkeypatch: pytest.MonkeyPatch) -> dict[str, ModuleType]:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return {
        name: importlib.import_module(name)
        for name in ("zero_shot", "episode_lengths", "episode_returns", "zero_shot_runs")
    }


@pytest.fixture
def commands(modules: dict[str, ModuleType], monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """What would be run: kept, and instead of it a training's folder left, as short as one can be."""
    ran: list[list[str]] = []

    def leave(command: list[str]) -> None:
        ran.append(command)
        if command[1] != "zero-shot":
            return
        out = Path(command[command.index("--out") + 1])
        for folder in [out, out / "true-trained"] if "--compare" in command else [out]:
            write_json(folder / "run.json", {"recipe": {"algorithm": "PPO", "action_repeat": 4}})
            write_returns(folder / "returns.csv", [ReturnRow(1000, 60.0, 30.0, 10.0 * len(ran), 1.0, 20)])
            (folder / "policy").mkdir()  # Last of all, as a training does.

    for module in modules.values():
        monkeypatch.setattr(module, "run", leave)
        if hasattr(module, "random_of"):
            monkeypatch.setattr(module, "random_of", lambda task, folder: 1.5)
    return ran


def rows_of(results: Path) -> list[dict[str, str]]:
    with results.open(newline="") as file:
        return list(csv.DictReader(file))


def study(file: Path, **changes: Any) -> Path:
    content = yaml.safe_load((BENCHMARKS / "episode_lengths.yaml").read_text())
    file.write_text(yaml.safe_dump(content | changes))
    return file


@pytest.mark.parametrize("name", ["zero_shot", "episode_lengths", "episode_returns"])
def test_every_command_of_a_benchmark_is_one_that_mosim_takes(
    name: str, modules: dict[str, ModuleType], commands: list[list[str]], tmp_path: Path
) -> None:
    arguments: dict[str, Any] = {"out": tmp_path / "out", "results": tmp_path / f"{name}.csv"}
    arguments |= {"plots": tmp_path} if name == "zero_shot" else {"plot": tmp_path / "plot.png"}
    modules[name].main(**arguments)
    trainings = [command for command in commands if command[1] == "zero-shot"]
    rows = rows_of(tmp_path / f"{name}.csv")
    compared = name == "episode_returns"  # Where a policy of the true task has a row of its own.
    assert len(trainings) + compared * sum("--compare" in command for command in trainings) == len(rows) > 8
    assert len({command[command.index("--out") + 1] for command in trainings}) == len(trainings)
    for command in trainings:
        if command[command.index("--seed") + 1] != "0":
            continue  # They differ in nothing else.
        options = parse_with_recipes(Options, "zero-shot", command[2:], _defaults)
        shipped = load_policy_recipe(options.task, None, options.recipe.algorithm)
        assert options.recipe.action_repeat == shipped.action_repeat
    assert list(tmp_path.glob("*.png"))


def test_episodes_of_every_length_meet_every_kind_of_starts(
    modules: dict[str, ModuleType], commands: list[list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tasks = [{"task": "cartpole-swingup", "simulator": "cartpole", "seeds": [0, 1]}]
    file = study(tmp_path / "study.yaml", tasks=tasks, episode_steps=[25, 100])
    out, results, plot = tmp_path / "out", tmp_path / "episode_lengths.csv", tmp_path / "plot.png"
    modules["episode_lengths"].main(file, out, tmp_path / "simulators", results, plot, workers=1)
    rows = rows_of(results)
    assert [(row["episode_steps"], row["start"], row["seed"]) for row in rows] == [
        (steps, start, seed) for seed in "01" for steps in ("25", "100") for start in ("initial", "mixed")
    ]
    actions = {"25": 7, "100": 25}  # Each is held for four control steps.
    for row in rows:
        assert f"--max-episode-steps {actions[row['episode_steps']]} --start {row['start']}" in row["command"]
    returns = [float(row["true_return"]) for row in rows]
    first = f"{(returns[0] + returns[4]) / 2:.0f} ({returns[0]:.0f} to {returns[4]:.0f})"
    assert f"| cartpole-swingup | `initial` | {first} |" in capsys.readouterr().out


def test_returns_by_episodes_are_those_of_the_simulator_of_so_many(
    modules: dict[str, ModuleType], commands: list[list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "study.yaml"
    file.write_text(yaml.safe_dump({"episodes": [3, 10], "tasks": ["cheetah-run"], "seeds": [0, 1]}))
    modules["episode_returns"].main(file, tmp_path / "out", tmp_path / "returns.csv", tmp_path / "plot.png", workers=1)
    collected = [command for command in commands if command[1] == "collect"]
    assert [" ".join(command[-4:]) for command in collected] == [
        f"--episodes {episodes} --seed {seed}" for seed in (0, 1) for episodes in (3, 10)
    ]
    rows = rows_of(tmp_path / "returns.csv")
    assert [(row["trained_in"], row["episodes"], row["seed"]) for row in rows] == [
        (*place, seed) for seed in "01" for place in (("simulator", "3"), ("simulator", "10"), ("true task", ""))
    ]
    three, ten, true = (float(rows[index]["true_return"]) for index in range(3))
    assert three < ten == true, "the training of ten episodes is the one that trains in the true task as well"
    ours = f"{(three + float(rows[3]['true_return'])) / 2:.0f} ({three:.0f} to {rows[3]['true_return']}"
    assert ours.split(".")[0] in capsys.readouterr().out


def test_rows_of_trainings_that_are_not_here_stay_and_keep_their_commit(
    modules: dict[str, ModuleType], commands: list[list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = modules["zero_shot_runs"]
    results = tmp_path / "results.csv"

    def write(commit: str, **measured: dict[str, Any] | None) -> list[dict[str, str]]:
        monkeypatch.setattr(runs, "commit", lambda: commit)
        trainings = [runs.Training({"task": task}, figures, ["mosim", task]) for task, figures in measured.items()]
        runs.write_trainings(results, trainings)
        return rows_of(results)

    assert [row["task"] for row in write("aaa", one={"value": 1 / 3}, two=None)] == ["one"]
    one, two = write("bbb", one={"value": 1 / 3}, two={"value": 2})
    assert (one["commit"], one["value"], two["commit"]) == ("aaa", "0.333333", "bbb")
    one, two = write("ccc", one=None, two={"value": 3})
    assert (one["commit"], two["commit"], two["value"], two["command"]) == ("aaa", "ccc", "3", "mosim two")
