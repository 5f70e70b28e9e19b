"""How a simulator's cost grows with its batch and its width."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
from common import prepare, rate_of, windows
from pairs import Scale

from mosim.models import DynamicsModel, ModelConfig, NeuralSimulatorConfig
from mosim.tasks import load_task
from mosim.training import load_recipe

_BATCHES = (1, 16, 256, 4096, 65536)
_WIDTHS = (32, 64, 128, 256, 512)
_SECONDS = 1.0
"""Of one figure, or one step where that takes longer."""


def cost_rows(name: str, scale: Scale, quick: bool) -> Iterator[dict[str, Any]]:
    """Model steps a second of a recipe's model, one row for each device, width and batch."""
    config = load_recipe(load_task(name).facts.name, "geometry").model
    for width in _WIDTHS[:1] if quick else _WIDTHS:
        subject = prepare(name, of_width(config, width), scale.episodes, scale.steps, seed=0)
        for device in ("cpu", "cuda") if torch.cuda.is_available() else ("cpu",):
            model = subject.model.to(device)
            for batch in _BATCHES[:2] if quick else _BATCHES:
                state, actions = (part.to(device) for part in windows(subject.held_out, batch, 1, seed=0))
                rate = rate_of(partial(_step, model, state, actions[:, 0]), min(scale.seconds, _SECONDS))
                print(f"cost {name}, {device}, width {width}, batch {batch}: {rate:,.0f} model steps/s", flush=True)
                yield {
                    "task": name,
                    "device": device,
                    "width": width,
                    "batch": batch,
                    "steps_per_second": round(rate),
                    "milliseconds_per_batch": round(1000 * batch / rate, 3),
                    "threads": torch.get_num_threads(),
                }


@torch.inference_mode()
def _step(model: DynamicsModel, state: torch.Tensor, action: torch.Tensor) -> int:
    model.step(state, action)
    if state.is_cuda:
        torch.cuda.synchronize()
    return len(state)


def of_width(config: ModelConfig, width: int) -> NeuralSimulatorConfig:
    """The same model with hidden layers of `width`, those of the actuation left as they are."""
    if not isinstance(config, NeuralSimulatorConfig):
        raise TypeError(f"a model of the kind {config.kind} has other widths.")
    networks = {part: getattr(config, part).model_copy(update={"width": width}) for part in ("inertia", "bias")}
    correctors = tuple(
        part.model_copy(update={"network": part.network.model_copy(update={"width": width})})
        for part in config.correctors
    )
    return config.model_copy(update={**networks, "correctors": correctors})
