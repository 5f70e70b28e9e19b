"""Servos: what is read of them, their forces beside MuJoCo's, and their numbers found from motion."""

from pathlib import Path

import mujoco
import numpy as np
import pytest
import torch

from mechanisms import SERVOS, SERVOS_IN_EULERS_STEP, compiled
from mosim.evaluation import identification, mjcf_mechanics, write_learned
from mosim.models import MujocoDynamics, NeuralSimulator, Statistics, identify
from mosim.models.mosim.identification.servo_fit import fit_servo
from mosim.models.mosim.tree.articulated import ArticulatedPredictor
from mosim.models.mosim.tree.servos import DAMPING, GAIN, LOWER, STIFFNESS, UPPER, Servos
from mosim.robots import mjcf_system
from physics_steps import CONFIG, transitions
from true_mechanics import true_mechanics

MODELS = {"implicitfast": SERVOS, "Euler": SERVOS_IN_EULERS_STEP, "RK4": SERVOS.replace("implicitfast", "RK4")}


def servo_names(actuators: str) -> list[str]:
    _, facts = compiled(f"""
        <mujoco>
          <compiler autolimits="true"/>
          <worldbody>
            <body><joint name="a" axis="0 1 0"/><geom size=".1" pos=".2 0 0"/><site name="tip" pos=".2 0 0"/></body>
          </worldbody>
          <actuator>{actuators}</actuator>
        </mujoco>
        """)
    return [servo.name for servo in facts.servos]


def test_a_servo_is_what_can_reach_the_limit_of_its_force() -> None:
    assert servo_names('<position name="p" joint="a" kp="9" forcerange="-1 1"/>') == ["p"]
    assert servo_names('<position name="p" joint="a" kp="9"/>') == []
    strong = '<motor name="m" joint="a" ctrlrange="-1 1" gear="3" forcerange="-1 1"/>'
    assert servo_names(strong) == []
    assert servo_names(strong.replace("-1 1", "-2 2", 1)) == ["m"]
    assert servo_names('<position name="s" site="tip" refsite="tip" kp="9" forcerange="-1 1"/>') == []
    assert servo_names('<muscle name="m" joint="a" lengthrange="0 1" forcerange="-1 1"/>') == []


def test_how_a_servo_reaches_joints_is_read_and_how_strong_it_is_is_not() -> None:
    _, facts = compiled(SERVOS)
    shoulder, elbow, fingers = facts.servos
    assert (shoulder.joints, shoulder.coefficients, shoulder.feels_length, shoulder.feels_speed) == (
        (0,), (1.0,), True, True,
    )  # fmt: skip
    assert (elbow.joints, elbow.coefficients, elbow.feels_length, elbow.feels_speed) == ((1,), (-1.0,), False, True)
    assert (fingers.joints, fingers.coefficients) == ((2, 3), (0.5, 0.25))
    assert not {"300", "800", "12"} & set(facts.model_dump_json().replace(".", " ").replace(",", " ").split())


@pytest.mark.parametrize("integrator", MODELS)
def test_within_and_at_their_limits_steps_are_mujocos(integrator: str) -> None:
    model, facts = compiled(MODELS[integrator])
    model.opt.disableflags |= int(mujoco.mjtDisableBit.mjDSBL_CONSTRAINT)
    simulator = NeuralSimulator(facts, CONFIG.model_copy(update={"constraints": None}), Statistics.neutral(facts))
    simulator = simulator.double()
    servos = servos_of(simulator)
    predictor_of(simulator).assign(true_mechanics(model, facts, predictor_of(simulator)))
    data, random, share = mujoco.MjData(model), np.random.default_rng(0), np.zeros((3, model.nu))
    for trial in range(60):
        near = 0.02 if trial % 2 else 1.0
        data.qpos[:] = [*random.uniform(-1, 1, 2), *random.uniform(0, 0.04, 2)]
        data.qvel[:] = [*random.normal(scale=3, size=2), *random.normal(scale=0.2, size=2)]
        lengths = [data.qpos[0], -1.5 * data.qvel[1], (0.5 * data.qpos[2] + 0.25 * data.qpos[3]) * 8000]
        data.ctrl[:] = np.array(lengths) + near * random.normal(size=3) * [1, 6, 100]
        data.ctrl[:] = np.clip(data.ctrl, *model.actuator_ctrlrange.T)
        mujoco.mj_forward(model, data)
        state, control = torch.from_numpy(np.concatenate([data.qpos, data.qvel])), torch.from_numpy(data.ctrl.copy())
        with torch.no_grad():
            force = servos(state[:4], state[4:], simulator.scaled(control)).numpy()
            found = simulator.step(state, control).numpy()
        np.testing.assert_allclose(force, data.qfrc_actuator, rtol=1e-6, atol=1e-4)
        lower, upper = model.actuator_forcerange.T
        share += [data.actuator_force <= lower, data.actuator_force >= upper, (abs(data.actuator_force) < upper - 1e-3)]
        mujoco.mj_step(model, data)
        np.testing.assert_allclose(found, np.concatenate([data.qpos, data.qvel]), rtol=0, atol=1e-6)
    assert (share >= 3).all(), "Each servo has been at both limits and between them."


