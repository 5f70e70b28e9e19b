"""Why data do not follow from a model: usual mistakes of recordings, each undone to see whether a sample fits then."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from mosim.data.inspection.replay import (
    Steps,
    losses,
    mean_square_root,
    simulate,
    state_difference,
    usual_change,
)
from mosim.data.inspection.sampled_steps import SampledStep
from mosim.robots import System, SystemFacts

_BETTER = 0.1
"""A mistake is the cause where undoing it leaves this share of the loss, or less."""

_FITS = 0.2
"""Greatest mean loss that may be left then."""

_REPEATED = 0.05
"""Share of steps without any change from which on rows are taken for repeated."""

_SELDOM = 0.1
"""Share of wrong steps up to which they are taken for breaks between episodes."""

_STRAIGHT = 0.8
"""Least share of the changes of position that velocities explain, where they tell how far apart rows lie."""

_OTHER_STEP = 0.2
"""How far from one step that is, to be another one."""

_TRIED_ALONE = 4
"""Quaternions that are tried in the other order each alone, at most."""


def likely_cause(system: System, sample: Sequence[SampledStep], loss: np.ndarray, wrong: np.ndarray) -> str:
    """The mistake that explains a sample which MuJoCo does not repeat, and what to do; empty where none does.

    Args:
      system: that the data are said to be of.
      sample: steps of the data.
      loss: of each, see `losses`.
      wrong: which of them end elsewhere.
    """
    for sentence, base, undone in _undone(system, sample, loss):
        if len(base) and undone.mean() <= min(_BETTER * base.mean(), _FITS):
            return sentence
    return _spacing(system, sample) or _breaks(system, sample, loss, wrong)


def _undone(
    system: System, sample: Sequence[SampledStep], loss: np.ndarray
) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Mistakes with the loss of the steps that tell of them, before and after they are undone."""
    facts, steps = system.facts, Steps.of(sample)
    for sentence, order, unit in _columns(facts):
        other = replace(steps, before=steps.before[:, order] * unit, after=steps.after[:, order] * unit)
        yield sentence, loss, _losses(system, other)
    same = (steps.before == steps.after).all(axis=1)
    drawn = np.array([each.drawn for each in sample])
    if same[drawn].mean() >= _REPEATED and not same.all():
        yield (
            "Most likely, rows are repeated or padded; each step must occur exactly once.",
            loss[drawn],
            loss[drawn & ~same],
        )
    yield (
        "Most likely, angles are wrapped to one turn; unwrap them, for example with numpy.unwrap.",
        loss,
        _losses(system, steps, turn=2 * np.pi),
    )
    for shift, sentence in (
        (1, "Most likely, actions are one row too late; a row must have the action that leads to the next row."),
        (-1, "Most likely, actions are one row too early; a row must have the action that leads to the next row."),
    ):
        known = np.array([0 <= each.at + shift < len(each.actions) for each in sample])
        if facts.nu and known.any():
            theirs = [each.actions[each.at + shift] for each, there in zip(sample, known, strict=True) if there]
            other = Steps(steps.before[known], np.stack(theirs), steps.after[known], steps.contexts[known])
            yield sentence, loss[known], _losses(system, other)
    for actions in _rescaled(facts, steps.actions):
        sentence = "Most likely, actions are not in the actuators' units; scale them to the model's control range."
        yield sentence, loss, _losses(system, replace(steps, actions=actions))


def _columns(facts: SystemFacts) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Other orders and units of a state's columns: which column stands where, and what it is multiplied by."""
    order, same = np.arange(facts.state_size), np.ones(facts.state_size)
    motion = order[facts.layout.motion]
    turned = np.concatenate([np.roll(motion, -facts.nv), order[facts.layout.act]])
    yield "Most likely, velocities come before positions; a state is [qpos, qvel].", turned, same
    places = facts.layout.quaternions
    for chosen in ([places] if places else []) + [[place] for place in places[:_TRIED_ALONE] if len(places) > 1]:
        swapped = order.copy()
        for place in chosen:
            swapped[place] = np.roll(order[place], 1)
        yield "Most likely, quaternions are (x, y, z, w); MuJoCo's are (w, x, y, z).", swapped, same
    radians = same.copy()
    for joint in facts.joints:
        if joint.kind == "hinge":
            radians[[joint.qpos_address, facts.layout.qvel.start + joint.dof_address]] = np.pi / 180
    yield "Most likely, angles are in degrees; MuJoCo's are in radians.", order, radians


