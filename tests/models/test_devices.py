"""No tensor is made on the CPU while a predictor computes on another device.

Without a GPU, torch's meta device stands for it. Tensors there have shapes and no numbers, so what depends on numbers,
such as which contacts are closed, is left to the tests that are marked `gpu`.
"""

from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from mosim.models import NeuralSimulator, NeuralSimulatorConfig, Statistics
from mosim.models.mosim.predictor import RigidBodyPredictor
from mosim.models.mosim.tree.articulated import ArticulatedPredictor
from mosim.robots import SystemFacts
from mosim.tasks import load_task


class OnTheDevice(TorchDispatchMode):
    """Fails at an operation whose result is on the CPU."""

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = function(*args, **(kwargs or {}))
        odd = [each for each in tree_leaves(result) if isinstance(each, torch.Tensor) and each.device.type != "meta"]
        assert not odd, f"{function} makes a tensor on {odd[0].device}"
        return result


def predictor_of(facts: SystemFacts, **config: Any) -> Any:
    model = NeuralSimulator(facts, NeuralSimulatorConfig(correctors=(), **config), Statistics.neutral(facts))
    return model.to("meta").predictor


def state(facts: SystemFacts) -> list[torch.Tensor]:
    return [torch.empty(5, size, device="meta") for size in (facts.nq, facts.nv, facts.nu)]


@pytest.mark.parametrize("name", ["reacher-easy", "acrobot-swingup", "hopper-hop", "humanoid-walk", "swimmer-swimmer6"])
def test_an_articulated_predictor_stays_on_its_device(name: str) -> None:
    facts = load_task(name).facts
    predictor = predictor_of(facts, predictor="articulated")
    assert isinstance(predictor, ArticulatedPredictor)
    with OnTheDevice():
        qpos, qvel, action = state(facts)
        damping = predictor.implicit_timestep * predictor.joints.damping
        std = torch.ones(facts.nv, device="meta")
        lower, bias = predictor.factor_and_bias(qpos.double(), qvel.double(), std, damping)
        force = predictor.applied_force(qpos, qvel, action) - bias
        gradients = torch.autograd.grad(lower.sum() + force.sum(), predictor.tree.inertia)
    assert (lower.shape, force.shape) == ((5, facts.nv, facts.nv), (5, facts.nv))
    assert gradients[0].device.type == "meta"


def test_networks_do_too() -> None:
    facts = load_task("humanoid-walk").facts
    predictor = predictor_of(facts)
    assert isinstance(predictor, RigidBodyPredictor)
    qpos, qvel, action = state(facts)
    with OnTheDevice():
        assert predictor(qpos, qvel, qvel, action).shape == (5, facts.nv)


def test_a_tensor_made_on_the_cpu_is_told() -> None:
    with pytest.raises(AssertionError, match="makes a tensor on cpu"), OnTheDevice():
        assert (torch.empty(3, device="meta") + torch.zeros(())).shape == (3,)