@pytest.mark.parametrize("integrator", ["implicitfast", pytest.param("Euler", marks=pytest.mark.slow)])
def test_their_numbers_are_found(integrator: str, tmp_path: Path) -> None:
    (tmp_path / "arm.xml").write_text(MODELS[integrator])
    system = mjcf_system(tmp_path / "arm.xml")
    states, actions, nexts = transitions(system, episodes=16, steps=400)
    simulator = NeuralSimulator(system.facts, CONFIG, Statistics.of(system.facts, states.numpy(), nexts.numpy()))
    fit = identify(simulator, states.float(), actions.float(), nexts.float())
    assert fit.taken
    assert fit.unexplained < 1e-9
    predictor = predictor_of(simulator)
    true, found = true_mechanics(system.model, system.facts, predictor).servos, predictor.mechanics().servos.detach()
    factor = true[0, UPPER] / found[0, UPPER]  # Of all forces, which motion does not tell.
    torch.testing.assert_close(factor * found, true, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("count", [0, 1, 40])
def test_few_transitions_leave_numbers(count: int, tmp_path: Path) -> None:
    (tmp_path / "arm.xml").write_text(SERVOS)
    system = mjcf_system(tmp_path / "arm.xml")
    states, actions, nexts = transitions(system, episodes=1, steps=200)
    simulator = NeuralSimulator(system.facts, CONFIG, Statistics.of(system.facts, states.numpy(), nexts.numpy()))
    identify(simulator, states[:count].float(), actions[:count].float(), nexts[:count].float())
    assert all(bool(torch.isfinite(weight).all()) for weight in simulator.state_dict().values())
    numbers = servos_of(simulator).numbers
    assert (numbers[:, LOWER] < numbers[:, UPPER]).all()


def test_limits_that_are_never_reached_let_all_forces_pass(tmp_path: Path) -> None:
    (tmp_path / "arm.xml").write_text(SERVOS.replace('forcerange="-7 6"', 'forcerange="-700 600"'))
    system = mjcf_system(tmp_path / "arm.xml")
    states, actions, nexts = transitions(system, episodes=8, steps=400)
    simulator = NeuralSimulator(system.facts, CONFIG, Statistics.of(system.facts, states.numpy(), nexts.numpy()))
    fit = identify(simulator, states.float(), actions.float(), nexts.float())
    assert fit.unexplained < 1e-6
    numbers = servos_of(simulator).numbers
    assert numbers[2, UPPER] > 255 * numbers[2, GAIN]


@pytest.mark.parametrize("limit", [0.7, 10.0])
def test_a_servo_that_is_soft_or_never_at_its_limits_is_found(limit: float) -> None:
    generator = torch.Generator().manual_seed(0)
    control, length, speed = torch.randn(3, 500, generator=generator, dtype=torch.float64)
    asked = 2 * control - 1.5 * length - 0.3 * speed + 0.1
    limit = limit * float(asked.abs().max()) / 5
    columns = torch.stack([control, -length, -speed, torch.ones_like(control)], dim=-1)
    found = fit_servo(columns, columns, asked.clamp(-limit, limit), control - length)
    assert found is not None
    torch.testing.assert_close(found[:LOWER], asked.new_tensor([2, 1.5, 0.3, 0.1]))
    reached = bool((asked.abs() > limit).any())
    if reached:
        torch.testing.assert_close(found[LOWER:], asked.new_tensor([-limit, limit]))
    else:
        assert found[LOWER] < asked.min()
        assert found[UPPER] > asked.max()


def test_what_is_learned_of_them_is_printed_and_written(tmp_path: Path) -> None:
    (tmp_path / "arm.xml").write_text(SERVOS)
    system = mjcf_system(tmp_path / "arm.xml")
    states, actions, nexts = transitions(system, episodes=2, steps=200)
    simulator = NeuralSimulator(system.facts, CONFIG, Statistics.of(system.facts, states.numpy(), nexts.numpy()))
    true = mjcf_mechanics(system)
    predictor_of(simulator).assign(true.mechanics._replace(servos=0.8 * true.mechanics.servos))
    simulator = simulator.double()
    found = identification(simulator, mjcf_mechanics(system), system.model).found
    numbers = {(number.of, number.name): number for number in found.numbers}
    gain = numbers["actuator shoulder", "gain"]
    assert (round(gain.value), gain.reference, gain.unit) == (240, 300.0, "N m per unit of control")
    assert ("actuator elbow", "stiffness") not in numbers
    assert numbers["actuator fingers", "upper force limit"].unit == "N"
    written = write_learned(tmp_path / "learned.xml", simulator, predictor_of(simulator).mechanics(), system)
    expected = simulator.step(states, actions).detach()
    moved = MujocoDynamics(written.system).step(states, actions)
    free = (states[:, 2:4] > 1e-3).all(-1) & (states[:, 2:4] < 0.039).all(-1)  # Limits have not been learned.
    assert free.sum() > 20
    assert (moved - expected)[free].abs().max() < 1e-5


def test_what_a_servo_does_not_feel_has_no_number() -> None:
    _, facts = compiled(SERVOS)
    servos = servos_of(NeuralSimulator(facts, CONFIG, Statistics.neutral(facts)))
    servos.share.data.fill_(1.0)
    assert servos.numbers[1, STIFFNESS] == 0
    assert servos.numbers[1, DAMPING] > 0
    assert servos.numbers[1, GAIN] > 0


def predictor_of(simulator: NeuralSimulator) -> ArticulatedPredictor:
    assert isinstance(simulator.predictor, ArticulatedPredictor)
    return simulator.predictor


def servos_of(simulator: NeuralSimulator) -> Servos:
    servos = predictor_of(simulator).servos
    assert servos is not None
    return servos
