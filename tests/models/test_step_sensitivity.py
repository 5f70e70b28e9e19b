"""How a step changes with what is learned: closed forms against differences."""

from copy import deepcopy
from pathlib import Path

import pytest
import torch

from mechanisms import SERVOS
from mosim.models import Statistics
from mosim.models.mosim.constraints.compliance import NUMBERS
from mosim.models.mosim.identification.force_balance import ForceBalance
from mosim.models.mosim.identification.step_sensitivity import StepSensitivity
from mosim.models.mosim.neural_simulator import NeuralSimulator
from mosim.models.mosim.tree.articulated import ArticulatedPredictor
from mosim.robots import mjcf_system
from mosim.tasks import load_task
from physics_steps import transitions, with_true_masses

STEP = 1e-6


@pytest.mark.parametrize(
    "name", ["cheetah-run", "humanoid-walk", "stacker-stack_2", "cartpole-swingup", "swimmer-swimmer6", "servos"]
)
def test_derivatives_are_those_of_the_accelerations(name: str, tmp_path: Path) -> None:
    (tmp_path / "servos.xml").write_text(SERVOS)
    task = mjcf_system(tmp_path / "servos.xml") if name == "servos" else load_task(name)
    states, actions, nexts = transitions(task, episodes=2, steps=100)
    simulator = with_true_masses(task, Statistics.of(task.facts, states.numpy(), nexts.numpy()))
    simulator = simulator.double().requires_grad_(False)
    predictor, balance = articulated(simulator), ForceBalance(articulated(simulator))
    learned = balance.learned()
    own = balance.split(learned).own
    own[:, :3] += 0.01  # Away from zero, where armature, damping and stiffness cannot be less.
    learned = torch.cat(
        [learned[: -own.numel()] + 1e-3 * (torch.arange(len(learned) - own.numel()) >= balance.masses), own.flatten()]
    )
    predictor.assign(balance.mechanics(learned))
    qpos, qvel = simulator.space.split(states[::4])
    control = actions[::4]
    constraints = predictor.constraints
    assert constraints is not None
    std = simulator.statistics.acceleration_std.double()
    found = StepSensitivity(predictor, std, constraints.parts)(
        qpos, qvel, simulator.scaled(control), control, mechanics=True
    )

    def accelerations(of: NeuralSimulator) -> torch.Tensor:
        # MuJoCo's RK4 takes one acceleration after the other; the derivatives are of each.
        if task.facts.integrator == "RK4":
            return of.acceleration(qpos, qvel, control) / std
        return (of.integrator(of.acceleration, qpos, qvel, control)[1] - qvel) / task.facts.timestep / std

    def differences(change) -> torch.Tensor:
        both = []
        for step in (STEP, -STEP):
            changed = deepcopy(simulator)
            change(changed, step)
            both.append(accelerations(changed))
        return (both[0] - both[1]) / (2 * STEP)

    generator = torch.Generator().manual_seed(0)
    for _ in range(12):  # Random combinations of all unknowns: each of them would take minutes.
        direction = torch.randn(len(learned), generator=generator, dtype=torch.float64)

        def of_mechanics(changed: NeuralSimulator, step: float, direction: torch.Tensor = direction) -> None:
            articulated(changed).assign(balance.mechanics(learned + step * direction))

        by_differences = differences(of_mechanics)
        torch.testing.assert_close(found.mechanics @ direction, by_differences, rtol=1e-4, atol=1e-5)
    acting = found.which[found.numbers.abs().amax((1, 3)) > 0].unique().tolist()
    if name not in ("cartpole-swingup", "swimmer-swimmer6"):
        assert len(acting) >= 2
    for constraint in {*acting[:6], acting[-1]} if acting else ():
        column = (found.numbers * (found.which == constraint)[:, None, :, None]).sum(2)
        for number in range(NUMBERS):

            def of_constraint(changed: NeuralSimulator, step: float, place=(constraint, number)) -> None:
                held = articulated(changed).constraints
                assert held is not None
                owns = [part.compliance.own for part in held.parts]
                offset = place[0]
                for own in owns:
                    if 0 <= offset < len(own):
                        own[offset, place[1]] += step
                    offset -= len(own)

            torch.testing.assert_close(column[..., number], differences(of_constraint), rtol=1e-4, atol=1e-5)


def articulated(simulator: NeuralSimulator) -> ArticulatedPredictor:
    predictor = simulator.predictor
    assert isinstance(predictor, ArticulatedPredictor)
    return predictor
