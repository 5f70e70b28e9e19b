"""Warnings of what in a dataset tends to hurt training."""

from collections.abc import Iterator, Sequence

from mosim.data.inspection.near_duplicates import NEAR, Overlap
from mosim.data.inspection.survey import ActuatorUse, Coverage, Survey

_STILL = 1e-9
"""A dimension whose extremes are no further apart than this, beside its magnitude, never moves."""

_MANY_DUPLICATES = 0.01
"""Share of near duplicates in the other dataset above which a warning is given."""

_MOSTLY = 0.5
"""Share of the steps at a joint's limit, or at zero action, beyond which there is little else to learn from."""

_LITTLE = "an error measured on training data does not show how a simulator generalises."

_NAMED = 4
"""Names in a sentence, at most."""


def data_warnings(survey: Survey, overlap: Overlap | None = None) -> list[str]:
    """What a user should know before training on a dataset, or before measuring on it.

    Args:
      survey: the dataset.
      overlap: what it shares with another; None where none is given.
    """
    found = [*_of_numbers(survey), *_of_motion(survey), *_of_actions(survey), *_of_episodes(survey)]
    return [*found, *(_of_overlap(survey, overlap) if overlap else ())]


def _of_numbers(survey: Survey) -> Iterator[str]:
    if odd := [each for each in survey.coverage if each.not_finite]:
        values, place = sum(each.not_finite for each in odd), odd[0].first_not_finite
        where = f", first in episode {place.episode} at step {place.step}" if place else ""
        yield f"{values} values of {_names(odd)} are not finite{where}; training on them gives NaN."
    if odd := [each for each in survey.actuators if each.not_finite]:
        values = sum(each.not_finite for each in odd)
        yield f"{values} actions of {_names(odd)} are not finite; training on them gives NaN."
    if survey.crooked_quaternions:
        yield f"{survey.crooked_quaternions} states have an orientation that is not a unit quaternion; normalise them."


def _of_motion(survey: Survey) -> Iterator[str]:
    if not survey.physics_steps:
        return
    if still := [each for each in survey.coverage if _never_moves(each)]:
        yield (
            f"{_names(still)} never {_verb(still, 'changes', 'change')}; nothing can be learned about "
            f"{_verb(still, 'it', 'them')}."
        )
    if pushed := [
        each for each in survey.coverage if each.within_range is not None and each.within_range < 1 - _MOSTLY
    ]:
        yield f"{_names(pushed)} {_verb(pushed, 'is', 'are')} at a joint limit in more than half of the states."
    if survey.same_start:
        yield "every episode starts in the same state."


def _of_actions(survey: Survey) -> Iterator[str]:
    if not survey.physics_steps:
        return
    if still := [each for each in survey.actuators if _never_moves(each)]:
        yield (
            f"{_names(still)} never {_verb(still, 'changes', 'change')}; "
            f"{_verb(still, 'its effect', 'their effects')} cannot be learned."
        )
    if outside := [each for each in survey.actuators if each.outside]:
        share = max(each.outside for each in outside)
        yield f"{_names(outside)} {_verb(outside, 'leaves', 'leave')} the control range in {share:.1%} of the steps."
    if idle := [each for each in survey.actuators if _MOSTLY < each.zero < 1]:
        yield f"{_names(idle)} {_verb(idle, 'is', 'are')} zero in more than half of the steps."


def _of_episodes(survey: Survey) -> Iterator[str]:
    if survey.episodes < survey.wanted_episodes:
        yield f"the dataset is incomplete: it has {survey.episodes} of {survey.wanted_episodes} episodes."
    if survey.copies:
        index, first = survey.copies[0]
        yield (
            f"{len(survey.copies)} episodes are copies of earlier ones, which add no information; for example, "
            f"episode {index} is a copy of episode {first}."
        )


def _of_overlap(survey: Survey, overlap: Overlap) -> Iterator[str]:
    if overlap.id == survey.id:
        yield f"{overlap.uri} is the same dataset; {_LITTLE}"
    elif overlap.same_episodes:
        index, there = overlap.same_episodes[0]
        how_many = f"{len(overlap.same_episodes)} of {survey.episodes} episodes are also in {overlap.uri}"
        yield f"{how_many}; for example, episode {index} is episode {there} there; {_LITTLE}"
    elif overlap.near_duplicates > _MANY_DUPLICATES:
        near = f"less than {NEAR:g} standard deviations away"
        yield f"{overlap.near_duplicates:.1%} of the steps have a near-duplicate in {overlap.uri}, {near}; {_LITTLE}"


def _never_moves(summary: Coverage | ActuatorUse) -> bool:
    lowest, highest = summary.minimum, summary.maximum
    return lowest is not None and highest is not None and highest - lowest <= _STILL * max(abs(lowest), 1.0)


def _names(summaries: Sequence[Coverage | ActuatorUse]) -> str:
    names = [each.name for each in summaries]
    return ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")


def _verb(summaries: Sequence[Coverage | ActuatorUse], one: str, several: str) -> str:
    return one if len(summaries) == 1 else several
