import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import mosim
from mosim.agents import Policy, PolicyFacts, save_policy
from mosim.core.errors import DamagedFileError, MosimError


@pytest.fixture
def policy() -> Policy:
    torch.manual_seed(0)
    facts = PolicyFacts(task="reacher-easy", observation_size=6, action_size=2, hidden=(5,), clip=10.0, action_repeat=2)
    made = Policy(facts)
    made.lower.fill_(-2.0)
    return made


def test_a_saved_policy_acts_the_same_without_rllib_and_ray(policy: Policy, tmp_path: Path) -> None:
    save_policy(policy, tmp_path / "policy")
    observations = np.random.default_rng(0).normal(0, 30, (4, 6))
    np.savetxt(tmp_path / "observations", observations)
    code = (
        "import sys, numpy, mosim; policy = mosim.load_policy(sys.argv[1]);"
        "print(repr(policy.act(numpy.loadtxt(sys.argv[2])).tolist())); assert 'ray.rllib' not in sys.modules"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "policy"), str(tmp_path / "observations")]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    np.testing.assert_array_equal(np.array(eval(printed), np.float32), policy.act(observations))  # noqa: S307
    actions = policy.act(observations * 100)
    assert (actions >= [-2, -2]).all()
    assert (actions <= [1, 1]).all()


def test_damage_is_named(policy: Policy, tmp_path: Path) -> None:
    save_policy(policy, tmp_path / "policy")
    path = tmp_path / "policy" / "policy.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DamagedFileError, match=r"policy\.safetensors is damaged"):
        mosim.load_policy(tmp_path / "policy")
    with pytest.raises(MosimError, match="does not exist"):
        mosim.load_policy(tmp_path / "nowhere")
