"""What every dynamics model promises: one test over all of them."""

from collections.abc import Callable

import pytest
import torch

from mechanisms import ACTUATORS, EVERY_JOINT, compiled
from mosim.models import (
    ConstraintsConfig,
    CorrectorConfig,
    DynamicsModel,
    LearnedModel,
    ModelConfig,
    MujocoDynamics,
    NeuralSimulatorConfig,
    Persistence,
    Statistics,
    flat_carry,
    unflat_carry,
)
from mosim.models.mosim.predictor import PREDICTORS
from mosim.robots import System
from recurrent_model import recurrent_model

BATCH, HORIZON = 5, 7


def system_of(xml: str) -> System:
    model, _ = compiled(xml)
    return System("mechanism.xml", "mechanism", model)


ARRAY_KINDS = ("ensemble", "gru", "transformer", "rssm", "latent_dynamics")


def learned(config: ModelConfig) -> Callable[[System], DynamicsModel]:
    def make(system: System) -> DynamicsModel:
        torch.manual_seed(0)
        return config.build(system.facts, Statistics.neutral(system.facts)).double()

    return make


KINDS: dict[str, Callable[[System], DynamicsModel]] = {
    "no change": lambda system: Persistence(system.facts),
    "mujoco": MujocoDynamics,
    "recurrent": lambda system: recurrent_model(system.facts),
    **{kind: learned(ModelConfig.kinds[kind].model_validate({"parameters": 3000})) for kind in ARRAY_KINDS},
    **{
        f"{predictor}{', constrained' if constraints else ''}": learned(
            NeuralSimulatorConfig(predictor=predictor, constraints=constraints, correctors=(CorrectorConfig(),))
        )
        for predictor in PREDICTORS
        for constraints in (None, ConstraintsConfig())
        if constraints is None or predictor != "network"
    },
}


@pytest.fixture(scope="module", params=[EVERY_JOINT, ACTUATORS], ids=["every joint", "actuators"])
def system(request: pytest.FixtureRequest) -> System:
    return system_of(request.param)


@pytest.fixture(params=KINDS)
def model(request: pytest.FixtureRequest, system: System) -> DynamicsModel:
    return KINDS[request.param](system)


@pytest.fixture
def states(system: System) -> torch.Tensor:
    return torch.stack([torch.from_numpy(system.reset([index]).state) for index in range(BATCH)])


@pytest.fixture
def actions(system: System) -> torch.Tensor:
    random = torch.Generator().manual_seed(1)
    lower, upper = (torch.tensor(bound) for bound in (system.facts.control_lower, system.facts.control_upper))
    share = torch.rand(BATCH, HORIZON, system.facts.nu, generator=random, dtype=torch.float64)
    return lower + share * (upper - lower)


def begun(model: DynamicsModel, states: torch.Tensor, actions: torch.Tensor):
    return model.init(states.unsqueeze(1), actions[:, :0])


def test_a_rollout_is_its_steps(model: DynamicsModel, states: torch.Tensor, actions: torch.Tensor) -> None:
    together = model.rollout(states, actions)
    assert together.shape == (BATCH, HORIZON, model.facts.state_size)
    assert together.dtype == states.dtype
    carry = begun(model, states, actions)
    torch.testing.assert_close(model.state(carry), states, rtol=0, atol=1e-15)
    for step in range(HORIZON):
        carry = model.step(carry, actions[:, step])
        torch.testing.assert_close(model.state(carry), together[:, step], rtol=0, atol=1e-7)


def test_rows_do_not_know_of_one_another(model: DynamicsModel, states: torch.Tensor, actions: torch.Tensor) -> None:
    together = model.rollout(states, actions)
    alone = torch.cat([model.rollout(states[row : row + 1], actions[row : row + 1]) for row in range(BATCH)])
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-7)


def test_a_carry_can_be_kept_and_gone_on_from(
    model: DynamicsModel, states: torch.Tensor, actions: torch.Tensor
) -> None:
    carry, _ = model.advance(begun(model, states, actions), actions[:, :3])
    kept = {name: tensor.clone() for name, tensor in flat_carry(carry).items()}
    _, whole = model.advance(carry, actions[:, 3:])
    _, again = model.advance(unflat_carry(kept, begun(model, states, actions)), actions[:, 3:])
    torch.testing.assert_close(again, whole, rtol=0, atol=1e-7)
    assert all((tensor == kept[name]).all() for name, tensor in flat_carry(carry).items()), "a step changes no carry"


def test_an_uncertainty_is_there_where_the_config_says_so(
    model: DynamicsModel, states: torch.Tensor, actions: torch.Tensor
) -> None:
    carry, _ = model.advance(begun(model, states, actions), actions)
    uncertainty = model.uncertainty(carry)
    if isinstance(model, LearnedModel):
        assert (uncertainty is not None) == model.config.has_uncertainty
    if uncertainty is not None:
        assert uncertainty.shape == (BATCH,)
        assert (uncertainty >= 0).all()
    merged = model.merged(carry)
    torch.testing.assert_close(model.state(merged), model.state(carry), rtol=0, atol=1e-7)
    if uncertainty is not None:
        assert (model.uncertainty(merged) < 1e-6).all()  # pyright: ignore[reportOptionalOperand]


def test_gradients_are_those_of_finite_differences(
    model: DynamicsModel, states: torch.Tensor, actions: torch.Tensor
) -> None:
    if isinstance(model, MujocoDynamics):
        pytest.skip("MuJoCo itself has no gradients here")
    random = torch.Generator().manual_seed(2)
    weights = torch.randn(BATCH, HORIZON, model.facts.state_size, generator=random, dtype=torch.float64)

    def value(start: torch.Tensor, controls: torch.Tensor) -> torch.Tensor:
        return (model.rollout(start, controls) * weights).sum()

    known = [states.clone().requires_grad_(), actions.clone().requires_grad_()]
    gradients = torch.autograd.grad(value(*known), known, materialize_grads=True)
    directions = [torch.zeros_like(states), torch.randn(actions.shape, generator=random, dtype=torch.float64)]
    velocities = model.facts.layout.qvel
    directions[0][:, velocities] = torch.randn(BATCH, model.facts.nv, generator=random, dtype=torch.float64)
    for number, (gradient, direction) in enumerate(zip(gradients, directions, strict=True)):
        with torch.no_grad():
            moved = [[part.clone() for part in (states, actions)] for _ in range(2)]
            for each, sign in zip(moved, (1, -1), strict=True):
                each[number] += sign * 1e-6 * direction
            more, less = (value(*each) for each in moved)
        expected = float((more - less) / 2e-6)
        assert float((gradient * direction).sum()) == pytest.approx(expected, rel=1e-4, abs=1e-6)


def test_parts_cover_every_weight_once(model: DynamicsModel) -> None:
    if not isinstance(model, LearnedModel):
        assert not list(model.parameters())
        return
    names = model.config.part_names
    assert len(set(names)) == len(names)
    assert set(model.parts) <= set(names)
    outermost = {model.outermost(part) for part in model.parts}
    held = [weight for part in outermost for weight in model.parts[part].parameters()]
    assert len(set(map(id, held))) == len(held), "no weight is of two parts, unless one lies within the other"
    assert set(map(id, held)) == set(map(id, model.parameters()))
    assert {model.part_of(name) for name, _ in model.named_parameters()} == outermost


def test_every_kind_is_tried_here() -> None:
    assert {*ModelConfig.kinds} - {"test_gru"} == {"mosim", *ARRAY_KINDS}
