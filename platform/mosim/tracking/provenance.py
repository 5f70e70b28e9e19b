"""What a run was made with: versions and commit."""

import platform
from importlib.metadata import PackageNotFoundError, version

from mosim.tracking.git_folder import git_commit

_PACKAGES = ("mosim", "torch", "mujoco", "ray")

_COMMIT_TAG = "mlflow.source.git.commit"  # MLflow's interface shows it in a column of its own.


def environment_tags() -> dict[str, str]:
    """Tags that tell what a run was made with.

    Returns:
      `version.python`, `version.mosim`, `version.torch`, `version.mujoco`, `version.ray`, of those that are installed,
      and the git commit of the working folder, if it has one, as `git_commit` says it.
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
