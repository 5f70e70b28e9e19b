"""Planners: exact cases, what they reach in MuJoCo itself, and what they refuse."""

from pathlib import Path

import numpy as np
import pytest
import torch

from mosim.agents import evaluate_policy, random_return
from mosim.agents.planning import (
    Demonstrations,
    DistillationConfig,
    Planner,
    PlannerConfig,
    PlannerKind,
    distil,
    evaluate_planner,
    imitated,
    planned_episode,
)
from mosim.agents.planning.objective import Objective
from mosim.agents.planning.planner import _noise
from mosim.cli.main import EXIT_MISTAKE, main
from mosim.core.errors import MosimError
from mosim.envs import EnvironmentCore
from mosim.models import MujocoDynamics, NeuralSimulator, NeuralSimulatorConfig, Statistics
from mosim.models.mosim.tree.articulated import ArticulatedPredictor
from mosim.tasks import Task, load_task
from own_tasks import Home, write_slider
from true_mechanics import true_mechanics

SMALL = PlannerConfig(planner="mppi", horizon=12, action_repeat=2, samples=32, iterations=3)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Task:
    Home.robot = str(write_slider(tmp_path_factory.mktemp("robot")))
    return load_task("own_tasks:Home", allow_imports=True)


def exact_simulator(task: Task) -> NeuralSimulator:
    """An articulated simulator with MuJoCo's own numbers."""
    config = NeuralSimulatorConfig(predictor="articulated", correctors=())
    simulator = NeuralSimulator(task.facts, config, Statistics.neutral(task.facts)).double()
    assert isinstance(simulator.predictor, ArticulatedPredictor)
    simulator.predictor.assign(true_mechanics(task.model, task.facts, simulator.predictor))
    return simulator.eval().requires_grad_(False)


def begun(task: Task, core: EnvironmentCore, *places: float):
    states = torch.tensor([[place, 0.0] for place in places], dtype=torch.float64)
    return core.begin(core.idle(len(states)), torch.arange(len(states)), states, torch.zeros(len(states), 0))[0]


def test_a_plan_is_worth_what_stepping_it_gives(home: Task) -> None:
    core = EnvironmentCore(home, MujocoDynamics(home))
    objective = Objective(core, 2, 0.9)
    plans = 2 * torch.rand(2, 3, 4, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64) - 1
    found = objective(begun(home, core, 0.5, -0.3), plans)
    assert found.shape == (2, 3)
    for row, place in enumerate((0.5, -0.3)):
        for sample in range(3):
            now, total = begun(home, core, place), 0.0
            for number, action in enumerate(plans[row, sample]):
                for _ in range(2):
                    now, step = core.step(now, objective.controls(action).unsqueeze(0))
                    total += 0.9**number * float(step.evaluation.reward)
            assert float(found[row, sample]) == pytest.approx(total, rel=1e-9)


def test_a_plan_is_worth_what_follows_it_too(home: Task) -> None:
    core = EnvironmentCore(home, MujocoDynamics(home))
    plans = 2 * torch.rand(2, 3, 4, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64) - 1
    now, gamma = begun(home, core, 0.5, -0.3), 0.9
    rewards = Objective(core, 2, gamma)(now, plans)
    ends: list[torch.Tensor] = []

    def value(observation: torch.Tensor) -> torch.Tensor:
        ends.append(observation)
        return observation[:, 0].square()

    worth = Objective(core, 2, gamma, value)(now, plans)
    (observation,) = ends
    torch.testing.assert_close(worth, rewards + gamma**4 * observation[:, 0].square().unflatten(0, (2, 3)))


def test_what_has_ended_gives_no_more_reward(home: Task) -> None:
    core = EnvironmentCore(home, MujocoDynamics(home))
    plans = torch.ones(1, 1, 40, 1, dtype=torch.float64)
    whole = Objective(core, 2, 1.0)(begun(home, core, 0.9), plans)
    assert float(whole) == float(Objective(core, 2, 1.0)(begun(home, core, 0.9), plans[:, :, :20])), "lost before"
    assert float(whole) < 10


@pytest.mark.parametrize("planner", ["mppi", "icem", "gradient"])
def test_it_brings_a_cart_home(home: Task, planner: PlannerKind) -> None:
    config = PlannerConfig(
        planner=planner, horizon=8, samples=4 if planner == "gradient" else 16, iterations=2, elites=4
    )
    model = exact_simulator(home) if planner == "gradient" else MujocoDynamics(home)
    found = evaluate_planner(home, model, config, episodes=2)
    random = random_return(home, episodes=2, action_repeat=2)
    # A reward of 1 a step is the most that there is, and more than the way home leaves.
    most = home.episode_steps or 0
    assert most - found.returns.mean < 0.2 * (most - random.mean)
    assert found.control_steps_per_second > 0


def test_a_plan_goes_on_where_the_last_one_ended(home: Task) -> None:
    core = EnvironmentCore(home, MujocoDynamics(home))
    planner = Planner(core, SMALL, 2)
    first = planner.act(begun(home, core, 0.5, -0.5))
    assert first.shape == (2, 1)
    assert (first.abs() <= 1).all()
    assert torch.sign(first).flatten().tolist() == [-1, 1], "each plan is of its own environment"
    assert torch.equal(planner.mean[:, -1], planner.mean[:, -2])
    assert planner.mean.abs().sum() > 0


