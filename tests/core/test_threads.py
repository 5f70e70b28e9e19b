"""mosim's own calls compute on one of torch's threads and leave the process's as they are."""

import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from torch.nn.modules.module import register_module_forward_pre_hook

import mosim
from mosim.agents.policy import Policy, PolicyFacts
from mosim.core.errors import MosimError
from mosim.data import PoissonBehaviour, Trajectories, collect_episode
from mosim.envs import MoSimVectorEnv
from mosim.evaluation import compare, draw_starts, measure_rollouts, rollout_speed
from mosim.models import NeuralSimulator, Persistence
from mosim.tasks import load_task
from mosim.training import Recipe, Trainer, TrainingData

TASK = "reacher-easy"
PROCESS = 3
"""Torch's threads of the process, as its owner has set them."""


def thread_counts() -> set[int]:
    """What this thread of Python would compute on: torch's own operations, OpenMP and MKL."""
    told = torch.__config__.parallel_info()
    counts = re.findall(r"(?:at::get_num_threads|(?:omp|mkl)_get_max_threads)\(\) : (\d+)", told)
    return {torch.get_num_threads(), *map(int, counts)}


def in_another_thread(function: Callable[[], Any]) -> Any:
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(function()))
    thread.start()
    thread.join()
    return found[0]


@pytest.fixture(autouse=True)
def process_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(PROCESS)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def within() -> Iterator[list[tuple[set[int], set[int]]]]:
    """What was seen whenever a layer was called: by the thread that called it, and by one that had just begun."""
    seen: list[tuple[set[int], set[int]]] = []

    def look(module: torch.nn.Module, inputs: Any) -> None:
        del inputs
        if not [*module.children()] and len(seen) < 20:
            seen.append((thread_counts(), in_another_thread(thread_counts)))

    hook = register_module_forward_pre_hook(look)
    yield seen
    hook.remove()


@pytest.fixture(scope="module")
def trajectories() -> Trajectories:
    task = load_task(TASK)
    return Trajectories.of(task.facts, [collect_episode(task, PoissonBehaviour(), 60, 0, index) for index in range(4)])


def trainer(trajectories: Trajectories, out: Path) -> Trainer:
    network = {"width": 16, "depth": 1}
    stages = [{"name": "a", "learns": ["predictor"], "steps": 3, "batch_size": 16}]
    recipe = Recipe.model_validate({"model": {"inertia": network, "bias": network}, "stages": stages})
    return Trainer(system=TASK, recipe=recipe, data=TrainingData.of(trajectories, "test"), out=out)


