import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from mosim.agents import Policy, PolicyFacts, save_policy, write_onnx
from mosim.agents.policy import Activation
from mosim.cli.main import EXIT_MISTAKE, main
from mosim.core.errors import MosimError

SIZE = 5
OBSERVATIONS = np.random.default_rng(0).normal(0, 4, (9, SIZE))


def policy_of(activation: Activation = "tanh", squash: bool = False, layer_norm: bool = False) -> Policy:
    torch.manual_seed(0)
    facts = PolicyFacts(
        task="reacher-easy", observation_size=SIZE, action_size=2, hidden=(8, 7), clip=3.0, action_repeat=4,
        activation=activation, squash=squash, layer_norm=layer_norm,
    )  # fmt: skip
    policy = Policy(facts).requires_grad_(False)
    policy.mean.copy_(torch.randn(SIZE))
    policy.deviation.copy_(torch.rand(SIZE) + 0.1)
    policy.lower.copy_(torch.tensor([-2.0, 0.0]))
    return policy


@pytest.mark.parametrize(
    ("activation", "squash", "layer_norm"),
    [("tanh", False, False), ("relu", True, False), ("elu", False, True), ("silu", True, True)],
)
def test_actions_are_the_policy_s(activation: Activation, squash: bool, layer_norm: bool, tmp_path: Path) -> None:
    policy = policy_of(activation, squash, layer_norm)
    write_onnx(policy, tmp_path / "policy.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "policy.onnx")
    for rows in (1, 9):
        (actions,) = session.run(None, {"observation": OBSERVATIONS[:rows]})
        np.testing.assert_allclose(np.asarray(actions), policy.act(OBSERVATIONS[:rows]), rtol=0, atol=1e-6)
    assert np.ptp(policy.act(OBSERVATIONS), axis=0).min() > 0.01


def test_the_command_writes_what_runs_without_mosim_and_torch(tmp_path: Path, capsys) -> None:
    policy = policy_of()
    save_policy(policy, tmp_path / "policy")
    main(["export", str(tmp_path / "policy"), "--out", str(tmp_path / "policy.onnx")])
    assert "hold each action for 4 control steps" in " ".join(capsys.readouterr().out.split())
    np.save(tmp_path / "observations.npy", OBSERVATIONS)
    code = (
        "import sys, numpy, onnxruntime\n"
        "(actions,) = onnxruntime.InferenceSession('policy.onnx').run(None, {'observation': numpy.load(sys.argv[1])})\n"
        "numpy.save('actions.npy', actions); assert not {'torch', 'ray', 'mosim'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, "observations.npy"], cwd=tmp_path, check=True)
    np.testing.assert_allclose(np.load(tmp_path / "actions.npy"), policy.act(OBSERVATIONS), rtol=0, atol=1e-6)
    kept = {each.key: each.value for each in onnx.load(tmp_path / "policy.onnx").metadata_props}
    assert kept == {"task": "reacher-easy", "action_repeat": "4"}
    assert {each.name for each in tmp_path.iterdir()} == {"policy", "policy.onnx", "observations.npy", "actions.npy"}


def test_what_cannot_be_written_is_said(tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    save_policy(policy_of(), tmp_path / "policy")
    with pytest.raises(SystemExit) as ended:
        main(["export", str(tmp_path / "policy"), "--out", str(tmp_path / "policy.bin")])
    assert ended.value.code == EXIT_MISTAKE
    assert "the name must end in .onnx" in capsys.readouterr().err
    (tmp_path / "folder.onnx").mkdir()
    with pytest.raises(MosimError, match="it is a folder"):
        write_onnx(policy_of(), tmp_path / "folder.onnx")
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(MosimError, match=r"pip install 'mosim\[onnx\]'"):
        write_onnx(policy_of(), tmp_path / "policy.onnx")
    assert not (tmp_path / "policy.onnx").exists()
