"""Whether data are motion of the system that they are said to be of: a sample of steps, repeated in MuJoCo.

Lengths of differences are in usual changes: the root mean square over the dimensions of the state, each divided by how
much it changes in a step. Data that mosim collects differ by less than a thousandth, which is what the contact solver's
tolerance leaves; single precision by no more; a wrong column, unit or order by about as much as the state changes.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np

from mosim.core.frozen import Frozen
from mosim.data.dataset import Trajectories
from mosim.data.inspection.replay import Steps, losses, mean_square_root, simulate, state_difference, usual_change
from mosim.data.inspection.replay_causes import likely_cause
from mosim.data.inspection.sampled_steps import SampledStep, sample_steps
from mosim.robots import System

Verdict = Literal["follows", "differs", "contradicts"]

_WRONG = 0.5
"""A step is wrong where it ends further than this from MuJoCo's, beside a usual change or its own, if that is larger:
then to predict no change at all is no worse than twice as bad."""

_EXACT = 0.02
"""Mean loss, see `losses`, up to which data follow from the model."""

_MOSTLY_WRONG = 0.5
"""Share of wrong steps from which on data are taken for another system's, unless the model helps over a longer time."""

_HELPS = 0.7
"""Noise hides motion for a step and not for long: MuJoCo's error over many steps, beside that of no change."""

_LONG = (10, 20, 40)
"""Steps over which that is looked at."""

_LONG_STARTS = 64


class ReplayCheck(Frozen):
    """How well MuJoCo repeats a dataset.

    Attributes:
      steps: how many were repeated.
      wrong: how many of them end elsewhere: about as far off as the state changes in a step.
      error: the mean distance from MuJoCo's end, in usual changes, each at most 1.
      dimensions: by its name, root mean square of the one-step error in its own unit.
      changes: likewise of the change in a step.
      worst: the name of the dimension that is furthest off beside its change.
      first: episode and step of the first wrong one; null where there is none.
      verdict: "contradicts" where data cannot be motion of the system; "differs" where they may be, measured with
        noise, or of a machine that the model describes roughly.
      cause: what most likely is wrong with the data, and what to do; empty where that is not known.
    """

    steps: int
    wrong: int
    error: float
    dimensions: dict[str, float]
    changes: dict[str, float]
    worst: str
    first: tuple[int, int] | None
    verdict: Verdict
    cause: str = ""

    def sentence(self, system: str) -> str | None:
        """What a user should know of it; None where data follow from the model."""
        if self.verdict == "follows":
            return None
        worst, place = self.worst, self.first
        where = "" if place is None else f", first at step {place[1]} of episode {place[0]}"
        figures = (
            f"of {self.steps} steps replayed in MuJoCo, {self.wrong} end in another state{where}; the one-step error "
            f"of {worst} is {self.dimensions[worst]:.2g}, and its change per step is {self.changes[worst]:.2g} (root "
            "mean square)"
        )
        if self.verdict == "differs":
            return f"the model {system!r} reproduces these rows only roughly: {figures}. {self.cause}"
        return f"the model {system!r} does not reproduce these rows: {figures}. {self.cause}"


def check_trajectories(system: System, trajectories: Trajectories) -> ReplayCheck | None:
    """As `check_steps`, of trajectories that are all in memory."""
    return check_steps(system, sample_steps(trajectories))


def check_steps(system: System, sample: Sequence[SampledStep]) -> ReplayCheck | None:
    """Repeats sampled steps in MuJoCo.

    Args:
      system: that they are said to be of.
      sample: from `StepSampler`.

    Returns:
      What was found; None where there is nothing to repeat, or the physics depend on a context that is not known.
    """
    if not sample or (system.context_in_dynamics and sample[0].context.size != system.context_size):
        return None
    facts, steps = system.facts, Steps.of(sample)
    scale = usual_change(facts, steps)
    ends = simulate(system, steps.before, steps.actions[:, None], steps.contexts)[:, 0]
    residuals = state_difference(facts, ends, steps.after)
    changes = state_difference(facts, steps.before, steps.after)
    loss = losses(residuals, changes, scale)
    wrong = loss > _WRONG
    drawn = np.array([each.drawn for each in sample])
    verdict, cause = _judged(system, sample, loss, wrong, drawn)
    errors, usual = (
        np.sqrt((np.nan_to_num(each, posinf=1e12, neginf=-1e12) ** 2).mean(axis=0)) for each in (residuals, changes)
    )
    places = sorted((each.episode, each.step) for each, odd in zip(sample, wrong, strict=True) if odd)
    return ReplayCheck(
        steps=len(sample),
        wrong=int(wrong.sum()),
        error=float(loss[drawn].mean() if drawn.any() else loss.mean()),
        dimensions=dict(zip(facts.state_names, errors.tolist(), strict=True)),
        changes=dict(zip(facts.state_names, usual.tolist(), strict=True)),
        worst=facts.state_names[int(np.argmax(errors / scale))],
        first=places[0] if places else None,
        verdict=verdict,
        cause=cause,
    )


def _judged(
    system: System, sample: Sequence[SampledStep], loss: np.ndarray, wrong: np.ndarray, drawn: np.ndarray
) -> tuple[Verdict, str]:
    if not wrong.any() and loss.mean() <= _EXACT:
        return "follows", ""
    if cause := likely_cause(system, sample, loss, wrong):
        return "contradicts", cause
    if wrong[drawn].mean() < _MOSTLY_WRONG or _model_helps(system, sample):
        return (
            "differs",
            "They may contain measurement noise, or come from a machine that the model describes only roughly.",
        )
    return (
        "contradicts",
        "MuJoCo predicts them no better than persistence: they are noise, or of another system.",
    )


def _model_helps(system: System, sample: Sequence[SampledStep]) -> bool:
    """Whether MuJoCo predicts the data over some longer time better than to predict no change."""
    facts = system.facts
    for length in _LONG:
        long = [each for each in sample if each.drawn and len(each.actions) >= each.at + length][:_LONG_STARTS]
        long = [each for each in long if np.isfinite(each.states).all() and np.isfinite(each.actions).all()]
        if not long:
            continue
        starts = np.stack([each.states[each.at] for each in long])
        goals = np.stack([each.states[each.at + length] for each in long])
        actions = np.stack([each.actions[each.at : each.at + length] for each in long])
        ends = simulate(system, starts, actions, np.stack([each.context for each in long]))[:, -1]
        moved = state_difference(facts, starts, goals)
        scale = np.sqrt((moved**2).mean(axis=0)) + 1e-12
        ours, still = (
            np.median(mean_square_root(each, scale)) for each in (state_difference(facts, ends, goals), moved)
        )
        if ours < _HELPS * still:
            return True
    return False
