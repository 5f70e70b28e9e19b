"""The folder that a command works in may be somebody else's: nothing that lies there runs."""

import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from mosim.tracking import git_commit

Mosim = Callable[..., subprocess.CompletedProcess[str]]

MODULES = (
    "torch", "numpy", "mujoco", "mlflow", "ray", "pydantic", "yaml", "json", "pyarrow", "safetensors", "mosim", "rich",
    "matplotlib", "sitecustomize", "usercustomize", "uvicorn", "fastapi", "gunicorn", "mosim_analysis", "plotly", "PIL",
)  # fmt: skip


def git(folder: Path, *arguments: str) -> str:
    """Runs git as its user does."""
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "protocol.file.allow=always"]
    command = ["git", *identity, *arguments]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository of one commit, which is the working folder."""
    folder = tmp_path / "repository"
    folder.mkdir()
    git(folder, "init", "-q", "-b", "main")
    (folder / "below").mkdir()
    (folder / "below" / "file.txt").write_text("before")
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "first")
    monkeypatch.chdir(folder)
    return folder


def script(path: Path, mark: Path) -> str:
    path.write_text(f"#!/bin/sh\ntouch '{mark}'\ncat\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def test_no_command_of_a_folder_s_git_configuration_runs(repository: Path, tmp_path: Path, mark: Path) -> None:
    command = script(tmp_path / "command.sh", mark)
    (repository / ".gitattributes").write_text("* filter=hostile diff=hostile merge=hostile\n")
    for key in (
        "core.fsmonitor", "core.sshCommand", "core.editor", "core.pager", "filter.hostile.clean",
        "filter.hostile.smudge", "filter.hostile.process", "diff.external", "diff.hostile.command",
        "diff.hostile.textconv", "gpg.program", "credential.helper", "core.gitProxy", "core.alternateRefsCommand",
        "uploadpack.packObjectsHook",
    ):  # fmt: skip
        git(repository, "config", key, command)
    git(repository, "config", "core.hooksPath", str(tmp_path))
    script(tmp_path / "post-index-change", mark)
    (repository / "below" / "file.txt").write_text("behind")  # As long as before, so that its content is compared.
    assert str(git_commit()).endswith("-dirty")
    assert not mark.exists()


def test_no_command_of_a_submodule_s_configuration_runs(repository: Path, tmp_path: Path, mark: Path) -> None:
    git(repository, "submodule", "add", "-q", str(repository), "inner")
    git(repository, "commit", "-qm", "inner")
    git(repository / "inner", "config", "core.fsmonitor", script(tmp_path / "command.sh", mark))
    assert git_commit() == git(repository, "rev-parse", "HEAD")
    assert not mark.exists()


def test_the_commit_and_whether_files_differ_are_as_git_has_them(repository: Path) -> None:
    head = git(repository, "rev-parse", "HEAD")
    assert git_commit() == head
    (repository / "untracked").write_text("more")
    assert git_commit() == head
    file = repository / "below" / "file.txt"
    file.write_text("after")
    assert git_commit() == f"{head}-dirty"
    file.write_text("before")  # With another time than the index has.
    assert git_commit() == head
    file.chmod(0o755)
    assert git_commit() == f"{head}-dirty"
    file.chmod(0o644)
    git(repository, "rm", "-q", "--cached", "below/file.txt")
    assert git_commit() == f"{head}-dirty"


def test_every_way_that_a_commit_is_named_is_understood(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = git(repository, "rev-parse", "HEAD")
    monkeypatch.chdir(repository / "below")
    assert git_commit() == head
    git(repository, "pack-refs", "--all")
    assert not (repository / ".git" / "refs" / "heads" / "main").exists()
    assert git_commit() == head
    git(repository, "worktree", "add", "-q", str(tmp_path / "other"), "-b", "feature/other")
    monkeypatch.chdir(tmp_path / "other")
    assert git_commit() == head
    git(tmp_path / "other", "commit", "-q", "--allow-empty", "-m", "second")
    assert git_commit() == git(tmp_path / "other", "rev-parse", "HEAD") != head
    git(tmp_path / "other", "checkout", "-q", head)
    assert git_commit() == head


def test_where_there_is_no_commit_none_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert git_commit() is None
    git(tmp_path, "init", "-q")
    assert git_commit() is None
    (tmp_path / ".git" / "HEAD").write_text("ref: ../../../etc/passwd\n")
    assert git_commit() is None
    (tmp_path / ".git" / "HEAD").unlink()
    os.mkfifo(tmp_path / ".git" / "HEAD")  # Which nobody writes to.
    assert git_commit() is None


def test_without_git_the_commit_is_known_and_the_rest_is_not(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = git(repository, "rev-parse", "HEAD")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert git_commit() == f"{head}-unchecked"


@pytest.fixture
def hostile_folder(tmp_path: Path, mark: Path) -> Path:
    """A working folder whose modules have the names of those that mosim and Ray import."""
    folder = tmp_path / "hostile"
    folder.mkdir()
    for name in MODULES:
        (folder / f"{name}.py").write_text(f"import pathlib\npathlib.Path({str(mark)!r}).touch()\nraise SystemError\n")
    return folder


def test_no_module_of_the_working_folder_runs_in_ray_s_workers(hostile_folder: Path, mark: Path, mosim: Mosim) -> None:
    result = mosim("collect", "reacher-easy", "--episodes", "2", "--steps", "20", "--out", "d", cwd=hostile_folder)
    assert not mark.exists()
    assert result.returncode == 0, result.stderr


def test_the_user_s_own_script_is_where_its_workers_import_from(tmp_path: Path) -> None:
    (tmp_path / "helper.py").write_text("def answer():\n    return 42\n")
    (tmp_path / "script.py").write_text(
        "import ray\nimport helper\nfrom mosim.jobs import ray_cluster\n"
        "with ray_cluster.started(num_cpus=1):\n    print(ray.get(ray.remote(helper.answer).remote()))\n"
    )
    command = [sys.executable, "script.py"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert result.stdout.strip().endswith("42"), result.stderr


def test_no_module_of_the_working_folder_runs_in_mlflow_s_interface(
    hostile_folder: Path, mark: Path, tmp_path: Path, mosim: Mosim
) -> None:
    store = tmp_path / "mlflow.db"
    code = (
        "import mlflow; mlflow.MlflowClient({uri!r}).search_experiments()\n"
        "import os; os.chdir({folder!r})\n"
        "from mosim.tracking import Interface\n"
        "import socket; s = socket.socket(); s.bind(('127.0.0.1', 0)); port = s.getsockname()[1]; s.close()\n"
        "with Interface({uri!r}, '127.0.0.1', port) as interface:\n    print('answers')\n"
    ).format(uri=f"sqlite:///{store}", folder=str(hostile_folder))
    script = tmp_path / "script" / "interface.py"
    script.write_text(code)
    result = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=False)
    assert not mark.exists()
    assert "answers" in result.stdout, result.stderr


@pytest.mark.parametrize("setting", ["backend: module://hostile_module", "text.usetex: True", "font.size: nonsense"])
def test_no_matplotlibrc_of_the_working_folder_counts(
    setting: str, hostile_module: str, mark: Path, tmp_path: Path
) -> None:
    latex = script(tmp_path / "latex", mark)
    folder = tmp_path / "work"
    folder.mkdir()
    (folder / "matplotlibrc").write_text(f"{setting}\n")
    code = (
        "import pandas as pd\nfrom pathlib import Path\n"
        "from mosim.evaluation.plots import plot_horizon\n"
        "rows = [('persistence', '', 'reacher', step, step, 0.1 * step) for step in (1, 2)]\n"
        "frame = pd.DataFrame(rows, columns=['model', 'knowledge', 'system', 'step', 'horizon', 'mse'])\n"
        "plot_horizon(frame, frame, Path('plot.png'))\n"
    )
    environment = os.environ | {"PATH": f"{Path(latex).parent}{os.pathsep}{os.environ['PATH']}"}
    environment.pop("MPLBACKEND", None)
    command = [sys.executable, "-P", "-c", code]
    result = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert not mark.exists()
    assert result.returncode == 0, result.stderr
    assert (folder / "plot.png").is_file()
