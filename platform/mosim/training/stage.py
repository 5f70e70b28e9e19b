"""One stage at work: which weights learn, at which rate, for how long, and when to give up."""

import math
import time
from dataclasses import asdict, dataclass
from typing import Any

from torch import nn

from mosim.dynamics import NeuralSimulator
from mosim.training.recipe import StageConfig

_NO_BETTER = 0.999
"""A loss above this share of the best one so far is no better."""


@dataclass
class StageCursor:
    """Where a stage stands.

    Attributes:
      step: gradient steps done.
      seconds: wall-clock seconds spent.
      best_loss: the lowest mean loss of a report so far.
      best_progress: the share of the stage at which it was seen.
      seconds_of_report: wall-clock seconds of the last report's steps.
    """

    step: int = 0
    seconds: float = 0.0
    best_loss: float = math.inf
    best_progress: float = 0.0
    seconds_of_report: float = 0.0

    def as_json(self) -> dict[str, Any]:
        """The cursor as JSON, whose infinities Python's own reader takes back."""
        return asdict(self)


def select_parts(model: NeuralSimulator, stages: tuple[StageConfig, ...], index: int) -> list[nn.Parameter]:
    """Lets exactly the parts that stage `index` names learn, and no corrector take part that no stage has named yet.

    Returns:
      The parameters that learn.
    """
    parts: dict[str, nn.Module] = {"predictor": model.predictor}
    parts |= {f"corrector/{number}": corrector for number, corrector in enumerate(model.correctors)}
    for name, part in parts.items():
        part.requires_grad_(name in stages[index].learns)
    named = {name for stage in stages[: index + 1] for name in stage.learns}
    model.active_correctors = sum(f"corrector/{number}" in named for number in range(len(model.correctors)))
    return [weight for weight in model.parameters() if weight.requires_grad]


def progress(stage: StageConfig, cursor: StageCursor) -> float:
    """The share of a stage that is done, from 0 to 1."""
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


def note_loss(stage: StageConfig, cursor: StageCursor, loss: float) -> bool:
    """Takes a report's mean loss into the cursor; returns whether the stage has stagnated for its patience."""
    done = progress(stage, cursor)
    if loss < _NO_BETTER * cursor.best_loss:
        cursor.best_loss, cursor.best_progress = loss, done
    return stage.patience < 1 and done - cursor.best_progress > stage.patience


class Stopwatch:
    """Seconds of wall clock since the last `lap`."""

    def __init__(self) -> None:
        self._since = time.perf_counter()

    def lap(self) -> float:
        """Returns the seconds since the last lap, and starts the next."""
        now = time.perf_counter()
        seconds, self._since = now - self._since, now
        return seconds
