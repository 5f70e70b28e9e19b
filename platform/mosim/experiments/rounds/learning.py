"""Rounds of data, simulator and policy, with files between them, so that any process may die at any time.

OUT/data/round-N                     datasets
OUT/rounds/N/simulator               checkpoints of the simulator, trained on the data of all rounds so far
OUT/rounds/N/policy                  the policy, which goes on from the round before, and its returns
OUT/learning.csv, OUT/learning.png   returns by true steps
OUT/run.json                         options, which tell this run from others
OUT/rounds.json                      what each finished round says of itself
"""

import time
from pathlib import Path
from typing import Any

import numpy as np
from rich.text import Text

from mosim.agents import POLICY_FOLDER, PolicyJob, PolicyResult, random_return
from mosim.core.console import LOG_FILE, console, quiet
from mosim.core.errors import MosimError
from mosim.core.files import read_json, write_json
from mosim.core.locks import locked
from mosim.core.run_identity import check_identity, keep_identity
from mosim.data import Behaviour, Dataset, PoissonBehaviour, PolicyBehaviour
from mosim.evaluation import draw_starts, measure_rollouts
from mosim.experiments.pipeline import (
    collect_trajectories,
    note,
    pick_device,
    print_tracking,
    show_recipes,
    train_policies,
    train_simulator,
    warn_of_hidden_physics,
)
from mosim.experiments.rounds.learning_curve import (
    LEARNING_FILE,
    LEARNING_PLOT,
    LearningRow,
    learning_table,
    plot_learning,
    write_learning,
)
from mosim.experiments.rounds.settings import RANDOM, LearnSettings
from mosim.jobs import ray_cluster
from mosim.robots import require_fit
from mosim.tasks import Task
from mosim.tracking import TrackedRun, Tracker, environment_tags
from mosim.training import find_checkpoint, load_simulator
from mosim_analysis import metric_names

_ROUNDS_FILE = "rounds.json"

_EPISODE_STEPS = 1000
"""Control steps of an episode of data, where the task has no time limit."""

_NEW_HORIZON, _NEW_STARTS = 16, 400


