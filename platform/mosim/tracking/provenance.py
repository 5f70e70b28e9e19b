"""What a run was made with: versions and commit."""

import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version

_PACKAGES = ("mosim", "torch", "mujoco", "ray")

_COMMIT_TAG = "mlflow.source.git.commit"  # MLflow's interface shows it in a column of its own.

_GIT_SECONDS = 5.0


def environment_tags() -> dict[str, str]:
    """Tags that tell what a run was made with.

    Returns:
      `version.python`, `version.mosim`, `version.torch`, `version.mujoco`, `version.ray`, of those that are installed,
      and the git commit of the working directory, if it has one: 40 digits, and `-dirty` where files differ from it.
    """
    tags = {"version.python": platform.python_version()}
    for package in _PACKAGES:
        try:
            tags[f"version.{package}"] = version(package)
        except PackageNotFoundError:
            continue
    if commit := git_commit():
        tags[_COMMIT_TAG] = commit
    return tags


def git_commit() -> str | None:
    """The git commit of the working directory, `-dirty` where files differ from it; None where there is none."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=_GIT_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return answer.stdout.strip() if answer.returncode == 0 else None
