"""A kind of model that mosim does not ship: trained, resumed, loaded, measured and used as its own are."""

from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from pendulum_run import make_trainer, trajectories

from mosim.core.configuration import read_yaml_model
from mosim.core.errors import MosimError
from mosim.envs import MoSimVectorEnv
from mosim.evaluation import draw_starts, measure_rollouts
from mosim.models import ModelConfig, Persistence
from mosim.tasks import load_task
from mosim.training import Recipe, StageConfig, load_simulator, read_checkpoint
from mosim.training.validation import Validation
from recurrent_model import RecurrentConfig, RecurrentModel

RECIPE = {
    "model": {"kind": "test_gru", "width": 8, "history": 3},
    "stages": [
        {"name": "all", "learns": ["memory", "readout"], "steps": 600, "batch_size": 64, "warmup_steps": 20},
        {"name": "readout", "learns": ["readout"], "steps": 200, "batch_size": 32, "horizon": 4, "warmup_steps": 20},
    ],
}


def recipe_of(folder: Path, **model: object) -> Recipe:
    file = folder / "recipe.yaml"
    file.write_text(yaml.safe_dump(RECIPE | {"model": RECIPE["model"] | model}))
    return read_yaml_model(file, Recipe)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, RecurrentModel]:
    out = tmp_path_factory.mktemp("trained")
    trainer = make_trainer(out, recipe_of(out))
    trainer.run(lambda report: None)
    assert isinstance(trainer.model, RecurrentModel)
    return out, trainer.model


def test_it_learns_what_the_stages_name(tmp_path: Path) -> None:
    trainer = make_trainer(tmp_path, recipe_of(tmp_path))
    before = {name: weight.clone() for name, weight in trainer.model.state_dict().items()}
    seen = Validation(trainer._training)  # The pendulum of the episode that is kept turns on the other side.
    untrained = seen.horizon_errors(trainer.model, [4])[4]
    reports = trainer.reports()
    for _ in range(6):
        next(reports)
    middle = {name: weight.clone() for name, weight in trainer.model.state_dict().items()}
    assert all(not torch.equal(before[name], middle[name]) for name in before)
    for _ in reports:
        pass
    after = trainer.model.state_dict()
    assert {name for name in after if not torch.equal(middle[name], after[name])} == {"readout.weight", "readout.bias"}
    assert seen.horizon_errors(trainer.model, [4])[4] < 0.1 * untrained


def test_a_checkpoint_of_it_is_loaded_by_its_kind(trained: tuple[Path, RecurrentModel]) -> None:
    out, model = trained
    checkpoint = read_checkpoint(out)
    assert checkpoint.model == RecurrentConfig(width=8, history=3)
    loaded = load_simulator(out)
    assert isinstance(loaded, RecurrentModel)
    states, actions = torch.randn(4, 3, 2), torch.randn(4, 12, 1)
    ours, theirs = (each.predict(states, actions[:, :2], actions[:, 2:]) for each in (model, loaded))
    assert torch.equal(ours, theirs)


def test_it_is_resumed_exactly(trained: tuple[Path, RecurrentModel], tmp_path: Path) -> None:
    broken = make_trainer(tmp_path, recipe_of(tmp_path))
    reports = broken.reports()
    for _ in range(3):
        next(reports)
    broken.save()
    resumed = make_trainer(tmp_path, recipe_of(tmp_path), resume=True)
    resumed.run(lambda report: None)
    expected = trained[1].state_dict()
    assert all(torch.equal(weight, expected[name]) for name, weight in resumed.model.state_dict().items())


def test_its_errors_are_measured_with_the_history_that_an_episode_has(trained: tuple[Path, RecurrentModel]) -> None:
    model = trained[1]
    data = trajectories()
    starts = np.sort(np.concatenate([data.offsets[:-1], data.offsets[:-1] + 1, draw_starts(data, 5, 20, 0)]))
    measured = measure_rollouts(model, data, 5, starts)
    by_hand = []
    for row in starts:
        known = min(int(data.steps_before(np.array([row]))[0]) + 1, 3)
        states = torch.from_numpy(data.states[row - known + 1 : row + 6]).float()
        actions = torch.from_numpy(data.actions[row - known + 1 : row + 5]).float()
        predicted = model.predict(states[:known], actions[: known - 1], actions[known - 1 :])
        by_hand.append((predicted.double() - torch.from_numpy(data.states[row + 1 : row + 6])).square().mean().item())
    assert measured.mse(5) == pytest.approx(np.mean(by_hand), rel=1e-5)
    assert measured.mse(5) < measure_rollouts(Persistence(data.facts), data, 5, starts).mse(5)


def test_an_env_keeps_its_memory(trained: tuple[Path, RecurrentModel]) -> None:
    model, task = trained[1].eval().requires_grad_(False), load_task("pendulum-swingup")
    envs = MoSimVectorEnv(task, model, 2, seed=0)
    envs.reset()
    start, actions = envs.state.clone(), np.random.default_rng(0).uniform(-1, 1, (5, 2, 1)).astype(np.float32)
    for action in actions:
        envs.step(action)
    held = torch.from_numpy(np.repeat(actions, task.n_substeps, axis=0)).transpose(0, 1)
    torch.testing.assert_close(envs.state, model.rollout(start, held)[:, -1])


def test_a_mistake_names_the_kinds_and_their_keys(tmp_path: Path) -> None:
    with pytest.raises(MosimError, match=r"line 2: unknown key 'model\.depth'; allowed are: history, kind, width"):
        recipe_of(tmp_path, depth=3)
    with pytest.raises(MosimError, match=r"key 'model\.width' is 0; input should be greater than or equal to 1"):
        recipe_of(tmp_path, width=0)
    with pytest.raises(MosimError, match=r"key 'model\.kind': there is no kind of model 'grue'; allowed are: .*mosim"):
        recipe_of(tmp_path, kind="grue")
    with pytest.raises(ValueError, match=r"stage 'all' learns memory, readout; available: predictor, corrector/0"):
        Recipe.model_validate({"stages": RECIPE["stages"]})


def test_nothing_of_it_is_solved_for() -> None:
    stage = StageConfig(name="solve", learns=("readout",), optimizer="least_squares")
    with pytest.raises(ValueError, match="least_squares fits masses, which the model GRU does not"):
        Recipe(model=RecurrentConfig(), stages=(stage,))


def test_a_kind_has_one_class() -> None:
    with pytest.raises(TypeError, match="has the kind 'test_gru', which is that of RecurrentConfig"):
        type("Other", (RecurrentConfig,), {"__module__": "elsewhere", "__qualname__": "Other"})
    assert ModelConfig.kinds["test_gru"] is RecurrentConfig
