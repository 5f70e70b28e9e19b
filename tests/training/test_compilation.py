"""torch.compile: the same training, and none where there is no compiler."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import mosim

HERE = Path(__file__).parent


pytestmark = pytest.mark.slow


@pytest.fixture
def environment() -> dict[str, str]:
    return os.environ | {"OMP_NUM_THREADS": "1"}


def _train(out: Path, compile_steps: bool, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """One short stage in a process of its own: as for users, without the tests' type checks."""
    program = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from pathlib import Path\n"
        "from pendulum_run import RECIPE, make_trainer\n"
        "from mosim.training import trainer\n"
        # SOAP's steps turn on rounding, so that two runs of it part.
        "stage = RECIPE.stages[0].model_copy(update={'steps': 40, 'optimizer': 'adam'})\n"
        "recipe = RECIPE.model_copy(update={'stages': (stage,)})\n"
        "make_trainer(Path(sys.argv[2]), recipe, compile_steps=bool(int(sys.argv[3]))).run(lambda report: None)\n"
    )
    words = [sys.executable, "-c", program, str(HERE), str(out), str(int(compile_steps))]
    return subprocess.run(words, env=environment, capture_output=True, text=True, check=True)


def test_without_a_compiler_training_says_so_and_goes_on(tmp_path: Path, environment: dict[str, str]) -> None:
    broken = environment | {"CXX": "/no/such/compiler", "TORCHINDUCTOR_CACHE_DIR": str(tmp_path / "cache")}
    said = _train(tmp_path / "run", True, broken)
    assert "torch.compile does not work here, so training continues without it" in said.stdout + said.stderr
    _train(tmp_path / "plain", False, environment)
    assert _weights(tmp_path / "run").keys() == _weights(tmp_path / "plain").keys()
    for name, weight in _weights(tmp_path / "run").items():
        assert torch.equal(weight, _weights(tmp_path / "plain")[name])


def test_a_compiled_training_is_the_same_up_to_rounding(tmp_path: Path, environment: dict[str, str]) -> None:
    said = _train(tmp_path / "run", True, environment)
    assert "torch.compile" not in said.stdout + said.stderr.replace("torch._prims", "")
    _train(tmp_path / "plain", False, environment)
    for name, weight in _weights(tmp_path / "run").items():
        torch.testing.assert_close(weight, _weights(tmp_path / "plain")[name], rtol=1e-2, atol=1e-4)


def _weights(out: Path) -> dict[str, torch.Tensor]:
    return mosim.load(out).state_dict()
