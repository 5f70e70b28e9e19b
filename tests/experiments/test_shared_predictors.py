"""Predictors are trained once and shared, and so are the data."""

import json
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import ray
import torch
import yaml
from ray import tune

from mosim.data import Dataset
from mosim.experiments.sweep import SimulatorPlan, plan_sweep, read_sweep
from mosim.experiments.sweep.reports import SINCE_SECONDS
from mosim.experiments.tune import TrialResult, run_sweep
from mosim.experiments.tune.predictors import Answer, Registry, SharedPredictors
from mosim.experiments.tune.simulator_trial import _Trial
from mosim.training import Trainer, TrainingData, load_simulator, read_checkpoint

FILES = {"model.safetensors": b"weights", "checkpoint.json": b"{}"}


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(str(tmp_path / "predictors"))


def test_one_trial_trains_and_the_others_wait_until_they_have_the_very_bytes(registry: Registry) -> None:
    assert registry.ask("key", "a") == (Answer.YOURS, None)
    assert [registry.ask("key", trial) for trial in "bcd"] == [(Answer.WAIT, None)] * 3
    assert registry.ask("other key", "b") == (Answer.YOURS, None)
    assert registry.ask("key", "a") == (Answer.YOURS, None), "asked again after its process has died"
    registry.publish("key", FILES)
    assert [registry.ask("key", trial) for trial in "abcd"] == [(Answer.READY, FILES)] * 4
    registry.publish("key", FILES | {"model.safetensors": b"of another trial"})
    assert registry.ask("key", "e") == (Answer.READY, FILES), "all go on from one"


def test_what_is_given_up_is_another_one_s(registry: Registry) -> None:
    registry.ask("key", "a")
    registry.ask("other key", "b")
    registry.give_up("a")
    assert registry.ask("key", "c") == (Answer.YOURS, None)
    assert registry.ask("key", "d") == registry.ask("other key", "d") == (Answer.WAIT, None)


def test_who_is_silent_too_long_has_given_up(tmp_path: Path) -> None:
    registry = Registry(str(tmp_path), heartbeat_seconds=0.2)
    registry.ask("key", "a")
    for _ in range(4):
        time.sleep(0.1)
        registry.renew("a")
        assert registry.ask("key", "b") == (Answer.WAIT, None), "it is heard of"
    time.sleep(0.3)
    assert registry.ask("key", "b") == (Answer.YOURS, None)
    assert registry.ask("key", "a") == (Answer.WAIT, None)
    registry.renew("a")
    assert registry.ask("key", "c") == (Answer.WAIT, None), "what was another one's is not renewed with its own"


def test_a_registry_that_starts_again_finds_what_is_stored_and_nothing_half_written(tmp_path: Path) -> None:
    registry = Registry(str(tmp_path))
    registry.publish("whole", FILES)
    registry.publish("half", FILES)
    (tmp_path / "half" / "checkpoint.json").unlink()
    again = Registry(str(tmp_path))
    assert again.ask("whole", "a") == (Answer.READY, FILES)
    assert again.ask("half", "a") == (Answer.YOURS, None)
    again.publish("half", FILES)
    assert Registry(str(tmp_path)).ask("half", "b") == (Answer.READY, FILES)


def test_a_trial_waits_for_an_actor_s_answer_and_gets_a_checkpoint(tmp_path: Path, ray_of_two: None) -> None:
    actor: Any = ray.remote(Registry).options(num_cpus=0).remote(str(tmp_path / "stored"))
    first, second = SharedPredictors(actor, "first"), SharedPredictors(actor, "second")
    assert first.take("key", tmp_path) is None
    assert (first.claim("key"), second.claim("key")) == (True, False)
    trained = tmp_path / "trained"
    trained.mkdir()
    for name, content in FILES.items():
        (trained / name).write_bytes(content)

    @ray.remote(num_cpus=0)
    def publish_later() -> None:
        time.sleep(1.0)
        SharedPredictors(actor, "first").publish("key", trained)

    published = publish_later.remote()
    taken = second.take("key", tmp_path / "second")
    ray.get(published)
    assert taken is not None
    assert {file.name: file.read_bytes() for file in taken.iterdir()} == FILES
    ray.kill(actor)


