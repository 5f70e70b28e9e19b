"""Guards against what a simulator is uncertain of, over dynamics whose uncertainty is known."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from mosim.agents import load_policy_recipe
from mosim.core.errors import MosimError
from mosim.envs import EnvironmentCore, Guards, MoSimVectorEnv
from mosim.models import MujocoDynamics, Persistence
from mosim.models.arrays import EnsembleConfig
from mosim.models.statistics import Statistics
from mosim.tasks import load_task

TASK = load_task("pendulum-swingup")
ENVS = 5


class Uncertain(MujocoDynamics):
    """MuJoCo, whose uncertainty is the pendulum's speed."""

    def uncertainty(self, carry: Tensor) -> Tensor:
        return carry[..., 1].abs()


def stepped(guards: Guards, steps: int = 1, repeat: int = 1) -> tuple[MoSimVectorEnv, list[tuple]]:
    envs = MoSimVectorEnv(TASK, Uncertain(TASK), ENVS, 0, guards=guards, action_repeat=repeat)
    envs.reset(seed=3)
    return envs, [envs.step(np.ones((ENVS, 1), np.float32)) for _ in range(steps)]


def test_the_penalty_is_the_uncertainty_after_each_control_step() -> None:
    (free, plain), (_, guarded) = stepped(Guards()), stepped(Guards(uncertainty_penalty=0.25))
    speed = free.state[:, 1].abs().numpy()
    assert speed.min() > 0
    np.testing.assert_allclose(guarded[0][1], plain[0][1] - 0.25 * speed, rtol=1e-9)
    twice = [stepped(guards, repeat=2)[1][0][1] for guards in (Guards(), Guards(uncertainty_penalty=0.25))]
    first, second = speed, stepped(Guards(), steps=2)[0].state[:, 1].abs().numpy()
    np.testing.assert_allclose(twice[1], twice[0] - 0.25 * (first + second), rtol=1e-9)


def test_an_episode_that_is_too_uncertain_ends_as_after_a_divergence() -> None:
    free, _ = stepped(Guards())
    speeds = free.state[:, 1].abs().numpy()
    limit = float(np.sort(speeds)[2])  # Those of the three that are slowest go on.
    envs, [(_, reward, terminated, truncated, info)] = stepped(Guards(uncertainty_limit=limit))
    assert terminated.tolist() == (speeds > limit).tolist()
    assert not truncated.any()
    assert (reward[terminated] == 0).all()
    assert envs.divergences == 2
    for row in np.flatnonzero(terminated):
        told = info["divergence"][row]
        assert told.dimension == "uncertainty"
        assert told.value == pytest.approx(speeds[row])
        assert told.control_step == 1


def test_dynamics_without_an_uncertainty_are_refused_and_the_truth_is_certain() -> None:
    for guards in (Guards(uncertainty_penalty=1.0), Guards(uncertainty_limit=1.0)):
        with pytest.raises(MosimError, match=r"train an ensemble, with --recipe arrays/ensemble"):
            EnvironmentCore(TASK, Persistence(TASK.facts), guards=guards)
        core = EnvironmentCore(TASK, MujocoDynamics(TASK), guards=guards)
        _, came = core.step(core.idle(2), torch.zeros(2, 1))
        assert came.valid.all()
        assert came.uncertainty is not None
        assert not came.uncertainty.any()
    core = EnvironmentCore(TASK, Persistence(TASK.facts))
    assert core.step(core.idle(2), torch.zeros(2, 1))[1].uncertainty is None


def test_the_members_of_an_ensemble_begin_each_control_step_in_their_mean() -> None:
    torch.manual_seed(0)
    ensemble = EnsembleConfig(parameters=500, members=3).build(TASK.facts, Statistics.neutral(TASK.facts))
    core = EnvironmentCore(TASK, ensemble, guards=Guards(uncertainty_penalty=0.5))
    start, context = (torch.from_numpy(part)[None] for part in TASK.reset([0]))
    now, _ = core.begin(core.idle(1), torch.tensor([0]), start, context)
    action = torch.full((1, 1), 0.3, requires_grad=True)
    after, came = core.step(now, action)
    apart, states = ensemble.advance(now.carry, action.unsqueeze(1).expand(-1, TASK.n_substeps, -1))
    assert isinstance(apart, Tensor)
    assert isinstance(after.carry, Tensor)
    assert not torch.equal(apart[:, 0], apart[:, 1])
    torch.testing.assert_close(after.carry, states[:, -1:].expand_as(apart))
    assert came.uncertainty is not None
    torch.testing.assert_close(came.uncertainty, ensemble.uncertainty(apart))
    plain = EnvironmentCore(TASK, ensemble).step(now, action)[1].evaluation.reward
    torch.testing.assert_close(came.evaluation.reward, plain - 0.5 * came.uncertainty)
    (gradient,) = torch.autograd.grad(came.evaluation.reward.sum(), action)
    assert torch.isfinite(gradient).all()
    assert gradient.abs() > 0


def test_a_recipe_says_them(tmp_path: Path) -> None:
    (tmp_path / "careful.yaml").write_text("guards: {uncertainty_penalty: 2.0, uncertainty_limit: 0.5}\n")
    recipe = load_policy_recipe("pendulum-swingup", tmp_path / "careful.yaml")
    assert recipe.guards == Guards(uncertainty_penalty=2.0, uncertainty_limit=0.5)
    assert not load_policy_recipe("pendulum-swingup").guards.active
