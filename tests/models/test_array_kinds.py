"""The kinds that know the arrays alone: their sizes, their memory, what they are blind to, and what they learn."""

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor

from mechanisms import EVERY_JOINT, compiled
from mosim.models import LearnedModel, ModelConfig, NeuralSimulatorConfig, Statistics
from mosim.models.arrays import Ensemble, EnsembleConfig, GRUConfig, GRUModel, TransformerConfig, TransformerModel
from mosim.models.arrays.window_model import WindowModel
from mosim.models.parts.sizes import width_for
from mosim.robots import System, SystemFacts
from mosim.tasks import load_task

KINDS = ("ensemble", "gru", "transformer", "rssm", "latent_dynamics")

FALLING_BOX = """
<mujoco><worldbody>
  <body pos="0 0 2"><freejoint/><geom type="box" size=".1 .2 .3"/>
    <body pos="0 0 .3"><joint name="arm" axis="1 0 0"/><geom type="capsule" fromto="0 0 0 0 0 .3" size=".05"/></body>
  </body>
</worldbody><actuator><motor joint="arm" ctrlrange="-1 1"/></actuator></mujoco>
"""


def built(kind: str, facts: SystemFacts, **settings: object) -> LearnedModel:
    torch.manual_seed(0)
    config = ModelConfig.kinds[kind].model_validate({"kind": kind} | settings)
    return config.build(facts, Statistics.neutral(facts)).double()


def weights(model: LearnedModel) -> int:
    return sum(weight.numel() for weight in model.parameters())


def windows(system: System, batch: int, steps: int) -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(1)
    start = torch.stack([torch.from_numpy(system.reset([row]).state) for row in range(batch)]).unsqueeze(1)
    states = start + 0.1 * torch.randn(batch, steps + 1, start.shape[-1], generator=random, dtype=torch.float64)
    return states, torch.rand(batch, steps, system.facts.nu, generator=random, dtype=torch.float64) - 0.5


@pytest.mark.parametrize("system", ["reacher-easy", "cheetah-run", "humanoid-walk"])
def test_models_of_all_kinds_have_as_many_weights_as_are_asked_for(system: str) -> None:
    facts = load_task(system).facts
    ours = weights(NeuralSimulatorConfig(predictor="network", correctors=()).build(facts, Statistics.neutral(facts)))
    for wanted in (ours, 200_000):
        for kind in KINDS:
            assert weights(built(kind, facts, parameters=wanted)) == pytest.approx(wanted, rel=0.05), kind
        for predictor in ("network", "rigid_body"):
            model = built("mosim", facts, predictor=predictor, parameters=wanted)
            assert weights(model) == pytest.approx(wanted, rel=0.05), predictor


def test_the_nearest_width_is_found() -> None:
    made: list[int] = []

    def make(width: int) -> torch.nn.Module:
        made.append(width)
        return torch.nn.Linear(width, 1, bias=False)

    assert [width_for(wanted, make) for wanted in (1, 2, 17, 1000)] == [1, 2, 17, 1000]
    assert [width_for(wanted, make, 8) for wanted in (1, 11, 13, 1000)] == [8, 8, 16, 1000]
    assert max(made) < 3000


@pytest.mark.parametrize("kind", ["gru", "transformer"])
def test_what_is_trained_on_is_what_predicts(kind: str) -> None:
    system = load_task("cheetah-run")
    model = built(kind, system.facts, parameters=3000, history=5)
    assert isinstance(model, WindowModel)
    states, actions = windows(system, 3, 5)
    foretold = model.foretold(states[:, :5], actions)
    for known in range(1, 6):
        predicted = model.predict(states[:, :known], actions[:, : known - 1], actions[:, known - 1 : known])
        torch.testing.assert_close(predicted[:, 0], foretold[:, known - 1])
    assert not torch.allclose(foretold[:, 1:], model.predict(states[:, 1:2], actions[:, :0], actions[:, 1:])), "memory"


