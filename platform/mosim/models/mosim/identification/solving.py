"""A stage that solves for its numbers: the masses, forces, contacts and limits of an articulated predictor."""

import math
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from functools import partial

import torch

from mosim.models.learned import Windows
from mosim.models.mosim.identification.mass_fit import identify
from mosim.models.mosim.identification.noisy_steps import NoisySteps, driven, untouched
from mosim.models.mosim.identification.step_fit import fit_constraints, fit_steps
from mosim.models.mosim.neural_simulator import NeuralSimulator

_FREE_CANDIDATES, _PUSHED_CANDIDATES = 16_384, 100_000
"""Transitions among which least squares takes those that contacts and limits push least; and those in which the ones
that are rarely seen do."""

_EQUATIONS = 30
"""Of steps that nothing pushes, to each unknown number of masses and forces, from which on these steps are enough."""

_ROUNDS = 2
"""Fits to noisy states: the first shows how noisy velocities are, which the second takes into account."""


def solve(
    model: NeuralSimulator, learns: Collection[str], training: Windows, validation_error: Callable[[], float]
) -> str:
    """Gives the predictor, or its constraints alone, the numbers that explain single steps best; on the CPU.

    Masses and joint forces by a linear solve, then contacts, limits and couplings. Where the linear solve leaves more
    than rounding, for noise or other forces, its numbers are a first guess, from which all are fitted together; then,
    with enough steps that nothing pushes, masses and joint forces on these, and constraints after them.

    Args:
      model: is changed; it stays on its device.
      learns: `predictor`, `constraints` or both.
      training: the episodes to take single steps from.
      validation_error: measures the model. A fit that makes it larger is undone.

    Returns:
      What was found, a sentence.
    """
    found: list[str] = []
    fits: list[Callable[[], str | None]] = []
    if model.predictor.constrained:
        fits = [partial(_fit_constraints, model, training)]
    if "predictor" in learns:
        with _on_cpu(model):
            masses = identify(model, *_transitions(model, training, _FREE_CANDIDATES))
        found.append(str(masses))
        if not masses.exact:
            steps, least = NoisySteps(model, training), _EQUATIONS * masses.parameters
            fits = [
                partial(_fit_together, model, steps),
                partial(_fit_apart, model, steps, least),
                partial(_fit_details, model, steps),
            ]
    for fit in fits:
        said = _undone_if_worse(fit, model, validation_error)
        if said is None:
            break
        found.append(said)
    return f"{'; '.join(found)}."


def _undone_if_worse(
    fit: Callable[[], str | None], model: NeuralSimulator, validation_error: Callable[[], float]
) -> str | None:
    """What a fit found; None where neither it nor those after it are for these data."""
    before = validation_error()
    weights = {name: weight.clone() for name, weight in model.state_dict().items()}
    with _on_cpu(model):
        found = fit()
    if found is None:
        return None
    after = validation_error()
    if after <= before or math.isnan(before):
        return found
    model.load_state_dict(weights)
    return (
        f"{found}; but this fit changes the horizon error on the validation episodes from {before:.3g} to {after:.3g} "
        "and is undone: the data are noisy, or other forces act"
    )


def _fit_constraints(model: NeuralSimulator, training: Windows) -> str:
    return str(fit_constraints(model, *_transitions(model, training, _PUSHED_CANDIDATES)))


def _fit_together(model: NeuralSimulator, noisy: NoisySteps) -> str:
    """Masses, joint forces, contacts and limits, of a robot that may stand on its feet all the time."""
    for _ in range(_ROUNDS):
        steps = noisy.seen_by(model)
        fit = fit_steps(model, *steps.transitions)
        if steps.noise is None or not steps.noise.of_positions:
            return str(fit)
    return f"{steps.noise}; {fit}"


def _fit_apart(model: NeuralSimulator, noisy: NoisySteps, least: int) -> str | None:
    """Masses and joint forces where nothing pushes, then contacts and limits; None with fewer equations than `least`.

    How deep a contact is, noise hides most: forces that contacts and limits should have had would bias the masses.
    For the same reason, the constraints' stiffness has the shape that it had before training.
    """
    steps = noisy.seen_by(model)
    free = steps.of(untouched(model, steps))
    if len(free.states) * model.facts.nv < least:
        return None
    masses = f"where nothing pushes, {fit_steps(model, *free.transitions)}"
    if not model.predictor.constrained:
        return masses
    return f"{masses}; then {fit_constraints(model, *noisy.seen_by(model).transitions, noisy=True)}"


def _fit_details(model: NeuralSimulator, noisy: NoisySteps) -> str | None:
    """All numbers of contacts and limits, of which noise may tell some wrongly; None where there are none."""
    if not model.predictor.constrained:
        return None
    return f"and all of their numbers: {fit_constraints(model, *noisy.seen_by(model).transitions)}"


def _transitions(
    model: NeuralSimulator, training: Windows, count: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Single steps on the CPU, at most so many, evenly spread, as the model's parts see them."""
    states, actions = driven(model, *(part.cpu() for part in training.spread(count, 1)))
    return states[:, 0], actions[:, 0], states[:, 1]


@contextmanager
def _on_cpu(model: NeuralSimulator) -> Iterator[None]:
    """Fits are in double precision and of small matrices; what measures the model wants it on its own device."""
    device = next(model.parameters()).device
    model.to(torch.device("cpu"))
    try:
        yield
    finally:
        model.to(device)
