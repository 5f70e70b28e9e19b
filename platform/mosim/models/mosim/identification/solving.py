"""A stage that solves for its numbers: the masses, forces, contacts and limits of an articulated predictor."""

import math
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from copy import deepcopy

import torch

from mosim.models.learned import Windows
from mosim.models.mosim.identification.mass_fit import identify
from mosim.models.mosim.identification.measurement_noise import MeasurementNoise, smoothed_positions
from mosim.models.mosim.identification.step_fit import fit_constraints, fit_steps
from mosim.models.mosim.neural_simulator import NeuralSimulator

_FREE_CANDIDATES, _PUSHED_CANDIDATES = 16_384, 100_000
"""Transitions among which least squares takes those that contacts and limits push least; and those in which the ones
that are rarely seen do."""

_NOISY_CANDIDATES, _NOISY_WINDOWS = 30_000, 2_000
"""Transitions among which it takes both where states are noisy; and of how many the noise is measured."""

_REACH = 16
"""Steps to either side whose measured positions count for one, where they are noisy and episodes are long enough."""

_ROUNDS = 2
"""Fits to noisy states: the first shows how noisy velocities are, which the second takes into account."""


def solve(
    model: NeuralSimulator, learns: Collection[str], training: Windows, validation_error: Callable[[], float]
) -> str:
    """Gives the predictor, or its constraints alone, the numbers that explain single steps best; on the CPU.

    Masses and joint forces by a linear solve, then contacts, limits and couplings. Where the linear solve leaves more
    than rounding, for noise or other forces, its numbers are a first guess, from which all are fitted together.

    Args:
      model: is changed; it stays on its device.
      learns: `predictor`, `constraints` or both.
      training: the episodes to take single steps from.
      validation_error: measures the model. A fit that makes it larger is undone.

    Returns:
      What was found, a sentence.
    """
    found, fit = [], _fit_constraints if model.predictor.constrained else None
    if "predictor" in learns:
        with _on_cpu(model):
            masses = identify(model, *_transitions(model, training, _FREE_CANDIDATES))
        found.append(str(masses))
        if not masses.exact:
            fit = _fit_all
    if fit is not None:
        found.append(_undone_if_worse(fit, model, training, validation_error))
    return f"{'; '.join(found)}."


def _undone_if_worse(
    fit: Callable[[NeuralSimulator, Windows], str],
    model: NeuralSimulator,
    training: Windows,
    validation_error: Callable[[], float],
) -> str:
    before = validation_error()
    weights = {name: weight.clone() for name, weight in model.state_dict().items()}
    with _on_cpu(model):
        found = fit(model, training)
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


def _fit_all(model: NeuralSimulator, training: Windows) -> str:
    """Masses, joint forces, contacts and limits together, from positions that their neighbours have made less noisy."""
    reach = min(_REACH, training.longest // 4)  # So that most steps of short episodes count.
    if not reach:
        return str(fit_steps(model, *_transitions(model, training, _NOISY_CANDIDATES)))
    states, actions = _driven(model, *(part.cpu().double() for part in training.spread(_NOISY_CANDIDATES, 2 * reach)))
    sample = slice(None, None, max(1, len(states) // _NOISY_WINDOWS))
    _, velocities = model.space.split(states[:, reach])
    for _ in range(_ROUNDS):
        exact = deepcopy(model).double()
        noise = MeasurementNoise.of(exact, states[sample], actions[sample])
        start = torch.cat([smoothed_positions(exact, noise, states), velocities], dim=-1)
        fit = fit_steps(model, start, actions[:, reach], states[:, reach + 1])
        if not noise.of_positions:
            return str(fit)
    return f"{noise}; {fit}"


def _transitions(
    model: NeuralSimulator, training: Windows, count: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Single steps on the CPU, at most so many, evenly spread, as the model's parts see them."""
    states, actions = _driven(model, *(part.cpu() for part in training.spread(count, 1)))
    return states[:, 0], actions[:, 0], states[:, 1]


def _driven(model: NeuralSimulator, states: torch.Tensor, actions: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Windows of states without activations, and of actions with those at the beginning of each step after them."""
    _, driven = model.driven(states[:, :-1], actions)
    return states[..., model.facts.layout.motion], driven


@contextmanager
def _on_cpu(model: NeuralSimulator) -> Iterator[None]:
    """Fits are in double precision and of small matrices; what measures the model wants it on its own device."""
    device = next(model.parameters()).device
    model.to(torch.device("cpu"))
    try:
        yield
    finally:
        model.to(device)
