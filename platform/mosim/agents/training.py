"""Training a policy in a simulator, or in the true task, and evaluating it in the true task meanwhile."""

import shutil
import time
from pathlib import Path
from typing import Any

from mosim.agents.divergences import DivergenceLog, read_divergences
from mosim.agents.learner import PolicyLearner, TrainingSetup
from mosim.agents.policy import save_policy
from mosim.agents.policy_evaluation import evaluate_policy
from mosim.agents.progress import POLICY_FOLDER, OnProgress, PolicyProgress, PolicyResult, progress_of, result_of
from mosim.agents.recipe import PolicyRecipe
from mosim.agents.returns import RETURNS_FILE, ReturnRow, read_returns, write_returns
from mosim.agents.run_identity import training_identity
from mosim.core.errors import MosimError
from mosim.core.files import atomic_folder
from mosim.core.random_numbers import seed_everything
from mosim.core.run_identity import check_identity, keep_identity
from mosim.core.state_folder import read_tree, write_tree
from mosim.core.threads import single_threaded
from mosim.data import Dataset
from mosim.envs import TRUE_DYNAMICS, StartStates, find_dataset, load_dynamics
from mosim.models import DynamicsModel, MujocoDynamics
from mosim.tasks import Task, load_task

CHECKPOINTS_FOLDER = "checkpoints"
STARTS_FILE = "starts.safetensors"
"""States of a dataset, drawn once, the same for every env runner, wherever it runs."""

_CHECKPOINTS_KEPT = 2


@single_threaded
def train_policy(
    recipe: PolicyRecipe,
    task_name: str,
    dynamics_source: str | Path,
    out: Path,
    on_progress: OnProgress | None = None,
    resume: bool = False,
    data: str | Path | None = None,
    device: str = "cpu",
    gpus_per_runner: float = 0.0,
    until: int | None = None,
    after: Path | None = None,
) -> PolicyResult:
    """Trains a policy, and evaluates it in the true task at fixed intervals.

    Writes `returns.csv`, `divergences.csv`, `divergences.json`, `checkpoints/`, `run.json`, the states of a dataset
    that it starts from, and at the end `policy/` into `out`. A training that is resumed on the CPU gives the same
    policy as one that was never stopped, unless env runners of their own sample for it.

    Args:
      recipe: how to train.
      task_name: such as `reacher-easy`.
      dynamics_source: a simulator's checkpoint, or `"true"` for the true task.
      out: folder for all of it.
      on_progress: called after every update.
      resume: go on from the last checkpoint in `out`, or begin where there is none; else `out` must hold no training.
      data: path or URI of a dataset to start episodes from, where the recipe says so; None for the one that the
        simulator was trained on.
      device: where simulator and policy are, `cpu` or `cuda`; a training may be resumed on another one.
      gpus_per_runner: share of a GPU that each of `num_env_runners` holds; without one they sample on the CPU.
      until: control steps at which it ends, those of `after` included, with a checkpoint that another training can go
        on from; the recipe's by default. Its schedules follow the recipe's.
      after: folder of a training that ended `until` some control step, by the same recipe, which may have been in
        other dynamics: this one goes on from its last checkpoint.

    Raises:
      MosimError: `out` holds a training already, or there are no data to start from or no checkpoint in `after`.
      MismatchError: the training to resume is another one, or the checkpoint does not fit the task.
      DamagedFileError: a checkpoint is not what was written.
    """
    task = load_task(task_name, allow_imports=True)
    recipe.check()
    # Loaded here, where RLlib would wrap the sentence of a failure in its own.
    dynamics = load_dynamics(dynamics_source, task, device)
    recipe.check_setup(task, dynamics)
    starts = _dataset(recipe, dynamics_source, data)
    identity = training_identity(recipe, task_name, dynamics, starts, until, after)
    if not check_identity(out, identity, resume=resume):
        keep_identity(out, identity)
    end = until or recipe.control_steps
    if row := _last_row(out, end):
        if on_progress:
            counts = read_divergences(out)
            on_progress(progress_of(row.steps, end, row.wall_seconds, row, divergences=counts, finished=True))
        return result_of(out, row)
    if str(dynamics_source) != TRUE_DYNAMICS:
        dynamics_source = Path(dynamics_source).resolve()  # Env runners have working directories of their own.
    states = (out / STARTS_FILE).resolve() if starts else None
    if starts and states and not states.is_file():
        StartStates.of(starts, task).save(states)
    setup = TrainingSetup(task, dynamics, dynamics_source, states, device, gpus_per_runner)
    return _train(recipe, setup, out, on_progress or (lambda progress: None), end, after)


