"""Contacts and limits: MuJoCo's own numbers give MuJoCo's rows, and single steps give those numbers."""

from pathlib import Path

import mujoco
import numpy as np
import pytest
import torch

from mosim.geometry import ContactGaps
from mosim.models import NeuralSimulator, Statistics, fit_constraints, identify
from mosim.models.mosim.constraints.compliance import FRICTION, SHAPE, WEIGHT, Compliance, Impedances
from mosim.models.mosim.tree.articulated import ArticulatedPredictor
from mosim.robots import System
from mosim.tasks import load_system, load_task
from physics_steps import CONFIG, transitions, with_true_masses


@pytest.mark.parametrize("solimp", [(0.9, 0.95, 0.001, 0.5, 2), (0.1, 0.8, 0.03, 0.3, 4), (0.5, 0.99, 0.01, 0.7, 1.5)])
def test_the_impedance_is_mujocos(solimp: tuple[float, ...]) -> None:
    model = mujoco.MjModel.from_xml_string(
        "<mujoco><worldbody><geom type='plane' size='1 1 1' condim='1'/><body><joint type='slide' axis='0 0 1'/>"
        "<geom size='0.1' condim='1'/></body></worldbody></mujoco>"
    )
    model.geom_solimp[:] = solimp
    data, compliance = mujoco.MjData(model), Compliance(1).double()
    first, full, width, midpoint, power = solimp
    learned = compliance.learned().detach().clone()
    learned[0, 3:8] = torch.tensor(
        [np.log(first / (1 - first)), np.log(full / (1 - full)), np.log(width), np.log(midpoint / (1 - midpoint)),
         np.log(power - 1)]
    )  # fmt: skip
    numbers = Impedances.of(learned)
    for depth in np.geomspace(1e-5, 0.1, 20):
        data.qpos[0] = 0.1 - depth
        mujoco.mj_forward(model, data)
        stiffness, _ = numbers.at(torch.tensor([depth]))
        # Of the edges of a contact without friction there is one, whose weight is that of the body alone.
        assert float(stiffness) == pytest.approx(data.efc_D[0] * model.body_invweight0[1, 0], rel=1e-6)


@pytest.mark.parametrize("midpoint", [-6.0, 0.0, 6.0])
def test_however_steep_the_impedance_is_gradients_are_numbers(midpoint: float) -> None:
    learned = Compliance(1).learned().detach().repeat(50, 1)
    learned[:, 6], learned[:, 7] = midpoint, 7.0  # A power of a thousand.
    learned.requires_grad_()
    stiffness, target = Impedances.of(learned).at(torch.linspace(0.0, 0.002, 50))
    [gradient] = torch.autograd.grad((stiffness + target).sum(), [learned])
    assert torch.isfinite(gradient).all()


@pytest.mark.parametrize("task", ["cheetah-run", "humanoid-walk", "stacker-stack_2"])
def test_inverse_weights_are_mujocos(task: str) -> None:
    system = load_task(task)
    predictor = with_true_masses(system, Statistics.neutral(system.facts)).predictor
    assert isinstance(predictor, ArticulatedPredictor)
    links, dofs, _ = predictor.tree.inverse_weights()
    np.testing.assert_allclose(dofs.numpy(), system.model.dof_invweight0, rtol=1e-5)
    bodies = system.facts.skeleton.bodies
    for index, body in enumerate(bodies, start=1):
        alone = sum(other.link == body.link for other in bodies) == 1 and body.link >= 0
        if alone:
            assert float(links[body.link]) == pytest.approx(system.model.body_invweight0[index, 0], rel=1e-5)


def test_single_steps_give_the_numbers_of_contacts_and_limits() -> None:
    task = load_task("walker-run")
    rows = transitions(task, episodes=4, steps=250)
    simulator = with_true_masses(task, Statistics.of(task.facts, rows[0].numpy(), rows[2].numpy()))
    fit = fit_constraints(simulator, *rows)
    assert fit.seen > 10
    assert fit.after < 1e-5 * fit.before
    assert fit.unexplained < 0.01
    constraints = simulator.predictor.constraints
    assert constraints is not None
    assert constraints.contacts is not None
    assert constraints.limits is not None
    # The walker's geoms have MuJoCo's default solref and solimp; a friction of 0.7.
    feet = Impedances.of(constraints.contacts.compliance.learned()[0])
    wanted = {"stiffness": 1 / (0.95 * 0.02) ** 2, "damping": 2 / (0.95 * 0.02), "first": 0.9, "full": 0.95}
    for name, value in {**wanted, "width": 0.001, "midpoint": 0.5, "power": 2.0, "friction": 0.7}.items():
        assert getattr(feet, name).item() == pytest.approx(value, rel=0.01), name


