"""How fast policies train in a simulator, from the bare model to sampling and learning: env control steps a second.

    python benchmarks/policy_speed.py              # writes benchmarks/results/policy_speed.csv
    python benchmarks/policy_speed.py --profile    # where the time of an iteration goes instead, as a table

| item | measures |
| --- | --- |
| rollout | the model's bare rollout, from the states of the envs |
| environment | the vector env: observation, reward, limits and resets too |
| sampling | RLlib's algorithm sampling in it: policy, observation filter and episodes too; nothing is learned |
| training | sampling and learning, as `mosim zero-shot` does |
| sampling or training, no physics | the same over an env of the same sizes that does nothing |
| sampling or training, no physics, RLlib's own | the same with RLlib's env runner, filter and learner, not mosim's |

An action is held for as many control steps as the recipe says, and counts as so many. What is measured of one number of
envs is measured in turn, round after round; the medians are saved, with the lowest and the highest. Envs are spread
over their episodes, so that each round has its share of resets. Without `--checkpoint` the simulator has the shipped
recipe's sizes and the statistics of standard data, and weights drawn at random. SAC makes as many updates an action as
its recipe, whatever the number of envs.
"""

import itertools
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, NamedTuple, cast

import gymnasium
import numpy as np
import torch
import tyro
from common import RESULTS, prepare, write_rows
from ray.rllib.algorithms.algorithm import Algorithm
from ray.rllib.connectors.env_to_module import MeanStdFilter
from ray.rllib.env.single_agent_env_runner import SingleAgentEnvRunner
from sampling_profiler import Part, SamplingProfiler

from mosim.agents import RLlibRecipe, SACRecipe, load_policy_recipe
from mosim.agents.rllib.algorithm import make_algorithm
from mosim.core.console import console, quiet
from mosim.core.threads import torch_threads
from mosim.envs import MoSimVectorEnv, load_dynamics
from mosim.jobs import ray_cluster
from mosim.models import MujocoDynamics
from mosim.registration import environment_id
from mosim.tasks import Task, load_task
from mosim.training import load_recipe
from mosim.training.checkpoint import save_checkpoint

ALGORITHMS = ("PPO", "SAC")
"""Those with a recipe of their own that are measured."""

_RLLIBS_OWN = ("PPO",)
"""Those that are measured as RLlib has them, too."""

_TARGET, _TARGET_ENVS = 5000, 256
"""Control steps a second of PPO, sampling and learning."""

_NO_PHYSICS = "no_physics"

_PARTS: tuple[Part, ...] = (
    ("episodes' starts", "mosim/envs/vector_env.py", ("_begin",)),
    ("simulator", "mosim/models/", ()),
    ("observation and reward", "mosim/tasks/", ()),
    ("limits and the rest of the env", "mosim/envs/", ()),
    ("observation filter", "mosim/agents/rllib/observation_filter.py", ()),
    ("policy's actions", "mosim/agents/rllib/env_runner.py", ("_act", "to_control")),
    ("episodes for RLlib", "mosim/agents/rllib/env_runner.py", ("_episodes",)),
    ("metrics", "ray/rllib/utils/metrics/", ()),
    ("rest of the env runner", "mosim/agents/rllib/env_runner.py", ()),
    ("replay", "mosim/agents/rllib/replay_buffer.py", ()),
    ("learner's connectors", "ray/rllib/connectors/", ()),
    ("minibatches", "ray/rllib/utils/minibatch_utils.py", ()),
    ("loss, gradients, Adam", "mosim/agents/rllib/learners", ()),
    ("rest of RLlib's learner", "ray/rllib/core/learner/", ()),
    ("rest of the replay", "mosim/agents/rllib/replay_training.py", ()),
)
"""Parts of an iteration; the first that a stack is in has it."""


class _Scale(NamedTuple):
    """How much is measured.

    Attributes:
      rounds: measurements of each item.
      seconds: about how long one takes; training is measured for at least one iteration.
      episodes: standard episodes that the simulator's statistics are taken from, of `steps` physics steps.
      changes: of the recipe.
    """

    rounds: int
    seconds: float
    episodes: int
    steps: int
    changes: dict[str, Any]


_FULL = _Scale(rounds=3, seconds=2.0, episodes=50, steps=1000, changes={})
_TINY = {
    "rollout_fragment_length": 8,
    "minibatch_size": 16,
    "num_epochs": 1,
    "gradient_steps": 1,
    "batch_size": 16,
    "learning_starts": 0,
}
_QUICK = _Scale(rounds=1, seconds=0.05, episodes=2, steps=40, changes=_TINY)