def _train(
    recipe: PolicyRecipe, setup: TrainingSetup, out: Path, on_progress: OnProgress, end: int, after: Path | None
) -> PolicyResult:
    """Trains from the last checkpoint, or that of the training before, or from the beginning, to the end."""
    learner = recipe.learner(setup)
    try:
        training = _Training(recipe, setup.task, setup.dynamics, learner, out, end)
        training.restore(after)
        while training.steps < end:
            training.advance()
            on_progress(training.progress())
        result = training.finish(checkpoint=end < recipe.control_steps)
        on_progress(training.progress(finished=True))
    finally:
        learner.stop()
    return result


class _Training:
    """The state of a training between two updates."""

    def __init__(
        self,
        recipe: PolicyRecipe,
        task: Task,
        dynamics: DynamicsModel,
        learner: PolicyLearner,
        out: Path,
        end: int,
    ) -> None:
        self.recipe, self.task, self.out, self.end = recipe, task, out, end
        self.dynamics, self.learner = dynamics, learner
        learner.policy()  # What cannot be evaluated is not trained.
        self.divergences = DivergenceLog(out, task.facts.state_names)
        self.iteration = self.steps = 0
        self.seconds = 0.0
        self.return_training: float | None = None
        self.rows: list[ReturnRow] = []
        self._resumed_at = time.perf_counter()

    def advance(self) -> None:
        """One update; then an evaluation and a checkpoint where they are due."""
        recipe = self.recipe
        # Seeded anew each time, so that no generator's state has to be kept.
        seed_everything(recipe.seed, self.iteration)
        update = self.learner.update(min(self.steps / recipe.control_steps, 1.0))
        before = self.steps
        self.iteration += 1
        self.steps += update.control_steps
        self.divergences.add(self.steps, update.episodes, update.divergences)
        self.return_training = self.return_training if update.return_mean is None else update.return_mean
        if before // recipe.eval_interval < self.steps // recipe.eval_interval and self.steps < self.end:
            self.evaluate()
        if before // recipe.checkpoint_interval < self.steps // recipe.checkpoint_interval:
            self.save()

    def evaluate(self) -> None:
        """Evaluates the policy as it is, and writes what has come of it so far."""
        policy = self.learner.policy()
        options: dict[str, Any] = {"episodes": self.recipe.eval_episodes, "action_repeat": self.recipe.action_repeat}
        true = evaluate_policy(policy.act, self.task, **options)
        in_the_true_task = isinstance(self.dynamics, MujocoDynamics)
        simulated = (
            true if in_the_true_task else evaluate_policy(policy.act, self.task, dynamics=self.dynamics, **options)
        )
        row = ReturnRow(self.steps, round(self._elapsed(), 3), simulated.mean, true.mean, true.std, len(true.returns))
        self.rows.append(row)
        write_returns(self.out / RETURNS_FILE, self.rows)
        self.divergences.write()

    def save(self) -> None:
        """Writes a checkpoint, and removes those that are no longer needed."""
        state = {
            "learner": self.learner.state(),
            "iteration": self.iteration,
            "steps": self.steps,
            "divergences": self.divergences.counts.model_dump(mode="json"),
            "seconds": self._elapsed(),
            "return_training": self.return_training,
            "rows": [list(row) for row in self.rows],
        }
        self.divergences.write()  # Before the checkpoint, whose counts they must reach.
        folder = self.out / CHECKPOINTS_FOLDER
        with atomic_folder(folder / f"{self.steps:012d}") as aside:
            write_tree(aside, state)
        for old in _checkpoints(self.out)[:-_CHECKPOINTS_KEPT]:
            shutil.rmtree(old)

    def restore(self, after: Path | None = None) -> None:
        """Goes on from the last checkpoint, or that of the training before, if there is one."""
        for unfinished in (self.out / CHECKPOINTS_FOLDER).glob(".[0-9]*"):
            shutil.rmtree(unfinished)
        if not (checkpoints := _checkpoints(self.out)):
            write_returns(self.out / RETURNS_FILE, [])
            self.divergences.write()
            if after is not None:
                self._follow(after)
            return
        state = read_tree(checkpoints[-1])
        self.learner.set_state(state["learner"])
        self.iteration, self.steps, self.seconds = state["iteration"], state["steps"], state["seconds"]
        self.divergences.restore(state["divergences"], self.steps)
        self.return_training = state["return_training"]
        self.rows = [ReturnRow(*row) for row in state["rows"]]
        # What was evaluated after the checkpoint is evaluated again.
        write_returns(self.out / RETURNS_FILE, self.rows)

    def _follow(self, after: Path) -> None:
        """Takes the policy and the steps of another training; its evaluations and divergences stay its own."""
        if not (checkpoints := _checkpoints(after)):
            raise MosimError(f"{after} has no checkpoint to go on from.")
        state = read_tree(checkpoints[-1])
        self.learner.set_state(state["learner"])
        self.iteration, self.steps = state["iteration"], state["steps"]

    def finish(self, checkpoint: bool) -> PolicyResult:
        """Evaluates and writes the policy, and a checkpoint where another training may go on."""
        self.evaluate()
        if checkpoint and not (self.out / CHECKPOINTS_FOLDER / f"{self.steps:012d}").is_dir():
            self.save()
        shutil.rmtree(self.out / POLICY_FOLDER, ignore_errors=True)
        save_policy(self.learner.policy(), self.out / POLICY_FOLDER)
        return result_of(self.out, self.rows[-1])

    def progress(self, finished: bool = False) -> PolicyProgress:
        """How far it is."""
        return progress_of(
            self.steps,
            self.end,
            self._elapsed(),
            self.rows[-1] if self.rows else None,
            return_training=self.return_training,
            divergences=self.divergences.counts,
            finished=finished,
        )

    def _elapsed(self) -> float:
        return self.seconds + time.perf_counter() - self._resumed_at


