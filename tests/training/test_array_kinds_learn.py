"""Each kind that knows the arrays alone: it learns a pendulum, is resumed exactly, and is loaded again."""

from pathlib import Path

import pytest
import torch
from pendulum_run import make_trainer

from mosim.models import ModelConfig
from mosim.training import Recipe, StageConfig, load_simulator
from mosim.training.validation import Validation

KINDS = {
    "ensemble": {"members": 3},
    "gru": {"history": 3},
    "transformer": {"history": 3, "layers": 1},
    "rssm": {"history": 3, "variables": 6, "classes": 6},
    "latent_dynamics": {},
}


def recipe_of(kind: str, steps: int) -> Recipe:
    config = ModelConfig.kinds[kind].model_validate({"kind": kind, "parameters": 4000} | KINDS[kind])
    stage = StageConfig(
        name="all",
        learns=config.part_names,
        steps=steps,
        batch_size=32,
        horizon=2,
        optimizer="adam",
        learning_rate=5e-3,
        warmup_steps=20,
    )
    return Recipe(model=config, stages=(stage,))


@pytest.mark.parametrize("kind", KINDS)
def test_it_learns_a_pendulum(kind: str, tmp_path: Path) -> None:
    trainer = make_trainer(tmp_path, recipe_of(kind, 400))
    seen = Validation(trainer._training)
    trainer.run(lambda report: None)
    share = 1.0 if kind == "rssm" else 0.3  # It takes thousands of steps to learn what the others do in hundreds.
    assert seen.horizon_errors(trainer.model, [16])[16] < share * seen.persistence_error(trainer.model)
    loaded = load_simulator(tmp_path)
    states, actions = torch.randn(4, 3, 2), torch.randn(4, 12, 1)
    with torch.no_grad():
        ours, theirs = (each.predict(states, actions[:, :2], actions[:, 2:]) for each in (trainer.model, loaded))
    assert torch.equal(ours, theirs)


@pytest.mark.parametrize("kind", ["rssm", "transformer"])
def test_it_is_resumed_exactly(kind: str, tmp_path: Path) -> None:
    whole = make_trainer(tmp_path / "whole", recipe_of(kind, 120))
    whole.run(lambda report: None)
    broken = make_trainer(tmp_path / "broken", recipe_of(kind, 120))
    next(broken.reports())
    broken.save()
    torch.randn(7)
    resumed = make_trainer(tmp_path / "broken", recipe_of(kind, 120), resume=True)
    resumed.run(lambda report: None)
    expected = whole.model.state_dict()
    assert all(torch.equal(weight, expected[name]) for name, weight in resumed.model.state_dict().items())
