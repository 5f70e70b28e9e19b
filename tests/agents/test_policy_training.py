import csv
import json
import time
from pathlib import Path

import numpy as np
import pytest
import ray
import torch
from safetensors.torch import load_file

from mosim.agents import (
    PolicyJob,
    PolicyProgress,
    PolicyResult,
    PolicyTrainer,
    PPORecipe,
    evaluate_policy,
    load_policy,
    read_returns,
    train_policy,
    train_side_by_side,
)
from mosim.core.errors import DamagedFileError, MismatchError, MosimError
from mosim.models import NetworkConfig, NeuralSimulator, NeuralSimulatorConfig, Statistics
from mosim.tasks import load_task
from mosim.training.checkpoint import save_checkpoint

TASK = "reacher-easy"

TINY = PPORecipe(
    control_steps=1400,
    num_envs=4,
    rollout_fragment_length=16,
    minibatch_size=32,
    num_epochs=2,
    hidden=(8,),
    max_episode_steps=50,
    final_learning_rate=1e-4,
    eval_interval=512,
    eval_episodes=2,
    checkpoint_interval=256,
)
"""Eleven updates of 128 control steps, with checkpoints after every other."""

pytestmark = pytest.mark.usefixtures("ray_of_two")


@pytest.fixture(scope="module")
def unbroken(ray_of_two: None, tmp_path_factory: pytest.TempPathFactory) -> tuple[PolicyResult, list[PolicyProgress]]:
    told: list[PolicyProgress] = []
    out = tmp_path_factory.mktemp("unbroken") / "training"
    return train_policy(TINY, TASK, "true", out, on_progress=told.append), told


def assert_same_outcome(ours: PolicyResult, expected: PolicyResult) -> None:
    weights, others = (load_file(result.policy / "policy.safetensors") for result in (ours, expected))
    assert weights.keys() == others.keys()
    for name, tensor in weights.items():
        assert torch.equal(tensor, others[name]), name
    rows, other_rows = (
        [row._replace(wall_seconds=0.0) for row in read_returns(result.returns)] for result in (ours, expected)
    )
    assert rows == other_rows


