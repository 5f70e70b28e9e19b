"""Names that libraries keep to themselves and mosim uses all the same, each with its reason.

Every folder that has such uses lists them in a module `private_names`; a test fails with a sentence where a release of
the library has one no longer.
"""

import importlib
import inspect
from typing import NamedTuple


class PrivateName(NamedTuple):
    """One name.

    Attributes:
      owner: the module, or `module:Class`, that has it.
      name: as it is written there.
      reason: why no public name will do.
      seen: the library and its release that had it.
    """

    owner: str
    name: str
    reason: str
    seen: str

    def missing(self) -> str | None:
        """A sentence where the installed release has it no longer; None where it has."""
        module, _, kind = self.owner.partition(":")
        try:
            owner = importlib.import_module(module)
            owner = getattr(owner, kind) if kind else owner
        except (ImportError, AttributeError):
            owner = None
        kinds = [] if owner is None else inspect.getmro(owner) if inspect.isclass(owner) else [owner]
        if any(self.name in (vars(each) or ()) or self._written_in(each) for each in kinds):
            return None
        return f"{self.owner} no longer has {self.name}, which {self.seen} had. mosim uses it because {self.reason}."

    def _written_in(self, owner: object) -> bool:
        """Whether its source says so: what instances alone have is not among a class's own names."""
        try:
            return f"self.{self.name}" in inspect.getsource(owner)  # pyright: ignore[reportArgumentType]
        except (OSError, TypeError):
            return False
