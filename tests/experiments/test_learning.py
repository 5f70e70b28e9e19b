"""`mosim learn` in small: rounds on real components, and what they count; killed and resumed."""

import json
import random
from pathlib import Path

import numpy as np
import pytest
import torch

from mosim.agents import load_policy, read_returns
from mosim.cli.main import main
from mosim.core.errors import MosimError
from mosim.data import Dataset, PolicyBehaviour, collect
from mosim.experiments.rounds import LearningRow, read_learning
from mosim.training import TrainingData, find_checkpoint, load_simulator
from mosim_process import run_mosim, started_mosim

QUICK = [
    "--true-steps", "600", "--rounds", "3", "--workers", "1", "--tracking-uri", "off",
    "--policy.control-steps", "6000", "--policy.eval-interval", "3000", "--policy.eval-episodes", "2",
    "--policy.checkpoint-interval", "1000", "--policy.num-envs", "8", "--policy.rollout-fragment-length", "32",
    "--policy.minibatch-size", "64",
]  # fmt: skip


COMMAND = ["learn", "pendulum-swingup", "--out", "out", *QUICK]


def run(*arguments: str) -> int:
    try:
        main(["learn", *arguments])
    except SystemExit as exit_:
        return int(exit_.code or 0)
    return 0


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three rounds, never stopped."""
    folder = tmp_path_factory.mktemp("learn")
    done = run_mosim(*COMMAND, cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "round 2: 600 true steps" in done.stdout
    assert "mosim ui" not in done.stdout, "there is nothing to open where nothing is tracked"
    return folder / "out"


def test_every_true_step_is_counted_once(unbroken: Path) -> None:
    rows = read_learning(unbroken / "learning.csv")
    assert [row.round for row in rows] == [0, 1, 2]
    assert [row.true_steps for row in rows] == [200, 400, 600]
    datasets = [Dataset.open(unbroken / "data" / f"round-{number}") for number in range(3)]
    assert sum(dataset.metadata.physics_steps for dataset in datasets) == 600  # A control step is a physics step here.
    assert [row.episodes for row in rows] == [1, 2, 3]
    assert np.isnan(rows[0].new_data_mse_16)
    assert all(row.new_data_mse_16 < 1e-3 for row in rows[1:])
    assert (unbroken / "learning.png").stat().st_size > 0


def test_each_round_goes_on_from_the_one_before(unbroken: Path) -> None:
    steps = [read_returns(unbroken / f"rounds/{number}/policy/returns.csv")[-1].steps for number in range(3)]
    assert steps[0] >= 2000
    assert steps[1] - steps[0] < 2500, "the second round trains for its own share alone"
    assert steps[2] >= 6000
    for number in (1, 2):
        behaviour = Dataset.open(unbroken / "data" / f"round-{number}").metadata.behaviour
        assert isinstance(behaviour, PolicyBehaviour)
        assert Path(behaviour.policy) == (unbroken / f"rounds/{number - 1}/policy/policy").resolve()
        assert behaviour.noise == 0.3
    first, second = (load_policy(unbroken / f"rounds/{number}/policy/policy") for number in (0, 1))
    weights = [torch.cat([part.flatten() for part in each.state_dict().values()]) for each in (first, second)]
    # A policy that began anew would have nothing in common with the one before.
    assert torch.corrcoef(torch.stack(weights))[0, 1] > 0.9
    assert not torch.equal(*weights)


def test_a_simulator_is_trained_on_the_data_of_all_rounds(unbroken: Path) -> None:
    datasets = [Dataset.open(unbroken / "data" / f"round-{number}") for number in range(3)]
    data = TrainingData.load(*datasets)
    assert data.episodes == 3
    assert data.dataset_id == "+".join(dataset.id for dataset in datasets)
    np.testing.assert_array_equal(data.states[201:402], datasets[1].load().states.astype(np.float32))
    identity = json.loads((unbroken / "rounds/2/simulator/run.json").read_text())
    assert data.dataset_id in identity.values()


def test_a_run_that_is_done_is_not_repeated_and_another_is_refused(
    unbroken: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    before = (unbroken / "learning.csv").read_text()
    given = ["pendulum-swingup", "--out", str(unbroken), *QUICK]
    assert run(*given) == 2
    assert "holds a run already; resume it with --resume" in capfd.readouterr().err
    assert run(*given, "--resume") == 0
    assert "round 2: already finished" in capfd.readouterr().out
    assert (unbroken / "learning.csv").read_text() == before
    assert run(*given, "--resume", "--noise", "0.1") == 2
    assert "noise was 0.3 and is 0.1" in capfd.readouterr().err


def test_the_steps_of_initial_data_count(tmp_path: Path, ray_of_two: None, capfd: pytest.CaptureFixture[str]) -> None:
    dataset = collect("pendulum-swingup", tmp_path / "data", 3, 200, workers=1)
    given = ["pendulum-swingup", *QUICK, "--initial", dataset.uri]
    assert run(*given, "--out", str(tmp_path / "none")) == 2
    assert "--true-steps 600 leaves no step for 2 rounds, since the initial dataset has 600." in capfd.readouterr().err
    assert not (tmp_path / "none").exists()
    few = ["599" if word == "600" else word for word in given]
    assert run(*few, "--out", str(tmp_path / "none")) == 2
    assert "the initial dataset has 600 steps, more than --true-steps 599." in capfd.readouterr().err
    assert run("cartpole-swingup", *QUICK, "--initial", dataset.uri) == 2
    assert "does not fit task cartpole-swingup" in capfd.readouterr().err
    given[given.index("--rounds") + 1] = "1"
    assert run(*given, "--out", str(tmp_path / "one")) == 0
    [row] = read_learning(tmp_path / "one" / "learning.csv")
    assert (row.true_steps, row.episodes) == (600, 3)


def test_a_damaged_curve_is_told(tmp_path: Path) -> None:
    file = tmp_path / "learning.csv"
    assert read_learning(file) == []
    for text in ("", "round,steps\n", ",".join(LearningRow._fields) + "\n1,2,x,4,5,6,7,8\n"):
        file.write_text(text)
        with pytest.raises(MosimError, match="is damaged"):
            read_learning(file)


@pytest.mark.slow
def test_killed_and_resumed_it_comes_to_the_same(unbroken: Path, tmp_path: Path) -> None:
    out, chance, killed = tmp_path / "out", random.Random(0), 0
    whole = sum(row.seconds for row in read_learning(unbroken / "learning.csv"))
    for _ in range(30):
        with started_mosim(*COMMAND, "--resume", cwd=tmp_path) as process:
            try:
                process.wait(chance.uniform(0.15, 0.35) * whole if killed < 3 else None)
                break
            except TimeoutError:
                killed += 1
    assert killed, "more often, the less the machine does beside"
    rows = [[row._replace(seconds=0.0) for row in read_learning(each / "learning.csv")] for each in (unbroken, out)]
    assert str(rows[0]) == str(rows[1])
    for load, part in ((load_policy, "policy/policy"), (_simulator, "simulator")):
        weights = [load(each / "rounds" / "2" / part).state_dict() for each in (unbroken, out)]
        assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def _simulator(folder: Path):
    return load_simulator(find_checkpoint(folder))
