"""What a dataset says of itself: `metadata.json`."""

import hashlib
import json
import platform
import shlex
from collections.abc import Iterable
from importlib.metadata import version

from pydantic import Field, ValidationError

from mosim.core.errors import DamagedFileError, MismatchError, MosimError
from mosim.core.frozen import Frozen
from mosim.core.storage import Folder
from mosim.data.behaviours import Behaviour, ImportedBehaviour, PolicyBehaviour
from mosim.robots import System, SystemFacts, is_file

METADATA_NAME = "metadata.json"
FORMAT = 1
_ID_LENGTH = 12
_PACKAGES = ("mosim", "mujoco", "dm_control", "numpy", "pyarrow")
_PACKAGES_OF_PHYSICS = ("mujoco", "dm_control", "numpy")
"""Those whose other version may give other trajectories from the same seed."""


class Shard(Frozen):
    """A file of consecutive episodes. `rows` counts states, one more an episode than physics steps."""

    name: str
    first: int
    episodes: int
    rows: int
    sha256: str


class Metadata(Frozen):
    """A dataset's origin and files.

    Attributes:
      format: version of the layout on disk.
      facts: the system.
      source: what the system was loaded from: a task's name, or where its file was last found.
      behaviour: how actions were chosen.
      seed: of the collection; None for imported trajectories.
      episodes: how many there will be when it is complete.
      steps: physics steps an episode; None where episodes differ.
      versions: of the packages that made it.
      shards: those finished so far, in order.
    """

    format: int = FORMAT
    facts: SystemFacts
    source: str
    behaviour: Behaviour
    seed: int | None
    episodes: int = Field(ge=1)
    steps: int | None
    versions: dict[str, str]
    shards: tuple[Shard, ...] = ()

    @property
    def finished_episodes(self) -> int:
        """Episodes in the shards that are finished."""
        return sum(shard.episodes for shard in self.shards)

    @property
    def physics_steps(self) -> int:
        """Physics steps in the shards that are finished."""
        return sum(shard.rows - shard.episodes for shard in self.shards)

    @property
    def complete(self) -> bool:
        """Whether every episode is there."""
        return self.finished_episodes == self.episodes

    @property
    def id(self) -> str:
        """A short digest of what the dataset holds, the same wherever it lies."""
        content = [self.facts.model_dump(mode="json"), [shard.sha256 for shard in self.shards]]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:_ID_LENGTH]

    def with_shards(self, finished: Iterable[Shard]) -> "Metadata":
        """The same, with more shards finished."""
        shards = sorted((*self.shards, *finished), key=lambda each: each.first)
        return self.model_copy(update={"shards": tuple(shards)})

    def differences(self, other: "Metadata") -> list[str]:
        """What tells the origins of two datasets apart, a phrase each.

        A task counts by its name, which decides where episodes start; a file by its content, wherever it lies.
        """
        phrases = [f"system's {phrase}" for phrase in self.facts.differences(other.facts)]
        fields = ("behaviour", "seed", "episodes", "steps")
        if not (is_file(self.source) and is_file(other.source)):
            fields = ("source", *fields)
        phrases += [
            f"{field} is {ours} instead of {theirs}"
            for field in fields
            if (ours := getattr(self, field)) != (theirs := getattr(other, field))
        ]
        phrases += [
            f"version of {package} is {ours} instead of {theirs}"
            for package in _PACKAGES_OF_PHYSICS
            if (ours := self.versions.get(package)) != (theirs := other.versions.get(package))
        ]
        return phrases

    def command(self, out: str) -> str:
        """The command that makes or completes this dataset."""
        if isinstance(self.behaviour, ImportedBehaviour):
            mapped = [] if self.behaviour.log_map is None else ["--map", self.behaviour.log_map]
            return shlex.join(["mosim", "import", self.behaviour.file, *mapped, "--system", self.source, "--out", out])
        words = ["mosim", "collect", self.source, "--out", out]
        words += ["--episodes", str(self.episodes), "--steps", str(self.steps), "--seed", str(self.seed)]
        if isinstance(self.behaviour, PolicyBehaviour):
            words += ["--behaviour", "policy"]
        for field, information in type(self.behaviour).model_fields.items():
            if field != "kind" and (value := getattr(self.behaviour, field)) != information.default:
                words += [f"--{field.replace('_', '-')}", str(value)]
        return shlex.join(words)


def describe(system: System, behaviour: Behaviour, seed: int | None, episodes: int, steps: int | None) -> Metadata:
    """The metadata of a dataset that is yet to be made here and now."""
    versions = {package: version(package) for package in _PACKAGES} | {"python": platform.python_version()}
    return Metadata(
        facts=system.facts,
        source=system.source,
        behaviour=behaviour,
        seed=seed,
        episodes=episodes,
        steps=steps,
        versions=versions,
    )


def read_metadata(folder: Folder) -> Metadata:
    """Reads a dataset's metadata.

    Raises:
      MosimError: there is none, or a later mosim wrote it.
      DamagedFileError: it is not what mosim wrote.
    """
    if not folder.holds(METADATA_NAME):
        raise MosimError(
            f"there is no dataset at {folder.uri}: it has no {METADATA_NAME}; create one with mosim collect."
        )
    where = folder.where(METADATA_NAME)
    try:
        content = json.loads(folder.read(METADATA_NAME))
        if (found := content["format"]) != FORMAT:
            raise MosimError(f"{where} has format {found}; this version of mosim reads format {FORMAT}.")
        return Metadata.model_validate(content)
    except (ValueError, KeyError, TypeError) as error:
        reason = (
            f"{error.errors()[0]['loc']}: {error.errors()[0]['msg']}" if isinstance(error, ValidationError) else error
        )
        raise DamagedFileError(f"{where} is damaged: {reason}") from None


def write_metadata(folder: Folder, metadata: Metadata) -> None:
    """Writes a dataset's metadata, whole or not at all."""
    folder.write(METADATA_NAME, (metadata.model_dump_json(indent=2) + "\n").encode())


def check_dataset(folder: Folder, metadata: Metadata) -> Metadata | None:
    """Checks that a folder has room for a dataset: it holds none, or this very one.

    Returns:
      What the folder says of the dataset that is there; None where there is none.

    Raises:
      MismatchError: another dataset lies there; names what differs.
    """
    if not folder.holds(METADATA_NAME):
        return None
    found = read_metadata(folder)
    if differences := found.differences(metadata):
        raise MismatchError(
            f"{folder.uri} holds another dataset: its {'; its '.join(differences)}. Choose another folder, or remove "
            "that dataset."
        )
    return found


def begin(folder: Folder, metadata: Metadata) -> Metadata:
    """Takes up a dataset where it was left, or starts it.

    Returns:
      What the folder says, with the shards that are finished already, but for the source, since a file may have moved,
      and the behaviour.

    Raises:
      MismatchError: as `check_dataset`.
    """
    if (found := check_dataset(folder, metadata)) is None:
        write_metadata(folder, metadata)
        return metadata
    # From these two code is loaded, so they are what was asked for, and not what the folder says.
    resumed = found.model_copy(update={"source": metadata.source, "behaviour": metadata.behaviour})
    if resumed.source != found.source:
        write_metadata(folder, resumed)
    return resumed
