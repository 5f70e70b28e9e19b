"""The base of every typed record."""

from pydantic import BaseModel, ConfigDict


class Frozen(BaseModel):
    """A typed record: unknown keys are refused, nothing changes it afterwards."""

    model_config = ConfigDict(frozen=True, extra="forbid")
