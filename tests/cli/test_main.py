"""The command line as a user's shell sees it: exit codes, sentences, no stack traces."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from mosim.cli.main import COMMANDS, main


class Ended(NamedTuple):
    returncode: int
    stdout: str
    stderr: str


Mosim = Callable[..., Ended]


@pytest.fixture
def mosim(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Mosim:
    """Runs a command in this process, which has imported what each would import anew, in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> Ended:
        capsys.readouterr()
        code = 0
        try:
            main(arguments)
        except SystemExit as end:
            code = int(end.code or 0)
        said = capsys.readouterr()
        return Ended(code, said.out, said.err)

    return run


def test_help_lists_every_command_without_loading_torch_or_ray() -> None:
    program = (
        "import sys\nfrom mosim.cli.main import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit as end:\n    assert end.code == 0\n"
        "assert not {'torch', 'ray', 'mlflow'} & set(sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert all(f"  {command} " in result.stdout for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str, mosim: Mosim) -> None:
    result = mosim(command, "--help")
    assert result.returncode == 0, result.stderr
    assert f"usage: mosim {command}" in result.stdout
    assert "show this help" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("ruin", "reacher-easy"), "did you mean run"),
        (("run", "reacher-esay"), "did you mean reacher-easy"),
        (("collect", "reacher-easy", "--out", "d", "--episodes", "0"), "greater than or equal to 1"),
        (("collect", "nothing.xml", "--out", "d"), "there is no MJCF file at nothing.xml"),
        (("train", "reacher-easy", "--data", "nowhere", "--out", "o"), "nowhere"),
        (("train", "reacher-easy", "--data", "d", "--out", "o", "--recipe", "no.yaml"), "no.yaml cannot be read"),
        (("train", "reacher-easy", "--data", "d", "--out", "o", "--device", "cuda:7"), "no CUDA device"),
        (("evaluate", "nowhere", "--data", "d", "--out", "o"), "there is no checkpoint in nowhere"),
        (("zero-shot", "nowhere", "--task", "reacher-easy", "--out", "o"), "there is no checkpoint in nowhere"),
        (("train", "reacher-easy", "--data", "d", "--out", "o", "--stages.0.stepz", "3"), "--stages.0.steps"),
        (("show", "nowhere"), "there is no checkpoint in nowhere"),
        (("data", "nowhere"), "there is no dataset at"),
        (("ui", "--tracking-uri", "sqlite:///nowhere.db"), "nowhere.db. Commands such as mosim train create one"),
    ],
)
def test_a_mistake_is_a_sentence_and_exit_code_2(
    arguments: tuple[str, ...], expected: str, mosim: Mosim, tmp_path: Path
) -> None:
    result = mosim(*arguments)
    said = " ".join((result.stdout + result.stderr).split())
    assert result.returncode == 2, said
    assert expected in said
    assert "Traceback" not in said
    left = {path.name for path in tmp_path.rglob("*") if path.is_file()}
    assert left <= {"mosim.log", "mlflow.db"}, "a refused command must leave no results"


def test_a_shell_sees_a_mistake_as_exit_code_2(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "from mosim.cli.main import main; main()", "run", "reacher-esay"]
    result = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert (result.returncode, result.stdout) == (2, "")
    assert "did you mean reacher-easy" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_recipe_with_a_wrong_key_names_file_key_and_what_is_allowed(mosim: Mosim, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("stages: [{name: a, learns: [predictor], steps: 3, lr: 0.1}]\n")
    result = mosim("train", "reacher-easy", "--data", "d", "--out", "o", "--recipe", "mine.yaml")
    assert result.returncode == 2
    assert "mine.yaml, line 1: unknown key 'stages.0.lr'" in result.stderr
    assert "learning_rate" in result.stderr


@pytest.mark.slow
def test_systems_lists_tasks(mosim: Mosim) -> None:
    result = mosim("systems")
    assert result.returncode == 0
    lines = {line.split()[0]: line for line in result.stdout.splitlines() if line.split()}
    assert lines["humanoid-walk"].split()[1:7] == ["28", "27", "0", "21", "0.005", "0.025"]
    assert lines["dog-walk"].split()[1:5] == ["80", "79", "38", "38"]
