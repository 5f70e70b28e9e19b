"""`mosim leaderboard`, as somebody who has another model would use it."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mosim.cli.main import main
from mosim.data import collect


@pytest.fixture(scope="module")
def held_out(tmp_path_factory: pytest.TempPathFactory, ray_of_two: None) -> str:
    folder = tmp_path_factory.mktemp("data") / "held-out"
    collect("pendulum-swingup", folder, 2, 30, workers=1, seed=3)
    return str(folder)


def run(*arguments: str) -> int:
    try:
        main(["leaderboard", *arguments])
    except SystemExit as exit_:
        return int(exit_.code or 0)
    return 0


def test_persistence_by_hand_is_scored_and_added_to_a_table(
    held_out: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    starts, predictions, results = (tmp_path / name for name in ("starts.npz", "predictions.npz", "results.csv"))
    given = ["pendulum-swingup", "--data", held_out, "--horizons", "1", "8", "--starts", "10"]
    assert run("starts", *given, "--out", str(starts)) == 0
    assert "10 of 8 physics steps" in capsys.readouterr().out
    with np.load(starts) as file:
        assert set(file.files) >= {"dataset", "known_8", "between_8", "actions_8", "state_names", "timestep"}
        held = np.repeat(file["known_8"][:, -1:], file["actions_8"].shape[1], axis=1)
        np.savez(predictions, dataset=file["dataset"], states_8=held)
    score = [*given[:1], str(predictions), *given[1:], "--name", "by hand", "--knowledge", "arrays"]
    for parameters in ("7", "8"):
        assert run("score", *score, "--parameters", parameters, "--minutes", "2", "--results", str(results)) == 0
    assert "by hand" in capsys.readouterr().out
    table = pd.read_csv(results)
    assert list(table["horizon"]) == [1, 8]
    assert list(table["parameters"]) == [8, 8], "the rows of the same model are replaced"
    assert set(table["variant"]) == {"by hand"}
    assert set(table["train_seconds"]) == {120.0}
    assert (table["mse"] > 0).all()


def test_the_example_of_an_entry_needs_no_code_of_mosim(held_out: str, tmp_path: Path) -> None:
    starts, predictions, results = (tmp_path / name for name in ("starts.npz", "predictions.npz", "results.csv"))
    collect("pendulum-swingup", tmp_path / "train", 6, 200, workers=1, seed=0)
    given = ["pendulum-swingup", "--data", held_out, "--horizons", "1", "8", "--starts", "10"]
    assert run("starts", *given, "--out", str(starts)) == 0
    example = Path(__file__).parent.parent.parent / "examples" / "leaderboard_entry.py"
    assert "mosim" not in [
        line.split()[1].split(".")[0] for line in example.read_text().splitlines() if "import " in line
    ]
    said = subprocess.run(
        [sys.executable, example, tmp_path / "train", starts, predictions], capture_output=True, text=True, check=True
    )
    assert "weights" in said.stdout
    score = [*given[:1], str(predictions), *given[1:], "--name", "example", "--knowledge", "arrays"]
    assert run("score", *score, "--results", str(results)) == 0
    with np.load(starts) as file:
        still = np.repeat(file["known_8"][:, -1:], 8, axis=1)
        np.savez(tmp_path / "still.npz", dataset=file["dataset"], states_8=still)
    score[1], score[-3] = str(tmp_path / "still.npz"), "still"
    assert run("score", *score, "--results", str(results)) == 0
    errors = pd.read_csv(results).pivot(index="horizon", columns="variant", values="mse")
    assert (errors["example"] < 0.1 * errors["still"]).all()


def test_mistakes_are_sentences(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("scroe") == 2
    assert "unknown command 'scroe'; did you mean score" in capsys.readouterr().err
    assert run() == 2
    assert run("--help") == 0
    assert "usage: mosim leaderboard" in capsys.readouterr().out
    assert run("score", "pendulum-swingup", "no.npz", "--name", "x", "--knowledge", "all") == 2