@pytest.mark.parametrize("kind", ["gru", "transformer"])
def test_a_loss_has_the_known_steps_and_those_beyond(kind: str) -> None:
    system = load_task("pendulum-swingup")
    model = built(kind, system.facts, parameters=3000, history=3)
    states, actions = windows(system, 2, 3 - 1 + 4)
    asked: list[Tensor] = []

    def mean(errors: Tensor) -> Tensor:
        asked.append(errors)
        return errors.square().mean()

    loss, errors = model.loss(states, actions, mean)
    torch.testing.assert_close(loss, errors.square().mean())
    assert errors.shape == (2, 6, 2) == asked[0].shape
    open_loop = model.errors(states, actions)
    torch.testing.assert_close(errors[:, 2:], open_loop)
    alone, first = model.loss(states[:, :4], actions[:, :3], mean)
    torch.testing.assert_close(first, errors[:, :3])
    assert alone != loss


def test_a_transformer_forgets_what_is_older_than_its_history() -> None:
    system = load_task("pendulum-swingup")
    model = built("transformer", system.facts, parameters=3000, history=3, layers=1)
    assert isinstance(model, TransformerModel)
    states, actions = windows(system, 2, 6)
    carry = model.init(states[:, :1], actions[:, :0])
    for step in range(4):
        carry = model.step(carry, actions[:, step])
        carry["state"] = states[:, step + 1]  # As if it had predicted what was to come.
    fresh = model.init(states[:, 2:5], actions[:, 2:4])
    torch.testing.assert_close(
        model.state(model.step(carry, actions[:, 4])), model.state(model.step(fresh, actions[:, 4]))
    )


def test_in_its_own_frame_a_robot_moves_alike_wherever_it_is() -> None:
    model, _ = compiled(FALLING_BOX)
    system = System("box.xml", "box", model)
    torch.manual_seed(0)
    ours = built("transformer", system.facts, parameters=3000)
    states, actions = windows(system, 3, 6)
    start = torch.cat([ours.space.normalise(states[:, 0, : system.facts.nq]), states[:, 0, system.facts.nq :]], dim=-1)
    turn = torch.tensor([math.cos(0.6), 0.0, 0.0, math.sin(0.6)], dtype=torch.float64)
    matrix = torch.tensor(
        [[math.cos(1.2), -math.sin(1.2), 0], [math.sin(1.2), math.cos(1.2), 0], [0, 0, 1]], dtype=torch.float64
    )

    def moved(states: Tensor) -> Tensor:
        from mosim.geometry.configuration_space import quaternion_multiply

        nq = system.facts.nq
        place = states[..., :3] @ matrix.T + torch.tensor([3.0, -2.0, 0.0]).double()
        facing = quaternion_multiply(turn.expand(*states.shape[:-1], 4), states[..., 3:7])
        velocity = states[..., nq : nq + 3] @ matrix.T
        return torch.cat([place, facing, states[..., 7:nq], velocity, states[..., nq + 3 :]], dim=-1)

    torch.testing.assert_close(ours.rollout(moved(start), actions), moved(ours.rollout(start, actions)))
    blind = built("transformer", system.facts, parameters=3000, own_frame=False)
    assert not torch.allclose(blind.rollout(moved(start), actions), moved(blind.rollout(start, actions)), atol=1e-3)


def test_an_ensemble_says_how_far_its_members_part() -> None:
    model, _ = compiled(EVERY_JOINT)
    system = System("every_joint.xml", "every joint", model)
    ensemble = built("ensemble", system.facts, parameters=3000)
    assert isinstance(ensemble, Ensemble)
    states, actions = windows(system, 4, 9)
    start = torch.cat([ensemble.space.normalise(states[:, 0, : system.facts.nq]), states[:, 0, system.facts.nq :]], -1)
    carry = ensemble.init(start.unsqueeze(1), actions[:, :0])
    assert (ensemble.uncertainty(carry) < 1e-12).all()
    spreads = []
    for action in actions.unbind(1):
        carry = ensemble.step(carry, action)
        spreads.append(ensemble.uncertainty(carry))
        assert (carry[..., 3:7].norm(dim=-1) - 1).abs().max() < 1e-9
    assert (spreads[-1] > spreads[0]).all()
    members = carry.unbind(-2)
    state = ensemble.state(carry)
    hinge = system.facts.nq - 1
    torch.testing.assert_close(state[:, hinge], torch.stack([member[:, hinge] for member in members]).mean(0))
    untouched = built("gru", system.facts, parameters=3000)
    assert untouched.uncertainty(untouched.init(start.unsqueeze(1), actions[:, :0])) is None


