"""`mosim train TASK` and `mosim evaluate RUN` with nothing else: standard data are collected where there are none."""

from pathlib import Path

import pandas as pd
import pytest

from mosim.cli.main import main
from mosim.data import Dataset, StandardData

GENERAL = [flag for stage in range(3) for flag in (f"--stages.{stage}.steps", "20")]
ACROBOT = ["--stages.0.steps", "20"]
OFF = ["--tracking-uri", "off"]


def test_train_collects_and_evaluate_collects_other_episodes(
    tmp_path: Path, ray_of_two: None, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    main(["train", "pendulum-swingup", *GENERAL, *OFF])
    said = capfd.readouterr().out
    assert "collecting standard data, 300 episodes of 1000 physics steps, into data/pendulum-swingup" in said
    assert "evaluate it: mosim evaluate runs/pendulum-swingup\n" in said
    main(["evaluate", "runs/pendulum-swingup", "--horizons", "1", "16", "--starts", "50", *OFF])
    said = capfd.readouterr().out
    assert "collecting standard data, 50 episodes of 1000 physics steps, into data/pendulum-swingup-held-out" in said
    assert len(pd.read_csv("runs/pendulum-swingup/evaluation/horizon.csv")) == 3 * 2
    training, held_out = (Dataset.open(f"data/pendulum-swingup{suffix}").metadata for suffix in ("", "-held-out"))
    assert (training.episodes, held_out.episodes) == (300, 50)
    assert training.seed != held_out.seed == StandardData().held_out_seed


def test_what_is_there_is_used_if_it_is_of_the_system(
    tmp_path: Path, ray_of_two: None, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    main(["collect", "acrobot-swingup", "--out", "data/acrobot-swingup", "--episodes", "4", "--steps", "60"])
    main(["train", "acrobot-swingup", *ACROBOT, *OFF])
    said = capfd.readouterr()
    assert "using the 4 episodes in data/acrobot-swingup" in said.out
    assert "masses and joint forces by least squares" in said.out
    checkpoint = next(Path("runs/acrobot-swingup/checkpoints").iterdir())
    main(["collect", "acrobot-swingup", "--out", "data/acrobot-swingup-held-out", "--episodes", "2", "--seed", "9"])
    main(["evaluate", str(checkpoint), "--horizons", "1", *OFF])
    assert "using the 2 episodes in data/acrobot-swingup-held-out" in capfd.readouterr().out
    assert Path("runs/acrobot-swingup/evaluation/horizon.png").is_file()
    main(["collect", "pendulum-swingup", "--out", "other", "--episodes", "1", "--steps", "30"])
    with pytest.raises(SystemExit) as end:
        main(["evaluate", "runs/acrobot-swingup", "--data", "other", *OFF])
    assert end.value.code == 2
    assert "does not fit system acrobot" in capfd.readouterr().err
