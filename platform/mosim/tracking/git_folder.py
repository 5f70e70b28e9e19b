"""The git commit of a folder, without git's reading of the folder's configuration, which can name commands to run.

The commit is read from `.git` here. Whether files differ is git's to tell, in a git folder of ours: an empty
configuration, and of the folder's own the index and the objects alone.
"""

import os
import re
import subprocess
import tempfile
from pathlib import Path
from typing import NamedTuple

from mosim.core.errors import DamagedFileError
from mosim.core.files import plain_name

_GIT_SECONDS = 5.0

_HASH = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_REFERENCE = "ref: "

_LONGEST_FILE = 1 << 24
"""Bytes of a file in `.git` that is read here; references of some 200,000 branches."""

_CONFIGS = {
    40: "[core]\nrepositoryformatversion = 0\nbare = false\n",
    64: "[core]\nrepositoryformatversion = 1\nbare = false\n[extensions]\nobjectformat = sha256\n",
}
"""Of a git folder, by the number of a hash's digits."""


class GitFolder(NamedTuple):
    """Where git keeps what belongs to a folder of files.

    Attributes:
      files: the folder of files.
      own: what belongs to it alone: `HEAD` and the index.
      shared: what all worktrees of a repository share: branches and objects.
    """

    files: Path
    own: Path
    shared: Path

    @classmethod
    def around(cls, folder: Path) -> "GitFolder | None":
        """The one that a folder lies in; None where it lies in none."""
        for files in (folder, *folder.parents):
            own = files / ".git"
            if own.is_file():  # Of a worktree or a submodule: it says where the folder is.
                own = files / _read(own).removeprefix("gitdir: ")
            if own.is_dir():
                return cls(files, own, own / (_read(own / "commondir") or "."))
        return None

    @property
    def commit(self) -> str | None:
        """The hash of the commit that is checked out; None where there is none yet."""
        head = _read(self.own / "HEAD")
        if head.startswith(_REFERENCE):
            name = plain_name(head.removeprefix(_REFERENCE), self.own)
            head = _read(self.own / name) or _read(self.shared / name) or self._packed(name)
        return head if _HASH.fullmatch(head) else None

    def differs(self, commit: str) -> bool | None:
        """Whether files that git tracks differ from a commit; None where that cannot be told.

        Submodules are left out: git would read the configuration of each.
        """
        with tempfile.TemporaryDirectory(prefix="mosim-git-") as scratch:
            for name in ("objects", "refs"):
                Path(scratch, name).mkdir()
            Path(scratch, "HEAD").write_text(f"{commit}\n")
            Path(scratch, "config").write_text(_CONFIGS[len(commit)])
            environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")} | {
                "GIT_DIR": scratch,
                "GIT_WORK_TREE": str(self.files),
                "GIT_INDEX_FILE": str(self.own / "index"),
                "GIT_OBJECT_DIRECTORY": str(self.shared / "objects"),
                "GIT_OPTIONAL_LOCKS": "0",
                "GIT_CONFIG_NOSYSTEM": "1",
                "GIT_CONFIG_GLOBAL": os.devnull,
                "GIT_TERMINAL_PROMPT": "0",
            }
            command = [
                "git",
                "status",
                "--porcelain",
                "--untracked-files=no",
                "--ignore-submodules=all",
                "--no-renames",
            ]
            try:
                answer = subprocess.run(
                    command, cwd=scratch, env=environment, capture_output=True, timeout=_GIT_SECONDS, check=False
                )
            except (OSError, subprocess.TimeoutExpired):
                return None
            return bool(answer.stdout) if answer.returncode == 0 else None

    def _packed(self, name: str) -> str:
        for line in _read(self.shared / "packed-refs").splitlines():
            commit, _, found = line.partition(" ")
            if found == name:
                return commit
        return ""


def git_commit() -> str | None:
    """The git commit of the working folder; None where there is none.

    Returns:
      40 or 64 digits; `-dirty` after them where tracked files, those of submodules left out, differ from it, and
      `-unchecked` where that cannot be told.
    """
    try:
        folder = GitFolder.around(Path.cwd())
        commit = folder.commit if folder else None
    except (OSError, DamagedFileError):
        return None
    if folder is None or commit is None:
        return None
    return commit + {True: "-dirty", False: "", None: "-unchecked"}[folder.differs(commit)]


def _read(path: Path) -> str:
    """The text of a small regular file; empty where there is none."""
    if not path.is_file() or path.stat().st_size > _LONGEST_FILE:
        return ""
    return path.read_text(encoding="utf-8", errors="replace").strip()
