"""A stage that solves for its numbers: the masses, forces, contacts and limits of an articulated predictor."""

import math
from collections.abc import Callable, Collection

import torch

from mosim.dynamics import NeuralSimulator, fit_constraints, identify
from mosim.training.windows import WindowSampler

_FREE_CANDIDATES, _PUSHED_CANDIDATES = 16_384, 100_000
"""Transitions among which least squares takes those that contacts and limits push least; and those in which the ones
that are rarely seen do."""


def solve(
    model: NeuralSimulator, learns: Collection[str], training: WindowSampler, validation_error: Callable[[], float]
) -> str:
    """Gives the predictor, or its constraints alone, the numbers that explain single steps best; on the CPU.

    Args:
      model: is changed; it stays on its device.
      learns: `predictor`, `constraints` or both.
      training: the episodes to take single steps from.
      validation_error: measures the model. Contacts and limits that make it larger are undone.

    Returns:
      What was found, a sentence.
    """
    found = [str(_on_cpu(identify, model, training, _FREE_CANDIDATES))] if "predictor" in learns else []
    if model.predictor.constrained:
        found.append(_solve_constraints(model, training, validation_error))
    return f"{'; '.join(found)}."


def _solve_constraints(model: NeuralSimulator, training: WindowSampler, validation_error: Callable[[], float]) -> str:
    before = validation_error()
    weights = {name: weight.clone() for name, weight in model.state_dict().items()}
    fit = _on_cpu(fit_constraints, model, training, _PUSHED_CANDIDATES)
    after = validation_error()
    if after <= before or math.isnan(before):
        return str(fit)
    model.load_state_dict(weights)
    return (
        f"{fit}; but that changes the horizon error on validation episodes from {before:.3g} to {after:.3g}, so these "
        "numbers stay as they were: the data are noisy, or other forces act"
    )


def _on_cpu(function: Callable[..., object], model: NeuralSimulator, training: WindowSampler, count: int) -> object:
    """What a function makes of the model and of single steps, at most so many, evenly spread."""
    device = next(model.parameters()).device
    states, actions = (part.cpu() for part in training.spread(count, 1))
    found = function(model.to(torch.device("cpu")), states[:, 0], actions[:, 0], states[:, 1])
    model.to(device)
    return found