def _rescaled(facts: SystemFacts, actions: np.ndarray) -> Iterator[np.ndarray]:
    lower, upper = np.array(facts.control_lower), np.array(facts.control_upper)
    largest, bound = np.abs(actions).max(axis=0, initial=0.0), np.maximum(np.abs(lower), np.abs(upper))
    if facts.nu and np.any(largest > 0):
        yield lower + (actions + 1) / 2 * (upper - lower)
        yield actions * np.where(largest > 0, bound / np.where(largest > 0, largest, 1.0), 1.0)


def _losses(system: System, steps: Steps, turn: float | None = None) -> np.ndarray:
    """As `losses`, of other steps; whole turns of hinges do not count where `turn` is given."""
    facts = system.facts
    ends = simulate(system, steps.before, steps.actions[:, None], steps.contexts)[:, 0]
    residuals, changes = state_difference(facts, ends, steps.after), state_difference(facts, steps.before, steps.after)
    if turn is not None:
        for place in (joint.qpos_address for joint in facts.joints if joint.kind == "hinge"):
            for array in (residuals, changes):
                array[:, place] -= turn * np.rint(np.nan_to_num(array[:, place]) / turn)
    return losses(residuals, changes, usual_change(facts, steps))


def _spacing(system: System, sample: Sequence[SampledStep]) -> str:
    """Tells from velocities how far apart rows lie."""
    facts, steps = system.facts, Steps.of([each for each in sample if each.drawn])
    pairs = facts.layout.rates
    if not pairs or not len(steps):
        return ""
    positions, velocities = (np.array(each) for each in zip(*pairs, strict=True))
    moved = steps.after[:, positions] - steps.before[:, positions]
    expected = facts.timestep * (steps.before[:, velocities] + steps.after[:, velocities]) / 2
    scale = np.sqrt((moved**2).mean(axis=0)) + 1e-12
    moved, expected = moved / scale, expected / scale
    if not (power := float((expected**2).sum())):
        return ""
    apart = float((moved * expected).sum()) / power
    unexplained = float(((moved - apart * expected) ** 2).sum() / max((moved**2).sum(), 1e-12))
    if apart <= 0 or abs(apart - 1) < _OTHER_STEP or 1 - unexplained < _STRAIGHT:
        return ""
    seconds = apart * facts.timestep
    return (
        f"Most likely, rows are {seconds:.2g} s apart, which is {apart:.2g} of the model's time steps of "
        f"{facts.timestep:g} s; give every physics step, or set the model's time step to that of the data."
    )


def _breaks(system: System, sample: Sequence[SampledStep], loss: np.ndarray, wrong: np.ndarray) -> str:
    """Whether steps are wrong seldom, by jumps of position, and others are right."""
    facts, steps = system.facts, Steps.of(sample)
    drawn = np.array([each.drawn for each in sample])
    if not wrong.any() or wrong[drawn].mean() > _SELDOM or loss[~wrong].mean() > _BETTER:
        return ""
    scale = usual_change(facts, steps)[facts.layout.qpos]
    jumps = state_difference(facts, steps.before, steps.after)[:, facts.layout.qpos]
    if np.median(mean_square_root(jumps, scale)[wrong]) < 1 / _SELDOM**0.5:
        return ""
    return (
        "Most likely, episodes end there; mark the ends with an array such as terminals, timeouts or lengths, or "
        "stack the episodes along a first axis."
    )
