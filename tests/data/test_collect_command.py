"""`mosim collect`, `mosim import` and `mosim systems` as a user meets them."""

import importlib
import json
from pathlib import Path

import numpy as np
import pytest

from mosim.cli.main import main
from mosim.data import Dataset


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """A command's exit code and what it wrote on standard output and error."""
    code = 0
    try:
        main(arguments)
    except SystemExit as error:
        code = int(error.code or 0)
    out, err = capsys.readouterr()
    return code, out, err


def test_collect_says_what_it_made(ray_of_two: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["collect", "reacher-easy", "--out", str(tmp_path / "data"), "--episodes", "11", "--steps", "30"]
    words += ["--workers", "1", "--mean-hold", "3"]
    importlib.import_module("mosim.cli.collect_command").main(words[1:])
    said = capsys.readouterr().out
    dataset = Dataset.open(tmp_path / "data")
    assert "11 episodes of 30 physics steps, " in said
    assert f"physics steps/s; dataset {dataset.id} in {tmp_path / 'data'}" in said
    assert len(said.splitlines()) == 1
    assert (tmp_path / "data" / "mosim.log").is_file()
    assert dataset.metadata.command("X") == (
        "mosim collect reacher-easy --out X --episodes 11 --steps 30 --seed 0 --mean-hold 3.0"
    )
    code, said, _ = run(capsys, *words)
    assert code == 0
    assert said.startswith("nothing to collect, the dataset is complete: 11 episodes")
    code, _, complaint = run(capsys, *words, "--seed", "2")
    assert code == 2
    assert "its seed is 0 instead of 2" in complaint


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--episodes", "0"], "mosim collect: --episodes 0: input should be greater than or equal to 1."),
        (["--seed", "-1"], "mosim collect: --seed -1: input should be greater than or equal to 0."),
        (["--zero-probability", "2"], "--zero-probability 2.0: input should be less than or equal to 1"),
        (["--noise", "0.1"], "--noise cannot be used with --behaviour poisson"),
        (["--behaviour", "policy"], "--behaviour policy needs --policy, as module:function"),
        (["--behaviour", "policy", "--policy", "nonsense"], "'nonsense' is not of the form module:Name"),
        (["--behavior", "policy"], "--behaviour"),
        (["--episodes", "many"], "many"),
    ],
)
def test_mistakes_are_a_sentence(
    words: list[str], sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, said, complaint = run(capsys, "collect", "reacher-easy", "--out", str(tmp_path / "data"), *words)
    assert code == 2
    assert sentence in said + complaint
    assert "Traceback" not in said + complaint
    assert not (tmp_path / "data" / "metadata.json").exists()


def test_systems_as_rows_and_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    code, said, _ = run(capsys, "systems", "humanoid-walk", "quadruped-walk")
    assert code == 0
    heading, humanoid, quadruped = (line.split(maxsplit=9) for line in said.splitlines())
    facts = dict(zip(heading, humanoid, strict=True))
    assert facts["task"] == "humanoid-walk"
    assert [facts[name] for name in ("nq", "nv", "na", "nu", "timestep", "control_step")] == [
        "28",
        "27",
        "0",
        "21",
        "0.005",
        "0.025",
    ]
    assert dict(zip(heading, quadruped, strict=True))["na"] == "12"
    code, said, _ = run(capsys, "systems", "reacher-easy", "--json")
    assert json.loads(said) == [
        {
            "task": "reacher-easy", "nq": 2, "nv": 2, "na": 0, "nu": 2, "timestep": 0.02, "control_step": 0.02,
            "episode_steps": 1000, "observation_size": 6,
        }
    ]  # fmt: skip
    code, _, complaint = run(capsys, "systems", "reacher-eazy")
    assert (code, "did you mean reacher-easy" in complaint) == (2, True)


def test_import_says_what_it_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.savez(tmp_path / "theirs.npz", states=np.zeros((3, 8, 4)), actions=np.zeros((3, 7, 2)))
    words = ["import", str(tmp_path / "theirs.npz"), "--system", "reacher-easy", "--out", str(tmp_path / "data")]
    code, said, _ = run(capsys, *words)
    assert code == 0
    assert said.startswith("3 episodes, 21 physics steps; dataset ")
    assert len(Dataset.open(tmp_path / "data").load()) == 3
    code, _, complaint = run(capsys, *words[:3], "cheetah-run", *words[4:])
    assert code == 2
    assert "array 'states' has shape (3, 8, 4); rows of system 'cheetah' are [q, v] of width 18" in complaint
