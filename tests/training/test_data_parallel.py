"""One simulator trained by several Ray workers at once is the simulator that one process trains."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import ray
from pendulum_run import make_trainer, trajectories
from replica_run import shortened

from mosim.core.errors import DivergenceError, MismatchError, MosimError
from mosim.training import Recipe, Report, TrainingData, load_simulator, train_data_parallel

pytestmark = pytest.mark.usefixtures("ray_of_two")

SHORT = shortened()
"""A predictor, a corrector, and a corrector trained on rollouts; by Adam, see `shortened`."""


def train(out: Path, on_report: Callable[[Report], None], recipe: Recipe = SHORT, **options) -> Path:
    data = ray.put(TrainingData.of(trajectories(), "test"))
    options = {"workers": 2, "device": "cpu"} | options
    return train_data_parallel(
        system="pendulum-swingup", recipe=recipe, data=data, out=out, on_report=on_report, **options
    )


def assert_same(found: Path, expected: Path) -> None:
    weights = load_simulator(expected).state_dict()
    for name, weight in load_simulator(found).state_dict().items():
        difference = (weight - weights[name]).norm()
        assert difference <= 1e-4 * weights[name].norm(), name


def worker_processes() -> list[int]:
    """Ray Train's workers that descend from this process, by their process id."""
    parents, workers = {}, []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            name = (folder / "cmdline").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue  # It has ended meanwhile.
        if "RayTrainWorker" in name:
            workers.append(int(folder.name))

    def is_mine(process: int) -> bool:
        while process in parents and process != os.getpid():
            process = parents[process]
        return process == os.getpid()

    return [process for process in workers if is_mine(process)]


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("alone")
    make_trainer(out, SHORT).run(lambda report: None)
    return out


@pytest.mark.slow
def test_two_workers_go_on_from_one_process_and_again_when_one_is_killed(
    alone: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = make_trainer(tmp_path, SHORT)
    next(first.reports())
    first.save()
    steps: list[int] = []

    def kill_one(report: Report) -> None:
        if not steps:
            os.kill(worker_processes()[-1], signal.SIGKILL)
        steps.append(report.step)

    path = train(tmp_path, kill_one, resume=True)
    assert steps[0] == 120
    assert set(steps) <= {120, 220, 240, 340, 360}
    assert "restart from the last checkpoint" in capsys.readouterr().out
    assert path.name == "step-00000360-stage-3"
    assert_same(tmp_path, alone)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoints", "run.json"]


def test_an_interrupted_training_of_two_workers_is_finished_by_one(alone: Path, tmp_path: Path) -> None:
    def interrupt(report: Report) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, interrupt)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoints", "run.json"]
    going_on = make_trainer(tmp_path, SHORT, resume=True)
    going_on.run(lambda report: None)
    assert_same(tmp_path, alone)


@pytest.mark.slow
def test_a_worker_s_mistake_is_the_caller_s_and_is_not_tried_again(tmp_path: Path) -> None:
    stage = SHORT.stages[0].model_copy(update={"learning_rate": 1e30, "warmup_steps": 0})
    reports: list[Report] = []
    with pytest.raises(DivergenceError, match=r"at rollout step 1 of 1.*are intact") as raised:
        train(tmp_path, reports.append, SHORT.model_copy(update={"stages": (stage,)}))
    assert "\n" not in str(raised.value)
    assert reports == []


def test_what_cannot_be_is_told_before_anything_is_started(alone: Path, tmp_path: Path) -> None:
    def unheard(report: Report) -> None:
        raise AssertionError

    with pytest.raises(MosimError, match=r"no room for --workers 3: each needs 1 CPU, and .* have room for 2\."):
        train(tmp_path, unheard, workers=3)
    with pytest.raises(MosimError, match=r"each needs 2 CPU, and .* have room for 1\."):
        train(tmp_path, unheard, threads=2)
    with pytest.raises(MosimError, match=r"each needs 1 CPU and 1 GPU, and .* have room for 0\."):
        train(tmp_path, unheard, device="cuda")
    with pytest.raises(MosimError, match="auto, cpu or cuda"):
        train(tmp_path, unheard, device="cuda:1")
    single = SHORT.stages[0].model_copy(update={"batch_size": 1})
    with pytest.raises(MosimError, match="batch_size 1, which is too small for 2 workers"):
        train(tmp_path, unheard, SHORT.model_copy(update={"stages": (single,)}))
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(MosimError, match="resume it with --resume"):
        train(alone, unheard)
    with pytest.raises(MismatchError, match=r"recipe\.seed was"):
        train(alone, unheard, SHORT.model_copy(update={"seed": 1}), resume=True)
    assert train(alone, unheard, resume=True).name == "step-00000360-stage-3"  # It is finished.