def test_a_number_that_is_never_seen_is_that_of_all() -> None:
    task = load_task("hopper-hop")
    rows = transitions(task, episodes=2, steps=200)
    simulator = with_true_masses(task, Statistics.of(task.facts, rows[0].numpy(), rows[2].numpy()))
    fit = fit_constraints(simulator, *rows)
    assert fit.seen < fit.constraints
    constraints = simulator.predictor.constraints
    assert constraints is not None
    assert constraints.contacts is not None
    own = constraints.contacts.compliance.own
    rarely = own[:, WEIGHT + 1 : FRICTION].abs().amax(-1).argmin()
    assert own[rarely, WEIGHT + 1 :].abs().max() < 1e-4
    assert own[rarely, WEIGHT] != 0.0  # Its weight is what the masses say.


def test_of_noisy_steps_no_shape_is_found_whatever_was_before() -> None:
    task = load_task("hopper-hop")
    rows = transitions(task, episodes=2, steps=200)
    simulator = with_true_masses(task, Statistics.of(task.facts, rows[0].numpy(), rows[2].numpy()))
    constraints = simulator.predictor.constraints
    assert constraints is not None
    assert constraints.contacts is not None
    compliance = constraints.contacts.compliance
    fit_constraints(simulator, *rows)
    with torch.no_grad():
        compliance.shared[SHAPE] += 0.3
    fit = fit_constraints(simulator, *rows, noisy=True)
    assert fit.after < fit.before
    assert not bool(compliance.shared[SHAPE].any())
    assert not bool(compliance.own[:, SHAPE].any())
    assert bool((compliance.own[:, FRICTION] != 0).any())


def test_without_a_contact_nothing_is_fitted() -> None:
    task = load_task("hopper-hop")
    rows = transitions(task, episodes=1, steps=100)
    simulator = with_true_masses(task, Statistics.of(task.facts, rows[0].numpy(), rows[2].numpy()))
    high = rows[0].clone()
    high[:, 1] = 100.0
    high[:, 3:7] = torch.from_numpy(task.model.jnt_range[3:7].mean(-1))
    fit = fit_constraints(simulator, high, rows[1], high)
    assert fit.transitions == 0
    assert str(fit).startswith("no contact and no limit acts")


SLED = """
<mujoco>
  <option timestep="0.004" cone="elliptic" impratio="3"/>
  <worldbody>
    <geom type="plane" size="9 9 1" pos="0 0 -0.35" friction="0.1"/>
    <body>
      <joint name="x" type="slide" axis="1 0 0" damping="1"/> <joint name="y" type="slide" axis="0 1 0" damping="1"/>
      <joint type="slide" axis="0 0 1" damping="1"/> <joint name="tilt" axis="1 1 0" damping="0.1" stiffness="3"/>
      <geom type="box" size="0.2 0.1 0.3" friction="0.6"/>
      <body pos="0 0.3 0">
        <joint name="arm" axis="0 0 1" damping="0.1"/>
        <geom type="capsule" size="0.1 0.2" friction="0.9"/>
      </body>
    </body>
  </worldbody>
  <actuator>
    <motor joint="x" gear="100"/><motor joint="y" gear="100"/><motor joint="tilt" gear="5"/><motor joint="arm"/>
  </actuator>
</mujoco>
"""


def written(mjcf: str, folder: Path) -> System:
    path = folder / "robot.xml"
    path.write_text(mjcf)
    return load_system(str(path))