class Learning:
    """One `mosim learn`: rounds in order, each skipped where it is finished already."""

    def __init__(self, settings: LearnSettings, task: Task) -> None:
        """Takes the settings, with seed and budget put into the recipes; nothing is written yet.

        Raises:
          MosimError: there are too few true steps for the rounds, or for the initial data.
          MismatchError: the initial data are of another system.
        """
        self._settings, self._task = settings, task
        self._out = Path("runs", f"{task.name}-learn") if settings.out is None else settings.out
        self._simulator_recipe, self._policy_recipe = settings.used_simulator, settings.used_policy
        self._device = pick_device(settings.device)
        self._given = None if settings.initial == RANDOM else Dataset.open(settings.initial)
        if self._given is not None:
            require_fit(self._given.facts, task.facts, f"the dataset at {self._given.uri}", task.name)
        given = 0 if self._given is None else self._steps_of(self._given)
        rounds = settings.rounds - (self._given is not None)
        self._steps = (settings.true_steps - given) // rounds if rounds else 0
        if given > settings.true_steps:
            raise MosimError(f"the initial dataset has {given:,} steps, more than --true-steps {settings.true_steps}.")
        if rounds and self._steps < 1:
            raise MosimError(
                f"--true-steps {settings.true_steps} leaves no step for {rounds} rounds"
                + (f", since the initial dataset has {given:,}." if given else ".")
            )
        if settings.exploration == "disagreement" and not self._simulator_recipe.model.has_uncertainty:
            raise MosimError(
                "--exploration disagreement needs a simulator that has an uncertainty, such as that of "
                "--simulator-recipe arrays/ensemble."
            )
        self._rounds: list[dict[str, Any]] = []

    def run(self) -> None:
        """Runs what is left of the rounds, and prints what came of them.

        Raises:
          MosimError: another process works in the folder, or it holds a run already and `--resume` is not given.
          MismatchError: it holds another run; names the options that differ.
        """
        settings = self._settings
        identity = settings.identity
        with locked(self._out):
            if check_identity(self._out, identity, resume=settings.resume):
                self._rounds = read_json(path)["rounds"] if (path := self._out / _ROUNDS_FILE).is_file() else []
            else:
                keep_identity(self._out, identity)
            show_recipes(settings, self._task)
            warn_of_hidden_physics(self._task)
            self._run()

    def _run(self) -> None:
        settings, out = self._settings, self._out
        random = random_return(self._task, action_repeat=self._policy_recipe.action_repeat).mean
        with (
            quiet(out / LOG_FILE, settings.verbose),
            ray_cluster.kept(),
            Tracker.open(out, settings.experiment, settings.tracking_uri) as tracker,
        ):
            tags = {"phase": "learn", "task": self._task.name, **environment_tags()}
            run = tracker.run(f"learn {self._task.name}", tags=tags)
            run.log_parameters({"task": self._task.name, "seed": settings.seed, "true_steps": settings.true_steps})
            for number in range(settings.rounds):
                if number < len(self._rounds):
                    console.print(f"round {number}: already finished")
                    continue
                self._rounds.append(self._round(number, run))
                write_json(out / _ROUNDS_FILE, {"rounds": self._rounds})
                self._show(run, random)
            run.describe(note(learning_table(self._rows(), random)))
            tracking_uri = tracker.tracking_uri
        console.print(Text.assemble((self._task.name, "bold"), f", seed {settings.seed}"))
        console.print(learning_table(self._rows(), random))
        last = out / "rounds" / str(settings.rounds - 1)
        console.print(f"policy        {last / 'policy' / POLICY_FOLDER}")
        console.print(f"simulator     {last / 'simulator'}")
        console.print(f"curve         {out / LEARNING_FILE}, {out / LEARNING_PLOT}")
        print_tracking(tracking_uri)

    def _round(self, number: int, run: TrackedRun) -> dict[str, Any]:
        """Collects, trains both, and says what came of it. What an earlier process has done of it is not repeated."""
        started, folder = time.perf_counter(), self._out / "rounds" / str(number)
        with run.child(f"round {number}", tags={"phase": "round", "task": self._task.name}) as tracked:
            newest = self._collect(number)
            datasets = [*(self._dataset(earlier) for earlier in range(number)), newest]
            error = self._error_on(newest, number - 1) if number else float("nan")
            checkpoint = train_simulator(
                system=self._task.source,
                facts=self._task.facts,
                recipe=self._simulator_recipe,
                datasets=datasets,
                out=folder / "simulator",
                device=self._device,
                threads=self._settings.threads,
                resume=True,
                weights=self._weights_before(number),
                tracked=tracked,
            )
            result = self._train_policy(number, checkpoint, newest, tracked)
        row = LearningRow(
            round=number,
            true_steps=sum(self._steps_of(dataset) for dataset in datasets),
            episodes=sum(dataset.metadata.episodes for dataset in datasets),
            new_data_mse_16=error,
            return_true_mean=result.return_true_mean,
            return_true_std=result.return_true_std,
            return_simulated=result.return_simulated,
            seconds=round(time.perf_counter() - started, 3),
        )
        return row._asdict() | {"new_data_mse_16": None if np.isnan(error) else error}

    def _collect(self, number: int) -> Dataset:
        """The data of a round: of random actions, or of the policy of the round before with noise."""
        if number == 0 and self._given is not None:
            return self._given
        length = min(self._task.episode_steps or _EPISODE_STEPS, self._steps)
        behaviour: Behaviour = PoissonBehaviour()
        if number:
            before = (self._out / "rounds" / str(number - 1)).resolve()
            behaviour = PolicyBehaviour(
                policy=str(before / "policy" / POLICY_FOLDER),
                noise=self._settings.noise,
                simulator=str(before / "simulator") if self._settings.exploration == "disagreement" else None,
            )
        dataset, _ = collect_trajectories(
            source=self._task.source,
            out=self._data_of(number),
            episodes=self._steps // length,
            steps=length * self._task.n_substeps,
            behaviour=behaviour,
            workers=self._settings.workers,
            seed=int(np.random.SeedSequence([self._settings.seed, number]).generate_state(1)[0]),
            label=f"round {number}: collect",
        )
        return dataset

    def _weights_before(self, number: int) -> Path | None:
        """The simulator of the round before, where that of this round begins with its weights."""
        solves = any(stage.solves for stage in self._simulator_recipe.stages)
        if number == 0 or solves or self._settings.from_scratch:
            return None
        return find_checkpoint(self._out / "rounds" / str(number - 1) / "simulator")

    def _error_on(self, dataset: Dataset, number: int) -> float:
        """The horizon error of a round's simulator on data that it has not seen."""
        simulator = load_simulator(find_checkpoint(self._out / "rounds" / str(number) / "simulator"))
        trajectories = dataset.load()
        horizon = min(_NEW_HORIZON, int(trajectories.lengths.max()))
        starts = draw_starts(trajectories, horizon, _NEW_STARTS, self._settings.seed)
        return measure_rollouts(simulator, trajectories, horizon, starts).mse(horizon)

    def _train_policy(self, number: int, checkpoint: Path, newest: Dataset, tracked: TrackedRun) -> PolicyResult:
        """Goes on with the policy of the round before in a simulator, for the round's share of the recipe's steps."""
        settings, rounds = self._settings, self._out / "rounds"
        name = f"round {number}: policy"
        last = number == settings.rounds - 1
        job = PolicyJob(
            recipe=self._policy_recipe,
            task_name=self._task.source,
            dynamics_source=str(checkpoint.resolve()),
            out=rounds / str(number) / "policy",
            resume=True,
            data=newest.uri,
            until=None if last else self._policy_recipe.control_steps * (number + 1) // settings.rounds,
            after=rounds / str(number - 1) / "policy" if number else None,
        )
        return train_policies({name: job}, {name: tracked})[name]

    def _show(self, run: TrackedRun, random: float) -> None:
        """Writes, draws, tracks and prints the rounds so far."""
        rows, out = self._rows(), self._out
        write_learning(out / LEARNING_FILE, rows)
        title = f"{self._task.name}: returns by true steps"
        plot_learning(rows, self._policy_recipe.eval_episodes, random, title, out / LEARNING_PLOT)
        row = rows[-1]
        metrics = {
            metric_names.RETURN_TRUE: row.return_true_mean,
            metric_names.RETURN_TRUE_STD: row.return_true_std,
            metric_names.RETURN_SIMULATED: row.return_simulated,
            metric_names.NEW_DATA_ERROR: row.new_data_mse_16,
        }
        run.log_metrics({name: value for name, value in metrics.items() if not np.isnan(value)}, step=row.true_steps)
        run.log_artifact(out / LEARNING_FILE)
        run.log_artifact(out / LEARNING_PLOT)
        console.print(
            f"round {row.round}: {row.true_steps:,} true steps, return {row.return_true_mean:.0f} in the true task, "
            f"{row.return_simulated:.0f} in the simulator"
        )

    def _rows(self) -> list[LearningRow]:
        rows = []
        for each in self._rounds:
            error = each["new_data_mse_16"]  # None, since JSON knows no NaN.
            rows.append(LearningRow(**{**each, "new_data_mse_16": float("nan") if error is None else error}))
        return rows

    def _data_of(self, number: int) -> Path:
        return self._out / "data" / f"round-{number}"

    def _dataset(self, number: int) -> Dataset:
        return self._given if number == 0 and self._given is not None else Dataset.open(self._data_of(number))

    def _steps_of(self, dataset: Dataset) -> int:
        """Control steps of a dataset; one that is begun counts."""
        return -(-dataset.metadata.physics_steps // self._task.n_substeps)
