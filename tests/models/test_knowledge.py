"""How much a simulator is told of its robot: the level that it says is what its parts read."""

from typing import Any

import pytest
import torch

from mosim.data import PoissonBehaviour, Trajectories, collect_episode
from mosim.models import NeuralSimulator, NeuralSimulatorConfig, Statistics
from mosim.robots import SystemFacts
from mosim.tasks import load_task

SMALL = {"width": 8, "depth": 1}
BLIND = [{"network": SMALL, "inputs": []}]
NETWORKS = {"inertia": SMALL, "bias": SMALL, "actuation": SMALL}


@pytest.mark.parametrize(
    ("config", "level"),
    [
        ({"correctors": []}, "arrays"),
        ({"correctors": BLIND}, "arrays"),
        ({"predictor": "network", "correctors": BLIND}, "arrays"),
        ({"predictor": "network", "correctors": [], "constraints": {}}, "arrays"),  # Which a network has not.
        ({}, "geometry"),
        ({"correctors": [*BLIND, {"inputs": ["contacts"]}]}, "geometry"),
        ({"predictor": "network", "correctors": [{"inputs": ["limit_depth"]}]}, "geometry"),
        ({"correctors": [], "constraints": {}}, "geometry"),
        ({"predictor": "articulated", "correctors": []}, "tree"),
        ({"predictor": "articulated", "correctors": BLIND, "constraints": {}}, "tree"),
    ],
)
def test_the_level_follows_from_what_the_parts_read(config: dict[str, Any], level: str) -> None:
    assert NeuralSimulatorConfig.model_validate(config).knowledge == level


@pytest.mark.parametrize("predictor", ["rigid_body", "network"])
@pytest.mark.parametrize("name", ["cheetah-run", "reacher-easy", "humanoid-walk"])
def test_at_the_level_of_arrays_the_drawing_changes_nothing(name: str, predictor: str) -> None:
    facts, statistics, states = recorded(name)
    config = NeuralSimulatorConfig.model_validate({"predictor": predictor, "correctors": BLIND, **NETWORKS})
    assert config.knowledge == "arrays"
    torch.manual_seed(0)
    model, other = NeuralSimulator(facts, config, statistics), NeuralSimulator(undrawn(facts), config, statistics)
    for weight in model.parameters():
        torch.nn.init.normal_(weight, std=0.3)
    other.load_state_dict(model.state_dict())
    actions = 0.3 * torch.ones(len(states), facts.nu)
    assert torch.equal(model.step(states, actions), other.step(states, actions))
    assert not torch.equal(model.step(states, actions), model.step(states, -actions))


def test_at_the_level_of_geometry_it_does() -> None:
    facts, statistics, _ = recorded("cheetah-run")
    config = NeuralSimulatorConfig.model_validate({"correctors": [{"network": SMALL}], **NETWORKS})
    assert config.knowledge == "geometry"
    sizes = {
        NeuralSimulator(each, config, statistics).correctors[0].positions.size  # pyright: ignore
        for each in (facts, undrawn(facts))
    }
    assert len(sizes) == 2


@pytest.mark.parametrize("predictor", ["rigid_body", "network"])
def test_what_correctors_are_told_changes_no_predictor(predictor: str) -> None:
    facts, statistics, states = recorded("cheetah-run")
    qpos, qvel = states[:, : facts.nq], states[:, facts.nq :]
    said = []
    for correctors in ([], BLIND, [{"network": SMALL, "inputs": ["contacts"]}]):
        config = NeuralSimulatorConfig.model_validate({"predictor": predictor, "correctors": correctors, **NETWORKS})
        torch.manual_seed(0)  # The predictor's weights are drawn first.
        model = NeuralSimulator(facts, config, statistics)
        said.append(model.predictor(qpos, qvel, qvel, torch.zeros(len(states), facts.nu)))
    assert torch.equal(said[0], said[1])
    assert torch.equal(said[0], said[2])


def test_a_hinge_that_makes_no_turn_in_the_data_shows_its_angle() -> None:
    facts, statistics, _ = recorded("reacher-easy")
    config = NeuralSimulatorConfig.model_validate({"correctors": [], **NETWORKS})
    narrow = {"qpos_lower": torch.tensor([-50.0, -1.0]), "qpos_upper": torch.tensor([50.0, 1.0])}
    model = NeuralSimulator(facts, config, Statistics(**statistics.tensors() | narrow))
    assert model.predictor.positions.size == 2 * 2 + 1  # pyright: ignore[reportAttributeAccessIssue]


def undrawn(facts: SystemFacts) -> SystemFacts:
    """The facts without what only a drawing tells, and with another robot's."""
    joints = tuple(
        joint.model_copy(
            update={"limited": not joint.limited, "lower": -0.1, "upper": 0.1, "dry_friction": not joint.dry_friction}
        )
        for joint in facts.joints
    )
    return facts.model_copy(
        update={
            "joints": joints,
            "actuated": tuple(() for _ in facts.actuated),
            "cyclic": (),
            "cyclic_unconstrained": (),
            "heading_symmetric": False,
            "gravity": (0.0, 0.0, 0.0),
            "skeleton": load_task("pendulum-swingup").facts.skeleton,
            "physics": {},
        }
    )


def recorded(name: str) -> tuple[SystemFacts, Statistics, torch.Tensor]:
    """Facts, the statistics of a short episode, and some of its states."""
    task = load_task(name)
    data = Trajectories.of(task.facts, [collect_episode(task, PoissonBehaviour(), 60, 0, 0)])
    starts = data.windows(1)
    statistics = Statistics.of(task.facts, data.states[starts], data.states[starts + 1])
    return task.facts, statistics, torch.from_numpy(data.states[::6]).float()