def test_elliptic_cones_have_mujoco_s_friction_and_its_ratio(tmp_path: Path) -> None:
    system = written(SLED, tmp_path)
    rows = transitions(system, episodes=4, steps=120)
    simulator = with_true_masses(system, Statistics.of(system.facts, rows[0].numpy(), rows[2].numpy()))
    fit = fit_constraints(simulator, *rows)
    assert fit.seen > 4
    assert fit.after < 1e-5
    assert fit.unexplained < 0.01
    constraints = simulator.predictor.constraints
    assert constraints is not None
    assert constraints.contacts is not None
    numbers = Impedances.of(constraints.contacts.compliance.learned())
    kinds = set()
    for place, pair in enumerate(ContactGaps(system.facts.skeleton).pairs):
        if simulator.statistics.contact_share[place] > 0.01:
            kind = system.facts.skeleton.shapes[pair.second].kind
            kinds.add(kind)
            assert numbers.friction[place].item() == pytest.approx(0.9 if kind == "capsule" else 0.6, rel=0.01)
            assert numbers.ratio[place].item() == pytest.approx(3.0, rel=0.05)
    assert kinds == {"box", "capsule"}


BUMPERS = """
<mujoco>
  <option timestep="0.005"/>
  <worldbody>
    <body pos="-0.2 0 0"><joint name="left" type="slide" axis="1 0 0" range="-0.4 0.6" limited="true" damping="0.5"/>
      <geom size="0.15" mass="1" condim="1"/></body>
    <body pos="0.2 0 0"><joint name="right" type="slide" axis="1 0 0" range="-0.6 0.4" limited="true" damping="0.5"/>
      <geom size="0.15" mass="7" condim="1"/></body>
  </worldbody>
  <actuator><motor joint="left" gear="10"/><motor joint="right" gear="70"/></actuator>
</mujoco>
"""


def test_contacts_between_trees_give_the_ratio_of_their_masses(tmp_path: Path) -> None:
    system = written(BUMPERS, tmp_path)
    rows = transitions(system, episodes=4, steps=400)
    simulator = NeuralSimulator(system.facts, CONFIG, Statistics.of(system.facts, rows[0].numpy(), rows[2].numpy()))
    assert identify(simulator, *rows).exact
    predictor = simulator.predictor
    assert isinstance(predictor, ArticulatedPredictor)

    def ratio() -> float:
        masses = predictor.mechanics().pseudo_inertia[:, 3, 3] + predictor.mechanics().armature
        return float(masses[1] / masses[0])

    assert ratio() == pytest.approx(1.0, rel=0.1)  # Both are as heavy as water, and motion alone does not say more.
    fit = fit_constraints(simulator, *rows)
    assert fit.after < 1e-5
    assert ratio() == pytest.approx(7.0, rel=0.01)


BLOCKS = """
<mujoco>
  <option timestep="0.005"/>
  <worldbody>
    <geom type="plane" size="5 5 1"/>
    <body pos="0 0 0.12">
      <joint name="x" type="slide" axis="1 0 0" damping="0.5" range="-0.4 0.4" limited="true"/>
      <joint name="z" type="slide" axis="0 0 1"/>
      <joint name="tilt" axis="0 1 0" damping="0.01"/>
      <geom type="box" size="0.2 0.1 0.1" friction="0.6"/>
    </body>
    <body pos="0.1 0 0.4"><freejoint/><geom type="box" size="0.1 0.1 0.1" friction="0.9"/></body>
    <body pos="-0.1 0 0.5"><freejoint/><geom type="cylinder" size="0.08 0.1" friction="0.9"/></body>
  </worldbody>
  <actuator><motor joint="x" gear="100"/><motor joint="z" gear="50"/><motor joint="tilt" gear="5"/></actuator>
</mujoco>
"""


def test_boxes_and_cylinders_on_one_another_are_explained(tmp_path: Path) -> None:
    system = written(BLOCKS, tmp_path)
    rows = transitions(system, episodes=4, steps=120)
    simulator = with_true_masses(system, Statistics.of(system.facts, rows[0].numpy(), rows[2].numpy()))
    constraints = simulator.predictor.constraints
    assert constraints is not None
    assert constraints.contacts is not None
    fit = fit_constraints(simulator, *rows)
    assert fit.after < 1e-4
    assert fit.unexplained < 0.1
    kinds: set[frozenset[str]] = set()
    shapes, numbers = system.facts.skeleton.shapes, Impedances.of(constraints.contacts.compliance.learned())
    for place, pair in enumerate(constraints.contacts.pairs):
        kind = frozenset(shapes[shape].kind for shape in (pair.first, pair.second))
        if simulator.statistics.contact_share[place] > 0.02 and "plane" not in kind:
            kinds.add(kind)
            assert numbers.friction[place].item() == pytest.approx(0.9, rel=1e-4)
    assert kinds == {frozenset({"box"}), frozenset({"box", "cylinder"})}
