"""What of a sweep may be other when it is resumed, and what makes it another sweep."""

from typing import Any

from mosim.core.errors import MismatchError
from mosim.core.run_identity import check_identity, differences, read_identity
from mosim.experiments.sweep.plan import SweepPlan
from mosim.experiments.sweep.strategies import Pbt

_HOW = ("sweep.budget.", "sweep.resources.")
"""Keys that say how the trials are run, and not what they are; more trials are added to those that there are."""

_TRIALS = "sweep.budget.trials"


def check_resumption(plan: SweepPlan, storage: str, *, resume: bool) -> list[str]:
    """Checks that a storage has room for a sweep: it holds none, or, where it is to be resumed, this very one.

    Args:
      plan: of the sweep, as its file says now.
      storage: the sweep's folder, a path or a URI.
      resume: whether the sweep may be there already.

    Returns:
      What has changed since it was begun and is put into effect, a phrase each.

    Raises:
      MosimError: the storage holds a sweep, and `resume` is false.
      MismatchError: the sweep there is another one; names each key that differs, with both values, and what may.
    """
    found = read_identity(storage)
    if found is None or not resume:
        check_identity(storage, plan.identity, resume=resume)
        return []
    changes = differences(found, plan.identity)
    odd = [change for change in changes if not change.startswith(_HOW) or _takes_back(change, found, plan)]
    if odd:
        more = "" if isinstance(plan.sweep.scheduler, Pbt) else "budget.trials to a larger number, "
        raise MismatchError(
            f"{storage} holds another sweep: {'; '.join(odd)}. A resumed sweep may change {more}budget.minutes, "
            "budget.concurrent and resources; for other changes, choose another folder."
        )
    return [change.removeprefix("sweep.") for change in changes]


def _takes_back(change: str, found: dict[str, Any], plan: SweepPlan) -> bool:
    """Whether a change is one of the number of trials that cannot be followed: fewer, or any under pbt."""
    if not change.startswith(f"{_TRIALS} "):
        return False
    before = found["sweep"]["budget"]["trials"] or 1
    return isinstance(plan.sweep.scheduler, Pbt) or plan.sweep.draw_count < before
