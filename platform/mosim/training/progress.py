"""How far a training is, over all of its stages."""

from dataclasses import dataclass, field
from typing import Any

from mosim.training.stage import StageCursor


@dataclass
class TrainingProgress:
    """How far a training is.

    Attributes:
      stage: index of the stage that is trained, or the number of stages when all are done.
      cursor: how far that stage is.
      total_steps: gradient steps of all stages.
      stages_seconds: wall-clock seconds of the stages before.
      stages_samples: physics steps of training data that they have seen, repetitions counted.
      stage_ends: names of the checkpoints at their ends.
    """

    stage: int = 0
    cursor: StageCursor = field(default_factory=StageCursor)
    total_steps: int = 0
    stages_seconds: float = 0.0
    stages_samples: int = 0
    stage_ends: list[str] = field(default_factory=list)

    @classmethod
    def of_json(cls, kept: dict[str, Any]) -> "TrainingProgress":
        """What `as_json` gave."""
        cursor = dict(kept)
        del cursor["finished"]
        own = {name: cursor.pop(name) for name in cls.__dataclass_fields__ if name != "cursor"}
        return cls(cursor=StageCursor(**cursor), **own)

    def as_json(self, finished: bool) -> dict[str, Any]:
        """As a checkpoint keeps it: one mapping, of the stage's cursor too."""
        own = {name: getattr(self, name) for name in self.__dataclass_fields__ if name != "cursor"}
        return own | self.cursor.as_json() | {"finished": finished}

    @property
    def name(self) -> str:
        """Of a checkpoint here; later ones sort after it."""
        return f"step-{self.total_steps:08d}-stage-{self.stage}"

    @property
    def seconds(self) -> float:
        """Wall-clock seconds of gradient steps since training began."""
        return self.stages_seconds + self.cursor.seconds

    def end_stage(self, samples: int) -> None:
        """Goes on to the next stage, after `samples` physics steps of training data since training began."""
        self.stages_seconds, self.stages_samples = self.seconds, samples
        self.stage += 1
        self.cursor = StageCursor()
        self.stage_ends.append(self.name)
