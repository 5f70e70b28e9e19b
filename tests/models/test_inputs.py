"""What correctors see of limits and contacts, against MuJoCo's own constraint rows."""

import mujoco
import numpy as np
import pytest
import torch

from mosim.models import CorrectorConfig, NetworkConfig, NeuralSimulator, NeuralSimulatorConfig, Statistics
from mosim.models.mosim.inputs import GAP_SCALE, LIMIT_SCALE, Contacts, LimitDepth
from mosim.tasks import load_task

SMALL = NetworkConfig(width=16, depth=1)


def test_limit_inputs_are_mujocos_depths_and_speeds() -> None:
    task = load_task("cheetah-run")
    facts, model, random = task.facts, task.model, np.random.default_rng(0)
    data = mujoco.MjData(model)
    inputs = LimitDepth(facts, Statistics.neutral(facts))
    limited = [joint for joint in facts.joints if joint.limited]
    seen = 0
    for _ in range(30):
        data.qpos[:] = random.normal(0, 1, model.nq)
        data.qvel[:] = random.normal(0, 1, model.nv)
        mujoco.mj_forward(model, data)
        qpos, qvel = (torch.tensor(part, dtype=torch.float32) for part in (data.qpos, data.qvel))
        depth, inside, speed = inputs(qpos, qvel, qvel).unflatten(-1, (3, len(limited)))
        rows = data.efc_type == mujoco.mjtConstraint.mjCNSTR_LIMIT_JOINT
        theirs = dict(zip(data.efc_id[rows], data.efc_pos[rows], strict=True))
        for place, joint in enumerate(limited):
            number = model.joint(joint.name).id
            assert bool(inside[place]) == (number in theirs)
            assert abs(depth[place].item()) * LIMIT_SCALE == pytest.approx(-theirs.get(number, 0.0), abs=1e-6)
            assert speed[place].item() == pytest.approx(qvel[joint.dof_address].item() * (number in theirs), abs=1e-6)
            seen += number in theirs
    assert seen > 20


@pytest.mark.parametrize("name", ["hopper-hop", "humanoid-walk"])
def test_contact_inputs_are_mujocos_distances_and_closing_speeds(name: str) -> None:
    task = load_task(name)
    facts, model, random = task.facts, task.model, np.random.default_rng(0)
    model.opt.jacobian = mujoco.mjtJacobian.mjJAC_DENSE
    data = mujoco.MjData(model)
    inputs = Contacts(facts, Statistics.neutral(facts)).double()
    places = inputs.size // 6
    seen = 0
    for _ in range(80):
        qpos = np.array(model.qpos0)
        mujoco.mj_integratePos(model, qpos, random.normal(size=model.nv), 0.6)
        data.qpos[:], data.qvel[:] = qpos, random.normal(size=model.nv)
        mujoco.mj_forward(model, data)
        state = [torch.tensor(part) for part in (data.qpos, data.qvel)]
        seen_inputs = inputs(*state, state[1])
        distance, touches, along = seen_inputs[: 3 * places].unflatten(-1, (3, places))
        sideways = seen_inputs[3 * places :].unflatten(-1, (places, 3))
        assert int(touches.sum()) == data.ncon
        for contact in data.contact:
            gap = int((distance * GAP_SCALE - max(contact.dist, -3 * GAP_SCALE)).abs().argmin())
            # Opposite edges of the friction pyramid leave the normal; a contact without friction is its normal alone.
            rows = data.efc_J.reshape(-1, model.nv)[contact.efc_address :][: 2 if contact.dim > 1 else 1]
            if contact.dist > -3 * GAP_SCALE and (distance == distance[gap]).sum() == 1:
                assert along[gap].item() == pytest.approx(rows.mean(0) @ data.qvel, abs=1e-5)
                assert abs(sideways[gap] @ torch.tensor(contact.frame[:3])) < 1e-6
                seen += 1
    assert seen > 10


@pytest.mark.parametrize("predictor", ["rigid_body", "network"])
@pytest.mark.parametrize("inputs", [(), ("limit_depth",), ("limit_depth", "contacts")])
def test_every_choice_of_parts_rolls_out_batched_and_alone(predictor: str, inputs: tuple[str, ...]) -> None:
    task = load_task("hopper-hop")
    corrector = CorrectorConfig.model_validate({"network": SMALL, "inputs": inputs})
    config = NeuralSimulatorConfig.model_validate({"predictor": predictor, "inertia": SMALL, "bias": SMALL})
    torch.manual_seed(0)
    model = NeuralSimulator(
        task.facts, config.model_copy(update={"correctors": (corrector,)}), Statistics.neutral(task.facts)
    )
    [corrector_weight] = (
        weight for name, weight in model.named_parameters() if name.endswith("0.network.output.weight")
    )
    torch.nn.init.normal_(corrector_weight)
    states = torch.stack([torch.from_numpy(task.reset([seed]).state) for seed in range(4)]).float()
    actions = torch.randn(4, 3, task.facts.nu)
    together = model.rollout(states, actions)
    torch.testing.assert_close(together[2], model.rollout(states[2], actions[2]))
    assert torch.isfinite(together).all()