def test_a_good_proposal_is_taken(home: Task) -> None:
    core = EnvironmentCore(home, MujocoDynamics(home))
    blind = SMALL.model_copy(update={"planner": "icem", "noise": 1e-9, "iterations": 1, "elites": 1})
    still = Planner(core, blind, 1).act(begun(home, core, 0.5))
    assert float(still) == pytest.approx(0, abs=1e-6)
    told = Planner(core, blind, 1).act(begun(home, core, 0.5), -torch.ones(1, 1, 12, 1, dtype=torch.float64))
    assert float(told) == -1


def test_an_episode_is_recorded(home: Task) -> None:
    episode = planned_episode(home, MujocoDynamics(home), SMALL, seconds=0.2)
    assert len(episode.rewards) == 10
    assert len(episode.states) == 10 * home.n_substeps + 1


def test_noise_has_variance_one_and_its_spectrum() -> None:
    random = torch.Generator().manual_seed(0)
    for exponent in (0.0, 2.0):
        noise = _noise(torch.zeros(4, 32, 2, dtype=torch.float64), 256, exponent, random)
        assert noise.shape == (4, 256, 32, 2)
        assert float(noise.std()) == pytest.approx(1, abs=0.05)
        power = torch.fft.rfft(noise, dim=2).abs().square().mean((0, 1, 3))
        slope = np.polyfit(np.log(np.arange(2, 15)), np.log(power[2:15].numpy()), 1)[0]
        assert slope == pytest.approx(-exponent, abs=0.15)


def test_where_there_is_no_gradient_it_says_what_to_use(home: Task) -> None:
    gradient = SMALL.model_copy(update={"planner": "gradient"})
    for name, sentence in {
        "hopper-hop": "needs a reward with a gradient, which hopper-hop does not have; use mppi or icem",
        "reacher-easy": "the gradient of reacher-easy's reward is zero for random actions",
    }.items():
        task = load_task(name)
        with pytest.raises(MosimError, match=sentence):
            Planner(EnvironmentCore(task, exact_simulator(task)), gradient, 1)
    with pytest.raises(ValueError, match="elites is 9; it must be at most samples, which is 8"):
        PlannerConfig(planner="icem", samples=8, elites=9)


def test_the_command_plans_and_says_how_well(home: Task, tmp_path: Path, capsys, monkeypatch) -> None:
    from mosim.cli.main import main
    from mosim.training.checkpoint import save_checkpoint

    monkeypatch.chdir(tmp_path)
    simulator = exact_simulator(home).float()
    save_checkpoint(
        tmp_path / "sim" / "checkpoints", "step-1", simulator, {}, system="own_tasks:Home", recipe={},
        dataset_id="none", cursor={"finished": True},
    )  # fmt: skip
    quick = ["--episodes", "2", "--horizon", "6", "--samples", "8", "--iterations", "1", "--tracking-uri", "off"]
    main(["plan", "sim", "--task", "own_tasks:Home", *quick, "--compare", "--no-video"])
    said = capsys.readouterr().out
    assert "icem in the simulator" in said
    assert "icem in MuJoCo" in said
    assert (tmp_path / "sim" / "plan" / "plan.json").is_file()
    with pytest.raises(SystemExit) as end:
        main(["plan", "sim", "--task", "own_tasks:Home", *quick, "--planner", "gradient", "--compare"])
    assert end.value.code == 2
    assert "MuJoCo gives no gradients" in capsys.readouterr().err


def test_a_policy_imitates_what_is_shown(home: Task) -> None:
    random = np.random.default_rng(0)
    observations = random.normal(0, 3, (400, home.observation_size)) + 5
    actions = np.clip(0.3 * observations[:, :1] - 1.5, -1, 1)
    config = DistillationConfig(hidden=(32,), gradient_steps=600)
    policy = imitated(home, Demonstrations(observations, actions), SMALL, config)
    low, high = home.facts.control_lower[0], home.facts.control_upper[0]
    assert (low, high) == (-1, 1)
    assert np.abs(policy.act(observations) - actions).mean() < 0.1
    again = imitated(home, Demonstrations(observations, actions), SMALL, config)
    assert np.array_equal(policy.act(observations), again.act(observations))


def test_a_planner_s_policy_is_nearly_as_good_as_the_planner(home: Task) -> None:
    config = DistillationConfig(rounds=2, envs=4, actions=20, hidden=(32,), gradient_steps=400)
    told: list[int] = []
    policy = distil(home, exact_simulator(home), SMALL, config, told.append)
    assert told == [0] * 20 + [1] * 20
    assert policy.facts.action_repeat == SMALL.action_repeat
    planner = evaluate_planner(home, MujocoDynamics(home), SMALL, episodes=4).returns.mean
    found = evaluate_policy(policy.act, home, 4, action_repeat=2).mean
    random = random_return(home, 4, action_repeat=2).mean
    assert found - random > 0.8 * (planner - random)


def test_a_folder_that_exists_is_not_replaced(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["plan", str(tmp_path / "none"), "--task", "pendulum-swingup", "--distil", str(tmp_path)])
    assert ended.value.code == EXIT_MISTAKE
    assert "exists already; give a new folder" in " ".join(capsys.readouterr().err.split())