def test_the_members_of_an_ensemble_are_networks_of_their_own() -> None:
    facts = load_task("pendulum-swingup").facts
    ensemble = EnsembleConfig(width=8, members=3).build(facts, Statistics.neutral(facts))
    seen = torch.randn(5, 3, ensemble.input_size)
    mean, log_variance = ensemble.members(seen)
    assert mean.shape == log_variance.shape == (5, 3, facts.nv)
    changed = seen.clone()
    changed[:, 1] += 1
    other, _ = ensemble.members(changed)
    assert torch.equal(other[:, [0, 2]], mean[:, [0, 2]])
    assert not torch.equal(other[:, 1], mean[:, 1])
    same = seen[:, :1].expand(-1, 3, -1)
    assert not torch.allclose(ensemble.members(same)[0][:, 0], ensemble.members(same)[0][:, 1])
    assert (log_variance < 0.5).all()
    assert (log_variance > -10).all()


def test_a_stage_of_longer_horizons_trains_the_rollouts_of_each_member() -> None:
    system = load_task("cheetah-run")
    ensemble = built("ensemble", system.facts, parameters=3000, members=3)
    assert isinstance(ensemble, Ensemble)
    states, actions = windows(system, 4, 5)
    loss, errors = ensemble.loss(states, actions, lambda errors: errors.square().mean())
    carry, of_members = ensemble.init(states[:, :1], actions[:, :0]), []
    for step, action in enumerate(actions.unbind(1)):
        carry = ensemble.step(carry, action)
        true = states[:, step + 1 : step + 2]
        of_members += [ensemble.deviation(member.unsqueeze(1), true) for member in carry.unbind(-2)]
    torch.testing.assert_close(loss, torch.stack(of_members).square().mean())
    torch.testing.assert_close(errors, ensemble.errors(states, actions))
    loss.backward()
    assert all(weight.grad.abs().amax((1, 2)).min() > 0 for weight in ensemble.members.weights)


def test_what_the_configs_do_not_allow_is_said() -> None:
    for kind, wrong in {
        "gru": {"history": 0},
        "transformer": {"heads": 0},
        "ensemble": {"members": 1},
        "rssm": {"classes": 1},
        "latent_dynamics": {"rho": 0},
    }.items():
        with pytest.raises(ValueError, match=next(iter(wrong))):
            ModelConfig.kinds[kind].model_validate({"kind": kind} | wrong)
    assert {ModelConfig.kinds[kind].model_validate({}).knowledge for kind in KINDS} == {"arrays"}
    assert GRUConfig(width=12).build(load_task("pendulum-swingup").facts, neutral()).memory.hidden_size == 12


def neutral() -> Statistics:
    return Statistics.neutral(load_task("pendulum-swingup").facts)


def test_a_width_is_a_multiple_of_the_heads() -> None:
    facts = load_task("pendulum-swingup").facts
    model = TransformerConfig(heads=3, parameters=5000).build(facts, Statistics.neutral(facts))
    assert isinstance(model, TransformerModel)
    assert model.network.first.out_features % 3 == 0
    assert isinstance(GRUConfig().build(facts, Statistics.neutral(facts)), GRUModel)


def test_they_are_files_of_their_own() -> None:
    folder = Path(__file__).parents[2] / "platform" / "mosim" / "recipes" / "simulators" / "arrays"
    assert {*KINDS, "general", "joint", "mosim", "network"} <= {file.stem for file in folder.glob("*.yaml")}
