"""What a training reports while it runs, and its result."""

from collections.abc import Callable
from pathlib import Path

from mosim.agents.divergences import DivergenceCounts
from mosim.agents.returns import RETURNS_FILE, ReturnRow
from mosim.core.frozen import Frozen

POLICY_FOLDER = "policy"


class PolicyProgress(Frozen):
    """How far a training is.

    Attributes:
      steps, total_steps: control steps done, and to do in all.
      wall_seconds: seconds trained for, interruptions not counted.
      return_training: mean return of the training episodes that ended last, while exploring; None before the first.
      return_simulated, return_true_mean, return_true_std: the last evaluation; None before the first.
      parted: whether simulated and true return of the last evaluation have parted, see `ReturnRow.parted`.
      divergences: training episodes so far, and those whose prediction diverged.
      finished: whether the policy is written.
    """

    steps: int
    total_steps: int
    wall_seconds: float
    return_training: float | None = None
    return_simulated: float | None = None
    return_true_mean: float | None = None
    return_true_std: float | None = None
    parted: bool = False
    divergences: DivergenceCounts = DivergenceCounts()
    finished: bool = False


class PolicyResult(Frozen):
    """What a training leaves behind.

    Attributes:
      policy: folder of the policy, for `load_policy`.
      returns: the path of `returns.csv`.
      steps: control steps trained for.
      wall_seconds: seconds it took.
      return_simulated, return_true_mean, return_true_std: the last evaluation.
    """

    policy: Path
    returns: Path
    steps: int
    wall_seconds: float
    return_simulated: float
    return_true_mean: float
    return_true_std: float


OnProgress = Callable[[PolicyProgress], None]


def progress_of(
    steps: int,
    total_steps: int,
    wall_seconds: float,
    evaluated: ReturnRow | None,
    return_training: float | None = None,
    divergences: DivergenceCounts = DivergenceCounts(),  # noqa: B008 It is frozen.
    finished: bool = False,
) -> PolicyProgress:
    """Progress with the last evaluation, if there is one."""
    return PolicyProgress(
        steps=steps,
        total_steps=total_steps,
        wall_seconds=wall_seconds,
        return_training=return_training,
        return_simulated=evaluated and evaluated.return_simulated,
        return_true_mean=evaluated and evaluated.return_true_mean,
        return_true_std=evaluated and evaluated.return_true_std,
        parted=evaluated is not None and evaluated.parted,
        divergences=divergences,
        finished=finished,
    )


def result_of(out: Path, row: ReturnRow) -> PolicyResult:
    """The result of a training in `out` whose last evaluation is `row`."""
    return PolicyResult(
        policy=out / POLICY_FOLDER,
        returns=out / RETURNS_FILE,
        steps=row.steps,
        wall_seconds=row.wall_seconds,
        return_simulated=row.return_simulated,
        return_true_mean=row.return_true_mean,
        return_true_std=row.return_true_std,
    )
