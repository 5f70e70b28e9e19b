"""Every algorithm: trained, gone on with, exported; and what its learner makes of how an episode ends."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ray.rllib.algorithms.ppo import PPOConfig
from ray.rllib.core import DEFAULT_MODULE_ID
from ray.rllib.core.columns import Columns
from ray.rllib.core.rl_module.default_model_config import DefaultModelConfig
from safetensors.torch import load_file
from tiny_recipes import RECIPES, SHORT, TASK, learner_of

from mosim.agents import (
    ALGORITHMS,
    OtherRecipe,
    PolicyProgress,
    PolicyResult,
    PPORecipe,
    RLlibRecipe,
    SACRecipe,
    TQCRecipe,
    load_policy_recipe,
    random_return,
    read_returns,
    recipe_class,
    save_policy,
    train_policy,
)
from mosim.agents.rllib.algorithm import make_algorithm
from mosim.agents.rllib.env_runner import likeliest, to_control
from mosim.agents.rllib.export import export_policy
from mosim.core.errors import MosimError
from mosim.tasks import load_task

pytestmark = pytest.mark.usefixtures("ray_of_two")


class RecurrentConfig(PPOConfig):
    """An algorithm with networks of its own description."""

    def __init__(self, algo_class: Any = None) -> None:
        super().__init__(algo_class)
        self.train_batch_size_per_learner = self.minibatch_size = 64
        self.rl_module(model_config=DefaultModelConfig(use_lstm=True))


class StoppedError(Exception):
    """Stands for whatever ends a training early."""


def outcome(result: PolicyResult) -> tuple[dict[str, torch.Tensor], list[Any]]:
    weights = load_file(result.policy / "policy.safetensors")
    return weights, [row._replace(wall_seconds=0.0) for row in read_returns(result.returns)]


def test_every_algorithm_of_rllib_is_tried_here() -> None:
    assert {name for name, kind in ALGORITHMS.items() if issubclass(kind, RLlibRecipe)} <= RECIPES.keys()


@pytest.mark.parametrize(
    "name", ["SAC", "APPO", *(pytest.param(name, marks=pytest.mark.slow) for name in ("TQC", "IMPALA"))]
)
def test_a_training_that_is_resumed_is_the_one_that_never_stopped(name: str, tmp_path: Path) -> None:
    def stop(progress: PolicyProgress) -> None:
        if progress.steps >= 900:
            raise StoppedError

    expected = train_policy(RECIPES[name], TASK, "true", tmp_path / "whole")
    with pytest.raises(StoppedError):
        train_policy(RECIPES[name], TASK, "true", tmp_path / "broken", on_progress=stop)
    resumed = train_policy(RECIPES[name], TASK, "true", tmp_path / "broken", resume=True)
    (weights, rows), (others, other_rows) = outcome(resumed), outcome(expected)
    for key, tensor in weights.items():
        assert torch.equal(tensor, others[key]), key
    assert rows == other_rows
    assert expected.steps >= 1400


@pytest.mark.parametrize("name", RECIPES)
def test_the_exported_policy_acts_as_rllibs_module_where_there_is_no_ray(name: str, tmp_path: Path) -> None:
    recipe, task = RECIPES[name], load_task(TASK)
    algorithm: Any = make_algorithm(recipe, TASK, "true")
    try:
        for _ in range(3):
            algorithm.train()
        policy = export_policy(algorithm, recipe, task)
        save_policy(policy, tmp_path / "policy")
        runner = algorithm.env_runner
        observations = np.random.default_rng(0).normal(0, 2, (9, task.observation_size)).astype(np.float32)
        filtered = torch.from_numpy(runner._filter.filter_batch(observations, update=False))
        with torch.no_grad():
            inputs = runner.module.forward_inference({Columns.OBS: filtered})[Columns.ACTION_DIST_INPUTS]
            expected = to_control(likeliest(runner.module, inputs).numpy(), runner._envs)
            if not isinstance(recipe, (SACRecipe, TQCRecipe)):
                group: Any = algorithm.learner_group
                learning = next(iter(group.foreach_learner(lambda learner: learner.module[DEFAULT_MODULE_ID]))).get()
                values = learning.compute_values({Columns.OBS: filtered})
                assert values.std() > 0
                torch.testing.assert_close(policy.value(torch.from_numpy(observations)), values, rtol=1e-4, atol=1e-5)
            else:
                with pytest.raises(MosimError, match="has no value function"):
                    policy.value(torch.from_numpy(observations))
    finally:
        algorithm.stop()
    np.save(tmp_path / "observations.npy", observations)
    program = (
        "import sys, numpy, mosim; policy = mosim.load_policy(sys.argv[1]);"
        "numpy.save(sys.argv[3], policy.act(numpy.load(sys.argv[2]))); assert 'ray' not in sys.modules"
    )
    paths = [str(tmp_path / part) for part in ("policy", "observations.npy", "actions.npy")]
    subprocess.run([sys.executable, "-c", program, *paths], check=True)
    np.testing.assert_allclose(np.load(tmp_path / "actions.npy"), expected, atol=1e-6)
    assert len(np.unique(expected, axis=0)) > 1


@pytest.mark.parametrize("name", ["IMPALA", pytest.param("SAC", marks=pytest.mark.slow)])
def test_env_runners_sample_for_it(name: str, tmp_path: Path) -> None:
    recipe = RECIPES[name].model_copy(update={"num_env_runners": 2, "control_steps": 700})
    result = train_policy(recipe, TASK, "true", tmp_path)
    assert result.steps >= 700
    assert np.isfinite(result.return_true_mean)
    assert (load_file(result.policy / "policy.safetensors")["deviation"] != 1).any()


def test_a_replayed_cut_bootstraps_and_a_replayed_end_does_not() -> None:
    recipe = RECIPES["SAC"].model_copy(update={"max_episode_steps": 10, "learning_starts": 0, "n_step": 1})
    algorithm: Any = make_algorithm(recipe, TASK, "true")
    try:
        sampled = algorithm._sampled(random_actions=True)
        assert sampled["ended"].sum() == 4, "one of each env, after 10 actions"
        assert not sampled["terminated"].any()
        assert (~sampled["valid"]).sum() == 4
        sampled["terminated"][9, 0] = True  # As if the first env's episode had been over.
        algorithm._buffer(sampled).add(sampled)
        drawn = algorithm._replay.sample(4000)
        learner = learner_of(algorithm)
        batch = algorithm._columns(drawn)
        torch.manual_seed(0)
        output = learner.module[DEFAULT_MODULE_ID]._forward_train(batch)
        alpha = learner._log_alpha.exp()
        beyond = output["q_target_next"] - alpha * output["logp_next_resampled"]
        ends = {}
        for over in (False, True):
            rows = batch[Columns.TERMINATEDS] == over
            target = batch[Columns.REWARDS] + recipe.gamma * beyond * (not over)
            huber = torch.nn.functional.huber_loss
            ends[over] = huber(output["qf_preds"][rows], target[rows], reduction="sum")
            assert rows.any()
        learner.compute_loss_for_module(module_id=DEFAULT_MODULE_ID, config=learner.config, batch=batch, fwd_out=output)
        loss = learner._temp_losses[(DEFAULT_MODULE_ID, "qf_loss")].detach()
        assert float(loss) == pytest.approx(float((ends[False] + ends[True]).detach()) / 4000, rel=1e-4)
        cut = sampled["observation"][10, 1]  # Where the second env's episode was cut, before it was reset.
        assert (drawn["next_observation"] == cut).all(axis=1).any()
    finally:
        algorithm.stop()


@pytest.mark.parametrize("kind", [SACRecipe, TQCRecipe])
def test_targets_may_sum_more_actions_than_a_fragment_has(kind: type[SACRecipe]) -> None:
    recipe = kind(
        rollout_fragment_length=1,
        n_step=3,
        num_envs=4,
        gradient_steps=2,
        batch_size=8,
        learning_starts=0,
        action_repeat=4,
    )
    algorithm: Any = make_algorithm(recipe, TASK, "true")
    try:
        algorithm.train()
        assert set(algorithm._replay.sample(64, 3, 0.9)["n_step"]) == {1, 2, 3}
    finally:
        algorithm.stop()


def test_vtrace_of_a_policy_that_has_not_changed_is_the_discounted_return_of_the_scaled_rewards() -> None:
    recipe = RECIPES["IMPALA"].model_copy(
        update={"minibatch_size": 64, "gamma": 0.9, "max_episode_steps": 16, "reward_scale": 0.5}
    )
    algorithm: Any = make_algorithm(recipe, TASK, "true")
    try:
        learner = learner_of(algorithm)
        module = learner.module[DEFAULT_MODULE_ID]
        episodes = algorithm.env_runner.sample(num_timesteps=64, explore=True)
        assert [len(episode) for episode in episodes] == [16] * 4
        assert all(episode.is_truncated for episode in episodes), "32 control steps in 16 actions"
        episodes[0].is_truncated, episodes[0].is_terminated = False, True
        errors = []
        for episode in episodes:
            with torch.no_grad():
                values = module.compute_values({Columns.OBS: torch.from_numpy(episode.get_observations())}).numpy()
            target = 0.0 if episode.is_terminated else values[-1]
            for reward, value in zip(episode.get_rewards()[::-1], values[-2::-1], strict=True):
                target = 0.5 * reward + 0.9 * target
                errors.append((value - target) ** 2)
        module_batch = learner.batch_of(episodes)[DEFAULT_MODULE_ID]
        output = module._forward_train(module_batch)
        learner.compute_loss_for_module(
            module_id=DEFAULT_MODULE_ID, config=learner.config, batch=module_batch, fwd_out=output
        )
        loss = learner.metrics.peek((DEFAULT_MODULE_ID, "mean_vf_loss"))
        assert float(loss) == pytest.approx(0.5 * np.mean(errors), rel=1e-4)
    finally:
        algorithm.stop()


def test_the_entropys_weight_and_the_targets_are_kept() -> None:
    made: list[Any] = [make_algorithm(RECIPES["TQC"], TASK, "true", sample_seed=seed) for seed in (0, 1)]
    try:
        for _ in range(6):
            made[0].train()
        made[1].set_state(made[0].get_state())
        ours, other = (learner_of(each) for each in made)
        assert float(ours._log_alpha) == float(other._log_alpha) != pytest.approx(np.log(0.2), abs=1e-9)
        for mine, its in zip(ours._targets, other._targets, strict=True):
            assert torch.equal(mine, its)
        assert not all(torch.equal(mine, its) for mine, its in zip(ours._targets, ours._followed, strict=True))
        moments = [learner._adam.state_dict()["state"] for learner in (ours, other)]
        assert moments[0].keys() == moments[1].keys()
        assert all(torch.equal(moments[0][key]["exp_avg"], moments[1][key]["exp_avg"]) for key in moments[0])
    finally:
        for each in made:
            each.stop()


def test_an_algorithm_has_its_name_in_any_case_and_its_own_recipe(tmp_path: Path) -> None:
    for name, kind in ALGORITHMS.items():
        assert recipe_class(name.lower()) is kind
        recipe = load_policy_recipe(TASK, algorithm=name.lower())
        assert (type(recipe), recipe.algorithm) == (kind, name)
    assert isinstance(load_policy_recipe(TASK), PPORecipe)
    file = tmp_path / "recipe.yaml"
    file.write_text("algorithm: tqc\nn_quantiles: 7\n")
    assert load_policy_recipe(TASK, file) == load_policy_recipe(TASK, file, "TQC") == TQCRecipe(n_quantiles=7)
    with pytest.raises(MosimError, match=r"recipe\.yaml, line 1: the recipe is for tqc, but sac was requested"):
        load_policy_recipe(TASK, file, "sac")
    file.write_text("tau: 0.1\n")
    assert load_policy_recipe(TASK, file, "sac") == SACRecipe(tau=0.1)
    with pytest.raises(MosimError, match="unknown key 'tau'"):
        load_policy_recipe(TASK, file)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("algorithm: dqn\n", "line 1: key 'algorithm': unknown algorithm 'dqn'; allowed are: ppo, appo, impala, sac"),
        ("algorithm: [sac]\n", "it must be a name"),
        ("algorithm: NoSuchConfig\n", "'NoSuchConfig' is neither the name of an RLlib config class"),
        ("algorithm: no.such.module:Config\n", "cannot be imported: No module named 'no'"),
        ("algorithm: os.path:join\n", "'os.path:join' is neither the name of an RLlib config class"),
        ("algorithm: PPOConfig\nsettings: {clip: 0.1}\n", "settings do not fit PPOConfig: .*unexpected keyword"),
        (
            "algorithm: tqc\nn_quantiles: 3\ntop_quantiles_to_drop_per_net: 3\n",
            "top_quantiles_to_drop_per_net must be less than n_quantiles",
        ),
        ("algorithm: sac\nbuffer_size: 10\n", "buffer_size must be at least"),
        ("algorithm: impala\nminibatch_size: 100\n", "minibatch_size must be a multiple of rollout_fragment_length"),
    ],
)
def test_what_an_algorithm_does_not_have_is_told(tmp_path: Path, text: str, sentence: str) -> None:
    (tmp_path / "recipe.yaml").write_text(text)
    with pytest.raises(MosimError, match=sentence):
        load_policy_recipe(TASK, tmp_path / "recipe.yaml", allow_imports=True)


def test_what_rllib_does_not_take_is_told(tmp_path: Path) -> None:
    recipe = OtherRecipe(**SHORT, algorithm="PPOConfig", settings={"train_batch_size_per_learner": 64})
    with pytest.raises(MosimError, match="RLlib rejects this recipe of PPOConfig: Your desired `total"):
        train_policy(recipe, TASK, "true", tmp_path)


def test_what_cannot_be_exported_is_told(tmp_path: Path) -> None:
    recipe = OtherRecipe(**SHORT, algorithm=f"{__name__}:RecurrentConfig", rollout_fragment_length=16)
    with pytest.raises(MosimError, match="cannot be exported"):
        train_policy(recipe, TASK, "true", tmp_path)


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("name", ALGORITHMS)
def test_it_learns_to_swing_the_true_pole_up(name: str, tmp_path: Path) -> None:
    task = load_task("cartpole-swingup")
    recipe = load_policy_recipe(task.name, algorithm=name)
    steps = 60_000 if isinstance(recipe, SACRecipe) else 1_300_000
    short = recipe.model_copy(update={"control_steps": steps, "eval_interval": steps, "checkpoint_interval": steps})
    random = random_return(task, action_repeat=recipe.action_repeat).mean
    assert train_policy(short, task.name, "true", tmp_path).return_true_mean > 2 * random
