"""A pool's work is never held by a worker that does not run."""

import contextlib
import os
import signal
import sys
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path

import pytest
from ray import cloudpickle

from mosim.core.errors import MosimError
from mosim.jobs.worker_pool import WorkerPool

# Ray's workers cannot import a test.
cloudpickle.register_pickle_by_value(sys.modules[__name__])

pytestmark = [pytest.mark.usefixtures("ray_of_two"), pytest.mark.timeout(120)]


class Squaring:
    """Squares numbers, and has more to say of some: the folder says what has happened already."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def ready(self) -> None:
        if (self._folder / "refuse").exists():
            raise MosimError("it may not begin")

    def ping(self) -> None:
        pass

    def square(self, number: int) -> int:
        if number == 0 and self._first_time():
            os.kill(os.getpid(), signal.SIGSTOP)  # It neither works nor answers, and Ray takes it for alive.
            time.sleep(600)  # Threads stop one after another.
        if number < 0:
            raise ValueError(f"{number} is negative")
        return number**2

    def die(self, number: int) -> None:
        del number
        os._exit(1)

    def _first_time(self) -> bool:
        try:
            with (self._folder / "frozen").open("x") as file:
                file.write(str(os.getpid()))
        except FileExistsError:
            return False
        return True


@pytest.fixture
def frozen(tmp_path: Path) -> Iterator[Path]:
    """The file that has the process id of a frozen worker, which is ended at the end."""
    file = tmp_path / "frozen"
    yield file
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        os.kill(int(file.read_text()), signal.SIGKILL)


def squares(pool: WorkerPool[int], numbers: range) -> tuple[dict[int, int], list[int]]:
    """The squares of numbers, and which were given out again since their worker was lost."""
    waiting, results, lost = deque(numbers), {}, []
    while len(results) < len(numbers):
        while waiting and pool.idle:
            pool.assign(waiting.popleft(), "square")
        outcome = pool.wait()
        if outcome is None:
            continue
        if outcome.lost:
            lost.append(outcome.work)
            waiting.append(outcome.work)
        else:
            results[outcome.work] = outcome.result
    return results, lost


def test_work_of_a_worker_that_stops_answering_goes_to_an_idle_one(
    tmp_path: Path, frozen: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The frozen worker keeps its CPU, so its replacement has none: only the survivor can do the work."""
    monkeypatch.setattr("mosim.jobs.worker_pool._CHECK_SECONDS", 0.5)
    with WorkerPool[int](2, Squaring, (tmp_path,), num_cpus=1) as pool:
        results, lost = squares(pool, range(4))
    assert results == {0: 0, 1: 1, 2: 4, 3: 9}
    assert 0 in lost
    assert frozen.exists()


def test_work_never_waits_for_a_worker_without_a_cpu(tmp_path: Path) -> None:
    with WorkerPool[int](5, Squaring, (tmp_path,), num_cpus=1) as pool:
        results, lost = squares(pool, range(1, 6))
        assert pool.idle <= 2
    assert results == {number: number**2 for number in range(1, 6)}
    assert not lost


def test_what_a_method_raises_is_an_outcome_and_the_worker_stays(tmp_path: Path) -> None:
    with WorkerPool[int](1, Squaring, (tmp_path,), num_cpus=1) as pool:
        outcomes = []
        for number in (-1, 3):
            while not pool.idle:
                pool.wait()
            pool.assign(number, "square")
            while (outcome := pool.wait()) is None:
                pass
            outcomes.append(outcome)
    failed, done = outcomes
    assert "-1 is negative" in str(failed.error)
    assert (failed.work, failed.result, failed.lost) == (-1, None, "")
    assert (done.work, done.result, done.error) == (3, 9, None)


def end_workers(pool: WorkerPool[int]) -> None:
    """Gives every worker deadly work, for as long as there are any."""
    deadline = time.monotonic() + 100
    while time.monotonic() < deadline:
        if pool.idle:
            pool.assign(1, "die")
        outcome = pool.wait()
        assert outcome is None or outcome.lost


def test_workers_that_are_lost_again_and_again_end_the_pool(tmp_path: Path) -> None:
    pool = WorkerPool[int](1, Squaring, (tmp_path,), max_losses=2, num_cpus=1)
    with pool, pytest.raises(MosimError) as ended:
        end_workers(pool)
    sentence = str(ended.value)
    assert sentence.startswith("3 workers were lost, the last one with: The actor died")
    assert sentence.endswith("If memory is short, use fewer workers. Finished work is kept.")
    assert "\x1b" not in sentence


def test_a_worker_that_refuses_to_begin_ends_the_pool(tmp_path: Path) -> None:
    (tmp_path / "refuse").touch()
    pool = WorkerPool[int](2, Squaring, (tmp_path,), num_cpus=1)
    with pool, pytest.raises(MosimError, match="it may not begin"):
        squares(pool, range(1))
