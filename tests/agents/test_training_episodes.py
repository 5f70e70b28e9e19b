"""Training episodes: where they start, where they are cut, and what a simulator's divergences leave in them."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ray.rllib.core import DEFAULT_MODULE_ID
from ray.rllib.core.columns import Columns

from mosim.agents import PolicyProgress, PolicyResult, PPORecipe, read_divergences, train_policy
from mosim.agents.rllib.algorithm import make_algorithm
from mosim.agents.rllib.env_runner import DIVERGENCES
from mosim.core.errors import MosimError
from mosim.data import Dataset, collect
from mosim.tasks import load_task
from mosim.training import Recipe, Trainer, TrainingData

TINY = PPORecipe(
    control_steps=2400,
    num_envs=4,
    rollout_fragment_length=16,
    minibatch_size=32,
    num_epochs=1,
    hidden=(8,),
    eval_interval=1024,
    eval_episodes=2,
    checkpoint_interval=256,
)
"""Nineteen updates of 128 control steps, with a checkpoint after every other."""

pytestmark = pytest.mark.usefixtures("ray_of_two")


@pytest.fixture(scope="module")
def barely_trained(ray_of_two: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run's folder whose simulator has had five steps of training."""
    run = tmp_path_factory.mktemp("run")
    collect("hopper-stand", run / "data" / "train", episodes=4, steps=200, workers=1)
    network = {"width": 16, "depth": 1}
    stages = [{"name": "a", "learns": ["predictor"], "steps": 5, "batch_size": 32}]
    recipe = Recipe.model_validate({"model": {"inertia": network, "bias": network}, "stages": stages})
    data = TrainingData.load(Dataset.open(run / "data" / "train"))
    Trainer(system="hopper-stand", recipe=recipe, data=data, out=run / "simulator").run(lambda report: None)
    return run


def learner_batch(algorithm: Any, episodes: list[Any]) -> dict[str, torch.Tensor]:
    """What the learner makes of episodes before it cuts them into minibatches."""
    learner = algorithm.learner_group._learner
    return learner._learner_connector(
        rl_module=learner.module, batch={}, episodes=episodes, shared_data={}, metrics=learner.metrics
    )[DEFAULT_MODULE_ID]


def diverging_training(run: Path, out: Path, **options: Any) -> tuple[PolicyResult, list[PolicyProgress]]:
    told: list[PolicyProgress] = []

    def note(progress: PolicyProgress) -> None:
        told.append(progress)
        if len(told) == options.get("stop_after"):
            raise KeyboardInterrupt

    result = train_policy(TINY, "hopper-stand", run / "simulator", out, on_progress=note, resume="resume" in options)
    return result, told


