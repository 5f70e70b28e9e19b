"""One stage at work: which weights learn, at which rate, for how long, and when to give up."""

import math
import statistics
import time
from dataclasses import asdict, dataclass, field
from typing import Any

from torch import nn

from mosim.models import LearnedModel
from mosim.training.recipe import StageConfig
from mosim.training.validation import WindowErrors

_NO_BETTER = 0.999
"""A loss above this share of an earlier one is no better."""


@dataclass
class StageCursor:
    """Where a stage stands.

    Attributes:
      step: gradient steps done.
      seconds: wall-clock seconds spent.
      losses: share of the stage done and mean loss of each report, back to the stage's patience.
      seconds_of_report: wall-clock seconds of the last report's steps.
      validation: horizon errors before the stage, where it would be undone for larger ones.
    """

    step: int = 0
    seconds: float = 0.0
    losses: list[tuple[float, float]] = field(default_factory=list)
    seconds_of_report: float = 0.0
    validation: WindowErrors | None = None

    def __post_init__(self) -> None:
        """Takes what JSON made of a tuple."""
        if self.validation is not None:
            self.validation = WindowErrors(*self.validation)

    def as_json(self) -> dict[str, Any]:
        """The cursor as JSON."""
        return asdict(self)


def select_parts(model: LearnedModel, stages: tuple[StageConfig, ...], index: int) -> list[nn.Parameter]:
    """Lets exactly the parts that stage `index` names learn, and use those alone that a stage has named so far.

    Returns:
      The parameters that learn; none where a stage names only parts that this system lacks.
    """
    model.requires_grad_(False)
    for name, part in model.parts.items():
        if name in stages[index].learns:
            part.requires_grad_(True)
    model.use_parts({name for stage in stages[: index + 1] for name in stage.learns})
    return [weight for weight in model.parameters() if weight.requires_grad]


def progress(stage: StageConfig, cursor: StageCursor) -> float:
    """The share of a stage that is done, from 0 to 1."""
    if stage.solves:
        return 0.0
    if stage.steps is not None:
        return min(cursor.step / stage.steps, 1.0)
    return min(cursor.seconds / (60 * (stage.minutes or 0.0)), 1.0)


def learning_rate(stage: StageConfig, cursor: StageCursor) -> float:
    """The rate of the next gradient step: linear warm-up, then the stage's schedule."""
    warmup = min((cursor.step + 1) / stage.warmup_steps, 1.0) if stage.warmup_steps else 1.0
    if stage.schedule == "constant":
        return stage.learning_rate * warmup
    falling = 0.5 * (1 + math.cos(math.pi * progress(stage, cursor)))
    return stage.learning_rate * warmup * (stage.final_learning_rate + (1 - stage.final_learning_rate) * falling)


def stagnates(stage: StageConfig, cursor: StageCursor, loss: float) -> bool:
    """Takes a report's mean loss into the cursor, and tells whether the stage has stagnated.

    It has where the mean loss of the later half of its patience is no better than that of the earlier half. Means are
    compared, not the best loss with the last, since the loss of a rollout is noisy, and rises before it falls where a
    stage starts from weights that are good already.
    """
    done = progress(stage, cursor)
    cursor.losses.append((done, loss))
    if stage.patience >= 1 or cursor.losses[0][0] > done - stage.patience:
        return False
    cursor.losses = [(at, value) for at, value in cursor.losses if at >= done - stage.patience]
    earlier = [value for at, value in cursor.losses if at < done - stage.patience / 2]
    later = [value for at, value in cursor.losses if at >= done - stage.patience / 2]
    return bool(earlier) and statistics.fmean(later) > _NO_BETTER * statistics.fmean(earlier)


class Stopwatch:
    """Seconds of wall clock since the last `lap`."""

    def __init__(self) -> None:
        self._since = time.perf_counter()

    def lap(self) -> float:
        """Returns the seconds since the last lap, and starts the next."""
        now = time.perf_counter()
        seconds, self._since = now - self._since, now
        return seconds
