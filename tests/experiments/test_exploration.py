"""Exploration by the disagreement of an ensemble."""

from pathlib import Path

import numpy as np
import pytest
import torch

from mosim.agents import load_policy_recipe
from mosim.cli.main import EXIT_MISTAKE, main
from mosim.core.errors import MosimError
from mosim.experiments.pipeline import SimulatorDoubt
from mosim.experiments.rounds import Learning, LearnSettings
from mosim.models.arrays import EnsembleConfig, GRUConfig
from mosim.models.config import ModelConfig
from mosim.models.statistics import Statistics
from mosim.tasks import load_task
from mosim.training import load_recipe, load_simulator
from mosim.training.checkpoint import save_checkpoint

TASK = load_task("pendulum-swingup")
COLLECT = ["collect", "pendulum-swingup", "--out", "x", "--behaviour", "policy", "--policy", "a:b"]


def kept(folder: Path, config: ModelConfig) -> Path:
    torch.manual_seed(0)
    model = config.build(TASK.facts, Statistics.neutral(TASK.facts))
    cursor = {"finished": True}
    return save_checkpoint(
        folder, "step-00000000-stage-1", model, {}, system=TASK.source, recipe={}, dataset_id="none", cursor=cursor
    )


def test_a_doubt_is_the_uncertainty_after_the_action_was_held(tmp_path: Path) -> None:
    path = kept(tmp_path, EnsembleConfig(parameters=500, members=3))
    doubt, ensemble = SimulatorDoubt(str(path), held=4), load_simulator(path)
    state, actions = np.array([0.4, -1.0]), np.array([[-1.0], [0.3], [0.9]])
    found = doubt(state, actions)
    assert found.shape == (3,)
    for action, value in zip(actions, found, strict=True):
        carry = ensemble.init(torch.from_numpy(state).float()[None, None], torch.zeros(1, 0, 1))
        for _ in range(4):
            carry = ensemble.step(carry, torch.from_numpy(action).float()[None])
        uncertainty = ensemble.uncertainty(carry)
        assert uncertainty is not None
        assert float(uncertainty[0]) == pytest.approx(value, rel=1e-4)


def test_a_simulator_without_an_uncertainty_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(MosimError, match="has no uncertainty; train an ensemble"):
        SimulatorDoubt(str(kept(tmp_path, GRUConfig(parameters=500))), held=1)
    settings = {"task": "pendulum-swingup", "out": tmp_path, "exploration": "disagreement"}
    settings |= {"policy": load_policy_recipe("pendulum-swingup"), "simulator": load_recipe("pendulum")}
    with pytest.raises(MosimError, match="--exploration disagreement needs a simulator that has an uncertainty"):
        Learning(LearnSettings.model_validate(settings), TASK)
    Learning(LearnSettings.model_validate(settings | {"simulator": load_recipe("", "arrays/ensemble")}), TASK)
    with pytest.raises(SystemExit) as ended:
        main([*COLLECT, "--candidates", "3"])
    assert ended.value.code == EXIT_MISTAKE
    assert "--candidates needs --simulator" in capsys.readouterr().err