RECIPE = {
    "model": {
        "inertia": {"width": 16, "depth": 1},
        "bias": {"width": 16, "depth": 1},
        "correctors": [{"network": {"width": 16, "depth": 1}}],
    },
    "stages": [
        {"name": "predictor", "learns": ["predictor"], "steps": 250, "batch_size": 64},
        {"name": "corrector", "learns": ["corrector/0"], "steps": 120, "batch_size": 64},
    ],
}


@pytest.fixture(scope="module")
def planned(tmp_path_factory: pytest.TempPathFactory, pendulum_data: Path) -> SimulatorPlan:
    """Two trials of one predictor."""
    folder = tmp_path_factory.mktemp("shared")
    sweep = {
        "name": "shared",
        "task": "pendulum-swingup",
        "data": {"path": str(pendulum_data)},
        "recipe": "recipe.yaml",
        "space": {
            "corrector": {
                "grid": {
                    "slow": {"stages.1.learning_rate": 0.001},
                    "narrow": {"model.correctors.0.network.width": 8},
                }
            }
        },
        "metric": "horizon_mse/16",
        "report_seconds": 0.2,
    }
    (folder / "recipe.yaml").write_text(yaml.safe_dump(RECIPE))
    (folder / "shared.yaml").write_text(yaml.safe_dump(sweep))
    plan = plan_sweep(read_sweep(folder / "shared.yaml"), folder / "shared.yaml")
    assert isinstance(plan, SimulatorPlan)
    return plan


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("storage")


@pytest.fixture(scope="module")
def results(planned: SimulatorPlan, pendulum_data: Path, storage: Path, ray_of_two: None) -> list[TrialResult]:
    return run_sweep(planned, str(storage), dataset=str(pendulum_data))


def first_reports(storage: Path) -> dict[str, dict[str, Any]]:
    files = storage.glob("tune/trial-*/result.json")
    return {file.parent.name.removeprefix("trial-"): json.loads(file.read_text().splitlines()[0]) for file in files}


def test_one_trial_of_a_sweep_trains_the_predictor_and_the_other_begins_after_it(
    results: list[TrialResult], storage: Path
) -> None:
    assert [result.status for result in results] == ["finished"] * 2
    assert [result.report["gradient_steps"] for result in results] == [370] * 2
    (stored,) = (storage / "predictors").iterdir()
    cursor = read_checkpoint(stored).cursor
    assert (cursor["stage"], cursor["total_steps"]) == (1, 250)
    spared = sorted(report[SINCE_SECONDS] for report in first_reports(storage).values())
    assert spared == [0.0, cursor["stages_seconds"]]


def test_each_trial_becomes_what_it_is_when_it_trains_alone(
    results: list[TrialResult], planned: SimulatorPlan, pendulum_data: Path, tmp_path: Path
) -> None:
    data = TrainingData.load(Dataset.open(pendulum_data))
    for index, result in enumerate(results):
        recipe = planned.recipe(result.draw, 0)
        alone = Trainer(system=planned.source, recipe=recipe, data=data, out=tmp_path / str(index))
        expected = load_simulator(alone.run(lambda report: None)).state_dict()
        shared = load_simulator(Path(f"{result.checkpoint}/seed-0")).state_dict()
        assert shared.keys() == expected.keys()
        for name, weight in expected.items():
            assert torch.equal(shared[name], weight), name


def test_a_sweep_that_goes_on_repeats_nothing(
    results: list[TrialResult], planned: SimulatorPlan, pendulum_data: Path, storage: Path
) -> None:
    before = first_reports(storage)
    again = run_sweep(planned, str(storage), dataset=str(pendulum_data), resume=True)
    assert sorted(result.trial for result in again) == sorted(result.trial for result in results)
    assert {result.trial: result.report for result in again} == {result.trial: result.report for result in results}
    assert first_reports(storage) == before