class _Subject(NamedTuple):
    """What is measured, over one number of envs.

    Attributes:
      task: the task.
      checkpoint: its simulator's.
      envs: how many.
      device: where simulator and policy are.
      scale: see there.
    """

    task: Task
    checkpoint: Path
    envs: int
    device: str
    scale: _Scale

    def recipe(self, algorithm: str) -> RLlibRecipe:
        """The task's recipe with so many envs, and as many gradient steps per action and per iteration."""
        shipped = cast(RLlibRecipe, load_policy_recipe(self.task.name, algorithm=algorithm))
        wanted: dict[str, Any] = {"num_envs": self.envs}
        if isinstance(shipped, SACRecipe):
            rollouts = shipped.rollouts_per_iteration * shipped.num_envs // self.envs
            wanted["gradient_steps"] = max(1, shipped.gradient_steps * self.envs // shipped.num_envs)
            wanted["rollouts_per_iteration"] = max(1, rollouts)
        wanted |= self.scale.changes
        changes = {name: value for name, value in wanted.items() if name in type(shipped).model_fields}
        return type(shipped).model_validate(shipped.model_dump() | changes)


class _Item(NamedTuple):
    """Something measured.

    Attributes:
      name: see the table above.
      algorithm: whose it is, or empty.
      work: does some of it, and returns how many control steps.
      divergences: how many episodes have ended by one so far.
    """

    name: str
    algorithm: str
    work: Callable[[], int]
    divergences: Callable[[], int]


class _NoPhysics(MoSimVectorEnv):
    """An env of a task's sizes that does nothing: the same observations at every step, and no end."""

    def __init__(self, task: Task, num_envs: int, **options: Any) -> None:
        super().__init__(task, MujocoDynamics(task), num_envs, **options)
        self._seen = np.random.default_rng(0).normal(size=self.observation_space.shape or ()).astype(np.float32)
        self._rewards, self._ends = np.zeros(num_envs), np.zeros(num_envs, bool)

    def step(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Nothing happens."""
        return self._seen.copy(), self._rewards.copy(), self._ends.copy(), self._ends.copy(), {}


def main(
    task: str = "cheetah-run",
    envs: tuple[int, ...] = (64, 256, 1024),
    algorithms: tuple[str, ...] = ALGORITHMS,
    checkpoint: Path | None = None,
    threads: tuple[int, ...] = (1,),
    device: Literal["cpu", "cuda"] = "cpu",
    rounds: int | None = None,
    seed: int = 0,
    out: Path = RESULTS,
    profile: bool = False,
    quick: bool = False,
) -> None:
    """Measures, prints and saves.

    Args:
      task: what is trained for.
      envs: sizes of the batch; a profile is of each.
      algorithms: RLlib's, each with the task's recipe.
      checkpoint: the simulator; by default one with random weights.
      threads: of torch, each measured in turn; trainings of `mosim zero-shot` have one. Ray's workers are not used.
      device: where simulator and policy are.
      rounds: measurements of each item; 3 by default.
      seed: of the simulator's weights, of what its statistics are taken from, and of the training.
      out: folder that policy_speed.csv is written to.
      profile: where the time goes, and nothing is saved.
      quick: everything tiny, to see that it works; the figures mean nothing.
    """
    scale = _QUICK if quick else _FULL
    scale = scale._replace(rounds=rounds or scale.rounds, changes=scale.changes | {"seed": seed})
    loaded = load_task(task)
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder, quiet(Path(folder) / "log"), ray_cluster.started(num_cpus=1):
        simulator = checkpoint or _random_simulator(task, scale, seed, Path(folder))
        for count, of_torch in itertools.product(envs, threads):
            subject = _Subject(loaded, simulator, count, device, scale)
            with torch_threads(of_torch):
                if profile:
                    for algorithm in algorithms:
                        _print_profile(subject, algorithm)
                else:
                    shared = {"task": task, "simulator": "trained" if checkpoint else "random weights"}
                    rows += [shared | row | {"seed": seed} for row in _measured(subject, algorithms)]
    if rows:
        _print_table(rows)
        write_rows(out / "policy_speed.csv", rows)


def _print_table(rows: list[dict[str, Any]]) -> None:
    """The rates as Markdown, a column for each number of envs."""
    counts = sorted({row["envs"] for row in rows})
    for threads in sorted({row["threads"] for row in rows}):
        rates = {(row["item"], row["algorithm"], row["envs"]): row for row in rows if row["threads"] == threads}
        _say(f"\n| {threads} threads | {' | '.join(f'{count} envs' for count in counts)} |")
        _say("| --- |" + " ---: |" * len(counts))
        for item, algorithm in dict.fromkeys(key[:2] for key in rates):
            found = (rates[item, algorithm, count]["control_steps_per_second"] for count in counts)
            _say(f"| {', '.join(filter(None, (algorithm, item)))} | {' | '.join(f'{rate:,}' for rate in found)} |")


def _random_simulator(name: str, scale: _Scale, seed: int, folder: Path) -> Path:
    """Writes a simulator of the sizes of the shipped recipe that knows the geometry."""
    recipe = load_recipe(load_task(name).facts.name, "geometry")
    model = prepare(name, recipe.model, scale.episodes, scale.steps, seed).model
    origin = {"system": name, "recipe": {}, "dataset_id": "none", "cursor": {"finished": True}}
    return save_checkpoint(folder, "random", model, {}, **origin)


def _measured(subject: _Subject, algorithms: Sequence[str]) -> Iterator[dict[str, Any]]:
    items = [*_bare(subject)]
    with _algorithms(subject, algorithms) as of_algorithms:
        items += of_algorithms
        rates: list[list[float]] = [[] for _ in items]
        for _ in range(subject.scale.rounds):
            for item, found in zip(items, rates, strict=True):
                found.append(_rate(item.work, subject.scale.seconds))
        for item, found in zip(items, rates, strict=True):
            rate = statistics.median(found)
            goal = item[:2] == ("training", "PPO") and subject.envs == _TARGET_ENVS
            measured = f"{subject.envs} envs", f"{torch.get_num_threads()} threads", item.name, item.algorithm
            told = f" (target {_TARGET:,}, {'met' if rate >= _TARGET else 'not met'})" if goal else ""
            _say(f"{', '.join(filter(None, measured))}: {rate:,.0f} control steps/s{told}")
            yield {
                "item": item.name,
                "algorithm": item.algorithm,
                "envs": subject.envs,
                "threads": torch.get_num_threads(),
                "control_steps_per_second": round(rate),
                "lowest": round(min(found)),
                "highest": round(max(found)),
                "target": _TARGET if goal else "",
                "rounds": len(found),
                "action_repeat": subject.recipe(item.algorithm or ALGORITHMS[0]).action_repeat,
                "divergences": item.divergences(),
            }


def _rate(work: Callable[[], int], seconds: float) -> float:
    done, started = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - started) < seconds or not done:
        done += work()
    return done / elapsed


def _bare(subject: _Subject) -> Iterator[_Item]:
    """The model by itself, and the vector env."""
    repeat = subject.recipe(ALGORITHMS[0]).action_repeat
    model = load_dynamics(subject.checkpoint, subject.task, subject.device)
    envs = MoSimVectorEnv(subject.task, model, subject.envs, seed=0, action_repeat=repeat)
    envs.reset()
    _spread(envs)
    envs.action_space.seed(0)
    actions = [envs.action_space.sample() for _ in range(16)]
    envs.step(actions[0])  # What is set up by a first call is not timed.

    def env_steps() -> int:
        for action in actions:
            envs.step(action)
        return len(actions) * repeat * subject.envs

    @torch.inference_mode()
    def model_steps() -> int:
        for action in actions:
            control = torch.from_numpy(action).to(envs.state)
            for _ in range(repeat):
                model.rollout(envs.state, control.unsqueeze(-2).expand(-1, subject.task.n_substeps, -1))
        if subject.device == "cuda":
            torch.cuda.synchronize()
        return len(actions) * repeat * subject.envs

    yield _Item("rollout", "", model_steps, lambda: 0)
    yield _Item("environment", "", env_steps, lambda: envs.divergences)


@contextmanager
def _algorithms(subject: _Subject, algorithms: Sequence[str]) -> Iterator[list[_Item]]:
    """RLlib's algorithms, each in the simulator and without physics; each has learned already."""
    made: list[Algorithm] = []
    items: list[_Item] = []
    _register_no_physics(subject.task)
    try:
        for name in algorithms:
            recipe = subject.recipe(name)
            made.append(make_algorithm(recipe, subject.task.name, subject.checkpoint, device=subject.device))
            items += _of_algorithm(made[-1], recipe, name, "")
            made.append(make_algorithm(recipe, _NO_PHYSICS, "true", device=subject.device))
            items += _of_algorithm(made[-1], recipe, name, ", no physics")
            if name in _RLLIBS_OWN:
                made.append(_rllibs_own(made[-1]))
                items += _of_algorithm(made[-1], recipe, name, ", no physics, RLlib's own")
        yield items
    finally:
        for algorithm in made:
            algorithm.stop()


def _of_algorithm(algorithm: Algorithm, recipe: RLlibRecipe, name: str, ending: str) -> Iterator[_Item]:
    runner: Any = algorithm.env_runner
    trained = _train_once(algorithm, recipe)
    while trained < getattr(recipe, "learning_starts", 0):
        trained += _train_once(algorithm, recipe)
    _train_once(algorithm, recipe)
    if not ending:
        snapshot = runner.snapshot()
        _spread(runner.env.unwrapped)
        runner.restore(snapshot | {"envs": runner.env.unwrapped.snapshot()})

    def sample() -> int:
        if isinstance(recipe, SACRecipe):
            actions = int(runner.sample_transitions(recipe.rollout_fragment_length)["valid"].sum())
        else:
            actions = sum(map(len, runner.sample(num_timesteps=recipe.batch)))
        runner.get_metrics()  # Or the next iteration would count these actions as its own.
        return actions * recipe.action_repeat

    def train() -> int:
        return _train_once(algorithm, recipe)

    def divergences() -> int:
        return runner.env.unwrapped.divergences

    yield _Item(f"sampling{ending}", name, sample, divergences)
    yield _Item(f"training{ending}", name, train, divergences)


def _train_once(algorithm: Algorithm, recipe: RLlibRecipe) -> int:
    """An iteration; returns its control steps."""
    return int(algorithm.train()["env_runners"]["num_env_steps_sampled"]) * recipe.action_repeat


def _rllibs_own(algorithm: Algorithm) -> Algorithm:
    """The same algorithm, of RLlib's own parts alone."""
    built: Any = algorithm.config
    config = built.copy(copy_frozen=False)
    config.env_runners(
        env_runner_cls=SingleAgentEnvRunner,
        env_to_module_connector=lambda env, spaces, device: MeanStdFilter(),
    )
    config.training(learner_class=config.get_default_learner_class())
    return config.build_algo()


def _spread(envs: MoSimVectorEnv) -> None:
    """Puts the envs at control steps of their episodes that are drawn at random."""
    snapshot = envs.snapshot()
    limit = envs.task.episode_steps or 1
    envs.restore(snapshot | {"steps": np.random.default_rng(0).integers(0, limit, envs.num_envs)})


def _register_no_physics(task: Task) -> None:
    """Registers an env of the task's sizes that does nothing, in place of the env of tasks of a user's own."""

    def make(num_envs: int, action_repeat: int = 1, **options: Any) -> _NoPhysics:
        del options
        return _NoPhysics(task, num_envs, action_repeat=action_repeat)

    name = environment_id(_NO_PHYSICS)
    gymnasium.registry.pop(name, None)
    gymnasium.register(name, vector_entry_point=make)


def _print_profile(subject: _Subject, name: str) -> None:
    """Where the time of an algorithm's iterations goes."""
    recipe = subject.recipe(name)
    algorithm = make_algorithm(recipe, subject.task.name, subject.checkpoint, device=subject.device)
    try:
        *_, training = _of_algorithm(algorithm, recipe, name, "")
        with SamplingProfiler(_PARTS) as profiler:
            rate = _rate(training.work, subject.scale.seconds * subject.scale.rounds)
    finally:
        algorithm.stop()
    threads = torch.get_num_threads()
    _say(f"{name}, {subject.envs} envs, {threads} threads, {rate:,.0f} control steps/s, {profiler.samples} samples\n")
    _say("| part | share | µs a control step | mostly in |\n| --- | --- | --- | --- |")
    for part, share in profiler.shares().items():
        mostly = ", ".join(f"{where} {of_part:.0%}" for where, of_part in profiler.mostly(part))
        _say(f"| {part} | {share:.1%} | {1e6 * share / rate:.1f} | {mostly} |")


def _say(text: str) -> None:
    console.print(text, markup=False, highlight=False, soft_wrap=True)


if __name__ == "__main__":
    tyro.cli(main)
