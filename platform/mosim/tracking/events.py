"""What a run says, one event a line of the journal."""

from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

RunStatus = Literal["FINISHED", "FAILED", "KILLED"]
"""How a run ends, in MLflow's words."""


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")


class JournalStarted(_Record):
    """The first line of a journal. `id` tells its runs from those of every other folder."""

    kind: Literal["journal"] = "journal"
    id: str


class _RunEvent(_Record):
    """Something said by the run of key `run`, at `time` in milliseconds since 1970.

    The time is that of the saying and not of the sending, so that an event sent twice is the same event to MLflow.
    """

    run: str
    time: int


class RunStarted(_RunEvent):
    """A run begins, or goes on after a resume."""

    kind: Literal["run"] = "run"
    name: str
    parent: str | None
    tags: dict[str, str]


class Parameters(_RunEvent):
    """Parameters, flattened."""

    kind: Literal["parameters"] = "parameters"
    values: dict[str, str]


class Metrics(_RunEvent):
    """Metrics at a step."""

    kind: Literal["metrics"] = "metrics"
    step: int
    values: dict[str, float]


class Tags(_RunEvent):
    """Tags; a later one replaces an earlier one."""

    kind: Literal["tags"] = "tags"
    values: dict[str, str]


class Artifact(_RunEvent):
    """A file or folder. Its path is relative to the output folder, in which it lies, so that the folder can move."""

    kind: Literal["artifact"] = "artifact"
    path: str
    artifact_path: str


class ModelVersion(_RunEvent):
    """A version in the model registry of a model that the run made. `path` is that of its folder, as an artifact's."""

    kind: Literal["model_version"] = "model_version"
    path: str
    model_uuid: str
    name: str
    tags: dict[str, str]
    description: str


class RunFinished(_RunEvent):
    """A run ends. `failure` says why it failed; it is empty where the run did not."""

    kind: Literal["finish"] = "finish"
    status: RunStatus
    failure: str = ""


Upload: TypeAlias = Artifact | ModelVersion
"""Events that bring files along, which takes longer and fails more often than a few numbers."""

Event: TypeAlias = JournalStarted | RunStarted | Parameters | Metrics | Tags | Upload | RunFinished

EVENT: TypeAdapter[Event] = TypeAdapter(Annotated[Event, Field(discriminator="kind")])
"""Reads an event from a line of the journal."""