def test_a_training_leaves_a_policy_and_the_record_of_its_returns(unbroken) -> None:
    result, told = unbroken
    with result.returns.open(newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["steps", "wall_seconds", "return_simulated", "return_true_mean", "return_true_std", "episodes"]
    steps = [int(row[0]) for row in rows[1:]]
    assert steps == [512, 1024, result.steps]
    assert 1400 <= result.steps < 1400 + 2 * 128
    assert all(row[2] == row[3] and row[5] == "2" for row in rows[1:])
    assert [progress.steps for progress in told] == sorted(progress.steps for progress in told)
    assert told[-1].finished
    assert not any(progress.finished for progress in told[:-1])
    assert told[-1].return_training is not None
    policy = load_policy(result.policy)
    again = evaluate_policy(policy.act, load_task(TASK), episodes=2, action_repeat=policy.facts.action_repeat)
    assert again.mean == result.return_true_mean
    assert len(list((result.policy.parent / "checkpoints").iterdir())) == 2


def test_a_task_of_one_s_own_is_trained_in_by_its_class(tmp_path: Path) -> None:
    short = TINY.model_copy(update={"control_steps": 256, "eval_interval": 256})
    result = train_policy(short, "own_tasks:Nearer", "true", tmp_path)
    assert result.return_true_mean < 0, "its reward is a distance, and dm_control's own is never negative"
    with pytest.raises(MosimError, match='task was "own_tasks:Nearer" and is "reacher-easy"'):
        train_policy(short, TASK, "true", tmp_path, resume=True)


@pytest.mark.parametrize("stop_after", [3, 6])
def test_a_training_that_is_resumed_is_the_one_that_never_stopped(unbroken, tmp_path: Path, stop_after: int) -> None:
    class StoppedError(Exception):
        pass

    told: list[PolicyProgress] = []

    def stop(progress: PolicyProgress) -> None:
        told.append(progress)
        if len(told) == stop_after:
            raise StoppedError

    with pytest.raises(StoppedError):
        train_policy(TINY, TASK, "true", tmp_path, on_progress=stop)
    with pytest.raises(MosimError, match="holds a run already"):
        train_policy(TINY, TASK, "true", tmp_path)
    del told[:]
    resumed = train_policy(TINY, TASK, "true", tmp_path, on_progress=told.append, resume=True)
    assert told[0].steps > 256
    assert_same_outcome(resumed, unbroken[0])


@pytest.mark.slow
def test_a_trainer_that_is_killed_goes_on_and_ends_the_same(unbroken, tmp_path: Path) -> None:
    trainer = PolicyTrainer(PolicyJob(recipe=TINY, task_name=TASK, dynamics_source="true", out=tmp_path))
    deadline = time.monotonic() + 120
    while not (progress := trainer.progress()) or progress.steps < 300:
        assert time.monotonic() < deadline
        assert not trainer.finished()
        time.sleep(0.01)
    ray.kill(trainer.actor, no_restart=False)
    result = trainer.result()
    trainer.stop()
    assert_same_outcome(result, unbroken[0])


def test_another_recipe_or_a_damaged_checkpoint_is_not_resumed(unbroken, tmp_path: Path) -> None:
    out = unbroken[0].policy.parent
    with pytest.raises(MismatchError, match=r"recipe\.gamma was 0\.97 and is 0\.5"):
        train_policy(TINY.model_copy(update={"gamma": 0.5}), TASK, "true", out, resume=True)
    copied = tmp_path / "copied"
    copied.mkdir()
    (copied / "run.json").write_text((out / "run.json").read_text())
    last = sorted((out / "checkpoints").iterdir())[-1]
    folder = copied / "checkpoints" / last.name
    folder.mkdir(parents=True)
    for path in last.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    tree = json.loads((folder / "tree.json").read_text())
    (folder / "tree.json").write_text(json.dumps(tree, indent=1))
    with pytest.raises(DamagedFileError, match=r"tree\.json is damaged"):
        train_policy(TINY, TASK, "true", copied, resume=True)


def test_a_mistake_in_one_of_several_trainings_is_a_sentence(tmp_path: Path) -> None:
    recipe = TINY.model_copy(update={"control_steps": 10_000_000})
    jobs = {
        "endless": PolicyJob(recipe=recipe, task_name=TASK, dynamics_source="true", out=tmp_path / "endless"),
        "wrong": PolicyJob(recipe=TINY, task_name="reacher-esy", dynamics_source="true", out=tmp_path / "wrong"),
    }
    with pytest.raises(MosimError, match="unknown task 'reacher-esy'; did you mean reacher-easy"):
        train_side_by_side(jobs)


def test_a_finished_training_is_not_run_again(unbroken) -> None:
    told: list[PolicyProgress] = []
    out = unbroken[0].policy.parent
    assert train_policy(TINY, TASK, "true", out, on_progress=told.append, resume=True) == unbroken[0]
    assert [(progress.finished, progress.steps) for progress in told] == [(True, unbroken[0].steps)]


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_trainings_that_wait_for_a_cpu_get_that_of_one_that_is_done(unbroken) -> None:
    finished = PolicyJob(
        recipe=TINY, task_name=TASK, dynamics_source="true", out=unbroken[0].policy.parent, resume=True
    )
    results = train_side_by_side(dict.fromkeys(("first", "second", "third"), finished))
    assert results == dict.fromkeys(("first", "second", "third"), unbroken[0])


def test_a_policy_is_trained_in_an_untamed_simulator(tmp_path: Path) -> None:
    task = "cartpole-balance"
    facts = load_task(task).facts
    small = NetworkConfig(width=8, depth=0)
    torch.manual_seed(0)
    model = NeuralSimulator(
        facts, NeuralSimulatorConfig(inertia=small, bias=small, correctors=()), Statistics.neutral(facts)
    )
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(100.0)  # An untrained simulator is tame; this one is not.
    path = save_checkpoint(
        tmp_path, "step-1", model, {}, system=task, recipe={}, dataset_id="none", cursor={"finished": True}
    )
    recipe = TINY.model_copy(update={"control_steps": 200})
    told: list[PolicyProgress] = []
    result = train_policy(recipe, task, path, tmp_path / "out", on_progress=told.append)
    assert told[-1].divergences.total > 0
    assert np.isfinite([result.return_simulated, result.return_true_mean]).all()
    weights = load_file(result.policy / "policy.safetensors")
    assert all(torch.isfinite(tensor).all() for tensor in weights.values())
    assert result.return_simulated != result.return_true_mean
    model.load_state_dict({name: tensor * 0.5 for name, tensor in model.state_dict().items()})
    other = save_checkpoint(
        tmp_path, "step-2", model, {}, system=task, recipe={}, dataset_id="none", cursor={"finished": True}
    )
    with pytest.raises(MismatchError, match="dynamics was"):
        train_policy(recipe, task, other, tmp_path / "out", resume=True)


def test_two_env_runners_register_the_env_themselves_and_share_what_they_see(tmp_path: Path) -> None:
    recipe = TINY.model_copy(update={"num_env_runners": 2, "control_steps": 400})
    told: list[PolicyProgress] = []
    result = train_policy(recipe, "cartpole-swingup", "true", tmp_path, on_progress=told.append)
    assert result.steps >= 400
    assert np.isfinite(result.return_true_mean)
    policy = load_policy(result.policy)
    assert (policy.deviation != 1).any()