def rows_of(out: Path) -> list[dict[str, str]]:
    with (out / "divergences.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_the_cut_at_the_time_limit_bootstraps() -> None:
    recipe = TINY.model_copy(update={"max_episode_steps": 10, "gae_lambda": 0.0, "gamma": 0.9})
    algorithm = make_algorithm(recipe, "reacher-easy", "true")
    try:
        episodes: Any = algorithm.env_runner.sample(explore=True)  # pyright: ignore[reportOptionalMemberAccess]
        cut = [episode for episode in episodes if len(episode) == 10]
        assert len(cut) == 4, "one of each env, after 10 actions"
        assert all(episode.is_truncated and not episode.is_terminated for episode in cut)
        group: Any = algorithm.learner_group
        module = group._learner.module[DEFAULT_MODULE_ID]  # The one that samples has no value function.
        with torch.no_grad():
            beyond = [
                module.compute_values({Columns.OBS: torch.tensor(each.get_observations(-1)[None])}) for each in cut
            ]
        ends = [episode.get_rewards(-1) + 0.9 * float(value) for episode, value in zip(cut, beyond, strict=True)]
        targets = learner_batch(algorithm, cut)["value_targets"].reshape(4, -1)[:, 9]
        np.testing.assert_allclose(targets, ends, rtol=1e-4, atol=1e-5)
        assert max(abs(float(value)) for value in beyond) > 1e-3
    finally:
        algorithm.stop()


@pytest.mark.slow
def test_env_runners_share_the_starts_of_one() -> None:
    recipe = TINY.model_copy(update={"seed": 7})
    targets = []
    for runners in (0, 2):
        algorithm = make_algorithm(recipe.model_copy(update={"num_env_runners": runners}), "reacher-easy", "true")
        try:
            group: Any = algorithm.env_runner_group
            each = group.foreach_env_runner(
                lambda runner: (runner.sample(), runner.snapshot()["envs"]["context"])[1], local_env_runner=not runners
            )
            targets.append(np.concatenate(each))
        finally:
            algorithm.stop()
    np.testing.assert_array_equal(targets[0], targets[1])
    assert len(np.unique(targets[0], axis=0)) == 4


def test_nothing_of_a_divergence_reaches_the_learner(barely_trained: Path) -> None:
    algorithm = make_algorithm(TINY, "hopper-stand", barely_trained)
    try:
        runner: Any = algorithm.env_runner
        episodes = runner.sample(num_timesteps=400, explore=True)
        diverged = runner.get_metrics()[DIVERGENCES].peek()
        assert len(diverged) > 5
        ended = [episode for episode in episodes if episode.is_terminated]
        assert len(ended) == len(diverged)
        assert all(episode.get_rewards(-1) == 0.0 for episode in ended)
        for name, values in learner_batch(algorithm, episodes).items():
            assert torch.isfinite(values.float()).all(), name
            assert values.float().abs().max() < 1e3, name
    finally:
        algorithm.stop()


@pytest.mark.slow
def test_divergences_are_counted_and_named_and_training_goes_on(barely_trained: Path, tmp_path: Path) -> None:
    result, told = diverging_training(barely_trained, tmp_path / "out")
    counts = told[-1].divergences
    assert result.steps >= TINY.control_steps
    assert 0 < counts.total <= counts.episodes
    assert counts == read_divergences(tmp_path / "out")
    task = load_task("hopper-stand")
    assert set(counts.first_in) <= set(task.facts.state_names)
    most = next(iter(counts.first_in))
    assert str(counts).startswith(
        f"{counts.total} divergences in {counts.episodes} episodes, by the dimension that diverged first: "
        f"{most} ({counts.first_in[most]})"
    )
    rows = rows_of(tmp_path / "out")
    assert len(rows) == counts.total
    assert sum(row["dimension"] == most for row in rows) == counts.first_in[most]
    for row in rows:
        assert 1 <= int(row["control_step"]) <= 1000
        assert int(row["steps"]) % 128 <= 8 * 19
        before, value = float(row[row["dimension"]]), float(row["value"])
        assert np.isfinite(before)
        assert value != before

    with pytest.raises(KeyboardInterrupt):
        diverging_training(barely_trained, tmp_path / "again", stop_after=7)
    diverging_training(barely_trained, tmp_path / "again", resume=True)
    assert rows_of(tmp_path / "again") == rows
    assert read_divergences(tmp_path / "again") == counts
    _, repeated = diverging_training(barely_trained, tmp_path / "again", resume=True)
    assert [each.divergences for each in repeated] == [counts]


def test_a_training_that_starts_from_data_is_the_same_when_it_is_resumed(barely_trained: Path, tmp_path: Path) -> None:
    recipe = TINY.model_copy(update={"control_steps": 400, "start": "mixed", "max_episode_steps": 20})
    results = []
    for out in (tmp_path / "whole", tmp_path / "broken"):
        if out.name == "broken":
            with pytest.raises(KeyboardInterrupt):
                train_policy(recipe, "hopper-stand", barely_trained, out, on_progress=_stop_at_256)
        results.append(train_policy(recipe, "hopper-stand", barely_trained, out, resume=True))
        assert (out / "starts.safetensors").is_file()
    assert results[0].return_simulated == results[1].return_simulated
    with pytest.raises(MosimError, match="start is mixed, which needs a dataset, and the true task has none"):
        train_policy(recipe, "hopper-stand", "true", tmp_path / "true")


def _stop_at_256(progress: PolicyProgress) -> None:
    if progress.steps >= 256:
        raise KeyboardInterrupt