def check_training(
    recipe: PolicyRecipe,
    task_name: str,
    dynamics_source: str | Path,
    out: Path,
    resume: bool = False,
    data: str | Path | None = None,
    until: int | None = None,
    after: Path | None = None,
) -> None:
    """Checks all that `train_policy` would refuse, before anything is started or written.

    Raises:
      MosimError: as `train_policy`.
    """
    task = load_task(task_name, allow_imports=True)
    dynamics = load_dynamics(dynamics_source, task)
    recipe.check_setup(task, dynamics)
    identity = training_identity(recipe, task_name, dynamics, _dataset(recipe, dynamics_source, data), until, after)
    check_identity(out, identity, resume=resume)


def _dataset(recipe: PolicyRecipe, dynamics_source: str | Path, data: str | Path | None) -> Dataset | None:
    """The dataset in whose states episodes start, where the recipe says so."""
    if recipe.start == "initial":
        return None
    if data is not None:
        return Dataset.open(data)
    if str(dynamics_source) == TRUE_DYNAMICS:
        raise MosimError(
            f"start is {recipe.start}, which needs a dataset, and the true task has none; give a dataset as data."
        )
    return find_dataset(dynamics_source)


def _last_row(out: Path, end: int) -> ReturnRow | None:
    """The last evaluation of a training that has come to its end already."""
    rows = read_returns(out / RETURNS_FILE)
    return rows[-1] if (out / POLICY_FOLDER).is_dir() and rows and rows[-1].steps >= end else None


def _checkpoints(out: Path) -> list[Path]:
    return sorted(path for path in (out / CHECKPOINTS_FOLDER).glob("[0-9]*") if path.is_dir())
