"""Jobs side by side, where some of them fail in every way there is."""

import os
import sys
import time
from pathlib import Path

import pytest
from ray import cloudpickle

from mosim.core.errors import DivergenceError, MosimError
from mosim.experiments.study import BaselineJob, Failure, Job, JobEvent, Measurement, run_jobs
from mosim.experiments.study.jobs import OnEvent

# Ray's workers cannot import a test.
cloudpickle.register_pickle_by_value(sys.modules[__name__])


class Scripted(BaselineJob):
    """A job that ends as its name says."""

    def run(self, device: str, on_event: OnEvent) -> None:
        for index in range(5):
            on_event(JobEvent(index / 5, f"part {index} on {device}"))
        if self.name == "dies":
            time.sleep(0.2)
            os._exit(9)
        if self.name == "diverges":
            raise DivergenceError("it diverged")
        if self.name == "refuses":
            raise MosimError("it may not")
        if self.name == "crashes":
            raise ZeroDivisionError("by zero")


class Notes:
    """Writes down what it is told."""

    def __init__(self) -> None:
        self.started_names: list[str] = []
        self.told_words: dict[str, list[str]] = {}
        self.outcomes: dict[str, Failure | None] = {}

    def started(self, job: Job) -> None:
        self.started_names.append(job.name)

    def reported(self, job: Job, event: JobEvent) -> None:
        self.told_words.setdefault(job.name, []).append(event.status)

    def ended(self, job: Job, failure: Failure | None) -> None:
        self.outcomes[job.name] = failure


def test_a_failure_of_any_kind_is_named_and_the_others_finish(ray_of_two: None, tmp_path: Path) -> None:
    measurement = Measurement(source="", held_out="", held_out_id="", horizons=(1,), starts=1)
    names = ["first", "dies", "diverges", "refuses", "crashes", "last"]
    jobs = [Scripted(name=name, measurement=measurement, out=tmp_path, provenance={}) for name in names]
    notes = Notes()
    failures = run_jobs(jobs, 2, "cpu", notes)
    assert notes.started_names == names
    assert {name: failure.kind for name, failure in failures.items()} == {
        "dies": "died",
        "diverges": "diverged",
        "refuses": "refused",
        "crashes": "crashed",
    }
    assert failures["crashes"].reason == "ZeroDivisionError: by zero"
    assert "test_runner.py" in failures["crashes"].trace
    assert failures["refuses"].reason == "it may not"
    assert "its process died; --resume continues it" in failures["dies"].reason
    assert {name for name, failure in notes.outcomes.items() if failure is None} == {"first", "last"}
    for name in set(names) - {"dies"}:
        assert notes.told_words[name] == [f"part {index} on cpu" for index in range(5)], "nothing is lost or told twice"


@pytest.mark.timeout(120)
def test_no_job_waits_for_a_process_that_ray_has_no_cpu_for(ray_of_two: None, tmp_path: Path) -> None:
    """Two of three workers run, and keep their CPUs to the end."""
    measurement = Measurement(source="", held_out="", held_out_id="", horizons=(1,), starts=1)
    names = ["first", "second", "third"]
    jobs = [Scripted(name=name, measurement=measurement, out=tmp_path, provenance={}) for name in names]
    notes = Notes()
    assert run_jobs(jobs, 3, "cpu", notes) == {}
    assert notes.outcomes == dict.fromkeys(names)


def test_nothing_to_do_is_done(ray_of_two: None) -> None:
    assert run_jobs([], 2, "cpu", Notes()) == {}