@pytest.fixture(scope="module")
def checkpoint(trajectories: Trajectories, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("simulator")
    trainer(trajectories, out).run(lambda report: None)
    return out


def made(checkpoint: Path, num_envs: int = 4) -> MoSimVectorEnv:
    envs = gymnasium.make_vec(f"MoSim/{TASK}-v0", num_envs=num_envs, checkpoint=checkpoint).unwrapped
    assert isinstance(envs, MoSimVectorEnv)
    envs.reset(seed=0)
    return envs


def policy() -> Policy:
    torch.manual_seed(0)
    facts = PolicyFacts(task=TASK, observation_size=6, action_size=2, hidden=(16,), clip=10.0, action_repeat=1)
    return Policy(facts).eval().requires_grad_(False)


def step_one(checkpoint: Path) -> None:
    env = gymnasium.make(f"MoSim/{TASK}-v0", checkpoint=checkpoint)
    env.reset(seed=0)
    env.step(np.zeros(2, np.float32))


Call = Callable[[Path, Trajectories, Path], object]


def neural_simulator(path: Path) -> NeuralSimulator:
    model = mosim.load(path)
    assert isinstance(model, NeuralSimulator)
    return model


CALLS: dict[str, Call] = {
    "a batch of envs": lambda path, data, out: made(path).step(np.zeros((4, 2), np.float32)),
    "one env": lambda path, data, out: step_one(path),
    "rollout": lambda path, data, out: mosim.load(path).rollout(torch.zeros(8, 4), torch.zeros(8, 5, 2)),
    "step": lambda path, data, out: mosim.load(path).step(torch.zeros(8, 4), torch.zeros(8, 2)),
    "acceleration": lambda path, data, out: neural_simulator(path).acceleration(
        torch.zeros(8, 2), torch.zeros(8, 2), torch.zeros(8, 2)
    ),
    "policy": lambda path, data, out: policy().act(np.zeros((8, 6))),
    "training": lambda path, data, out: trainer(data, out).run(lambda report: None),
    "horizon errors": lambda path, data, out: measure_rollouts(
        mosim.load(path), data, 3, draw_starts(data, 3, 4, seed=0)
    ),
    "comparison": lambda path, data, out: compare(mosim.load(path), load_task(TASK), data.episode(0)),
    "rollout speed": lambda path, data, out: rollout_speed(mosim.load(path), data.states, data.actions),
}


@pytest.mark.parametrize("name", CALLS)
def test_a_call_computes_on_one_thread_and_the_process_keeps_its_own(
    name: str, checkpoint: Path, trajectories: Trajectories, tmp_path: Path, within: list
) -> None:
    CALLS[name](checkpoint, trajectories, tmp_path / "out")
    assert within, "no layer was called"
    assert [mine for mine, _ in within] == [{1}] * len(within)
    assert [others for _, others in within] == [{PROCESS}] * len(within)
    assert thread_counts() == in_another_thread(thread_counts) == {PROCESS}


def test_the_caller_may_choose(checkpoint: Path, within: list) -> None:
    envs, simulator = made(checkpoint), mosim.load(checkpoint)
    within.clear()
    with mosim.torch_threads(2):
        envs.step(np.zeros((4, 2), np.float32))
        simulator.rollout(torch.zeros(8, 4), torch.zeros(8, 5, 2))
        with mosim.torch_threads(4):
            assert thread_counts() == {4}
        assert thread_counts() == {2}
        assert in_another_thread(thread_counts) == {PROCESS}
    assert [mine for mine, _ in within] == [{2}] * len(within)
    assert thread_counts() == {PROCESS}
    within.clear()
    envs.step(np.zeros((4, 2), np.float32))
    assert within[0][0] == {1}, "the choice has ended with its block"


class Breaks(Persistence):
    def step(self, carry: torch.Tensor, action: torch.Tensor) -> torch.Tensor:
        raise RuntimeError(f"on {torch.get_num_threads()} threads")


def test_what_raises_gives_the_threads_back() -> None:
    task = load_task(TASK)
    envs = MoSimVectorEnv(task, Breaks(task.facts), 2)
    envs.reset(seed=0)
    with pytest.raises(RuntimeError, match="on 1 threads"):
        envs.step(np.zeros((2, 2), np.float32))
    assert thread_counts() == {PROCESS}
    with pytest.raises(RuntimeError, match="on 1 threads"):
        envs.dynamics.rollout(envs.state, torch.zeros(2, 1, 2))
    assert thread_counts() == {PROCESS}
    with pytest.raises(RuntimeError, match="on 2 threads"), mosim.torch_threads(2):
        envs.step(np.zeros((2, 2), np.float32))
    assert thread_counts() == {PROCESS}


def test_envs_in_several_threads_at_once_do_not_disturb_each_other_or_the_rest(checkpoint: Path) -> None:
    batches = [made(checkpoint) for _ in range(2)]
    seen: list[set[int]] = []
    begin = threading.Barrier(3)

    def drive(envs: MoSimVectorEnv) -> None:
        begin.wait()
        for _ in range(30):
            envs.step(np.zeros((4, 2), np.float32))
            seen.append(thread_counts())

    drivers = [threading.Thread(target=drive, args=(envs,)) for envs in batches]
    for driver in drivers:
        driver.start()
    begin.wait()
    while any(driver.is_alive() for driver in drivers):
        seen += [thread_counts(), in_another_thread(thread_counts)]
    assert len(seen) > 60
    assert all(counts == {PROCESS} for counts in seen)
    assert thread_counts() == in_another_thread(thread_counts) == {PROCESS}


def test_results_do_not_depend_on_the_process_s_threads(checkpoint: Path) -> None:
    def computed(process: int) -> list[np.ndarray]:
        torch.set_num_threads(process)
        envs = made(checkpoint, 512)
        envs.action_space.seed(0)
        stepped = [part for _ in range(5) for part in envs.step(envs.action_space.sample())[:2]]
        rolled = mosim.load(checkpoint).rollout(envs.state, torch.ones(512, 10, 2)).numpy()
        return [*stepped, rolled, policy().act(stepped[-2])]

    for one, several in zip(computed(1), computed(4), strict=True):
        np.testing.assert_array_equal(one, several)


def test_a_rollout_s_gradient_is_the_caller_s(checkpoint: Path) -> None:
    seen: list[int] = []
    state = torch.zeros(8, 4, requires_grad=True)
    predicted = mosim.load(checkpoint).rollout(state, torch.zeros(8, 5, 2))
    predicted.register_hook(lambda gradient: seen.append(torch.get_num_threads()))
    predicted.sum().backward()
    assert seen == [PROCESS]
    assert state.grad is not None
    assert torch.isfinite(state.grad).all()


@pytest.mark.parametrize("count", [0, -1, 1025, 2.0, "2"])
def test_a_count_that_torch_cannot_have_is_refused(count: Any) -> None:
    with pytest.raises(MosimError, match=r"a whole number from 1 to 1024"), mosim.torch_threads(count):
        raise AssertionError
    assert thread_counts() == {PROCESS}
