"""Errors that a user's input can cause. The command line prints their sentence and exits with 2."""

import difflib
from collections.abc import Iterable


class MosimError(Exception):
    """A mistake that the user can mend; the message says what is wrong, where, and what is allowed."""


class UnknownNameError(MosimError):
    """A name that is not in a registry; the message lists near names."""

    @classmethod
    def among(cls, kind: str, name: str, known: Iterable[str]) -> "UnknownNameError":
        """An unknown `name` of a `kind`, such as "task", of which `known` are all."""
        known = sorted(known)
        near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(near)}?" if near else f"available: {', '.join(known)}."
        return cls(f"unknown {kind} {name!r}; {hint}")


class UnsupportedSystemError(MosimError):
    """A MuJoCo model whose state is more than ``[qpos, qvel]``."""


class DamagedFileError(MosimError):
    """A file whose content is not what was written: the checksum or the format does not match."""


class MismatchError(MosimError):
    """Two things that must describe the same system, run or configuration, and do not."""


class DivergenceError(MosimError):
    """A loss or a rollout that stopped being finite."""
