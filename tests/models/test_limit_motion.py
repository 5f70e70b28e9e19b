"""The compiled limits against torch's in double precision."""

import pytest
import torch

from mechanisms import EVERY_JOINT, compiled
from mosim.models.mosim.constraints.limit_motion import LimitMotion, ReachedLimits
from mosim.robots import SystemFacts
from mosim.tasks import load_task


def drawn(name: str) -> tuple[LimitMotion, SystemFacts]:
    facts = compiled(EVERY_JOINT)[1] if name == "every joint" else load_task(name).facts
    torch.manual_seed(0)
    return LimitMotion(facts, torch.rand(facts.nv) + 0.5), facts


@pytest.mark.parametrize("name", ["every joint", "cheetah-run", "humanoid-walk"])
@pytest.mark.parametrize("batch", [0, 1, 50])
def test_limits_are_those_of_torch(name: str, batch: int) -> None:
    motion, facts = drawn(name)
    state = 2 * torch.randn(batch, facts.state_size)
    qpos, qvel = state[:, : facts.nq], state[:, facts.nq :]  # Neither is contiguous.
    found = motion(qpos, qvel)
    assert batch < 50 or len(found.sample) > 10
    assert torch.equal(found.jacobian.count_nonzero(-1), torch.ones_like(found.sample))
    expected = motion.double()(qpos.double(), qvel.double())  # Double precision is not for the compiled code.
    for part, other in zip(found, expected, strict=True):
        torch.testing.assert_close(part, other.to(part.dtype), rtol=1e-5, atol=1e-5)


def test_the_way_back_makes_depth_less() -> None:
    motion, facts = drawn("cheetah-run")
    qpos, qvel = 2 * torch.randn(20, facts.nq), torch.randn(20, facts.nv)

    def depths(found: ReachedLimits) -> torch.Tensor:
        return torch.zeros(20, motion.size).index_put((found.sample, found.which), found.depth)

    found = motion(qpos, qvel)
    later = motion(qpos + 1e-3 * qvel, qvel)
    speed = torch.zeros(20, motion.size).index_put((found.sample, found.which), found.speed)
    both = (depths(found) > 0) & (depths(later) > 0)
    torch.testing.assert_close(((depths(found) - depths(later)) / 1e-3)[both], speed[both], rtol=1e-2, atol=1e-2)


def test_a_state_that_is_not_finite_reaches_nothing() -> None:
    motion, facts = drawn("cheetah-run")
    qpos, qvel = 2 * torch.randn(3, facts.nq), torch.randn(3, facts.nv)
    whole = motion(qpos, qvel)
    qpos[1] = torch.nan
    found = motion(qpos, qvel)
    assert torch.equal(found.sample, whole.sample[whole.sample != 1])


def test_where_gradients_of_states_are_asked_for_torch_has_them() -> None:
    motion, facts = drawn("cheetah-run")
    qpos, qvel = (2 * torch.randn(5, facts.nq)).requires_grad_(), torch.randn(5, facts.nv).requires_grad_()
    found = motion(qpos, qvel)
    of_qpos, of_qvel = torch.autograd.grad([found.depth.sum(), found.speed.sum()], [qpos, qvel])
    assert of_qpos.abs().sum() == len(found.depth) == of_qvel.abs().sum()