def test_a_trial_that_goes_on_in_the_middle_of_a_predictor_trains_it_for_others_too(
    planned: SimulatorPlan, pendulum_data: Path, tmp_path: Path, ray_of_two: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, draw = TrainingData.load(Dataset.open(pendulum_data)), planned.draws()[0]
    recipe = planned.recipe(draw, 0)
    before = Trainer(system=planned.source, recipe=recipe, data=data, out=tmp_path / "before")
    next(before.reports())
    shutil.copytree(before.save(), tmp_path / "kept" / "seed-0")
    (tmp_path / "kept" / "trial.json").write_text('{"wall_seconds": 1.0}')
    told: list[dict[str, Any]] = []
    monkeypatch.setattr(tune, "get_checkpoint", lambda: tune.Checkpoint.from_directory(str(tmp_path / "kept")))
    monkeypatch.setattr(tune, "report", lambda metrics, checkpoint: told.append(metrics))
    actor: Any = ray.remote(Registry).options(num_cpus=0).remote(str(tmp_path / "stored"))
    (tmp_path / "work").mkdir()
    trial = _Trial(planned, draw, data, SharedPredictors(actor, "mine"), "cpu", tmp_path / "work")
    shared = planned.predictor_key(recipe, data.dataset_id)
    assert shared is not None
    assert ray.get(actor.ask.remote(shared[1], "other")) == (Answer.WAIT, None)
    trial.run()
    answer, files = ray.get(actor.ask.remote(shared[1], "other"))
    assert (answer, files is not None) == (Answer.READY, True)
    assert told[0][SINCE_SECONDS] == before.seconds
    assert (told[-1]["stage"], told[-1]["gradient_steps"], told[-1]["finished"]) == (2, 370, True)
    told.clear()
    shutil.rmtree(tmp_path / "kept" / "seed-0")
    shutil.copytree(next((tmp_path / "work" / "run-0" / "checkpoints").glob("*-stage-2")), tmp_path / "kept" / "seed-0")
    (tmp_path / "again").mkdir()
    _Trial(planned, draw, data, SharedPredictors(actor, "mine"), "cpu", tmp_path / "again").run()
    ((stage, steps),) = [(each["stage"], each["gradient_steps"]) for each in told]
    assert (stage, steps) == (2, 370), "one that was through says so, and no more"
    ray.kill(actor)


def test_data_in_the_object_store_are_read_in_place(ray_of_two: None) -> None:
    megabytes = 64
    data: Any = ray.put({"states": np.ones((megabytes << 18, 1), np.float32)})

    @ray.remote(num_cpus=0)
    def read(reference: list[Any]) -> tuple[int, bool, float]:
        def private_bytes() -> int:
            lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
            return sum(int(line.split()[1]) << 10 for line in lines if line.startswith("Private_"))

        before = private_bytes()
        states: Any = ray.get(reference[0])
        states = states["states"]
        total = float(states.sum())
        return private_bytes() - before, states.flags.writeable, total

    for growth, writeable, total in ray.get([read.remote([data]) for _ in range(2)]):
        assert growth < (megabytes << 20) / 8, "of memory that no other process shares"
        assert not writeable
        assert total == megabytes << 18


def test_trials_get_their_data_read_only_and_training_takes_them_as_they_are(
    pendulum_data: Path, ray_of_two: None
) -> None:
    data = ray.get(ray.put(TrainingData.load(Dataset.open(pendulum_data))))
    assert not any(array.flags.writeable for array in (data.states, data.actions, data.offsets))
    states, actions = data.tensors(torch.device("cpu"))
    assert (states.data_ptr(), actions.data_ptr()) == (data.states.ctypes.data, data.actions.ctypes.data)
