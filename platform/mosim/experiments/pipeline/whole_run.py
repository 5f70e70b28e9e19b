"""The phases of `mosim run`, with files between them, so that any can be repeated, replaced or resumed.

OUT/data/train, OUT/data/heldout     datasets
OUT/simulator                        checkpoints
OUT/evaluation                       horizon errors
OUT/zero-shot, OUT/true-trained      policies and their returns
OUT/summary.csv, OUT/returns.png     what came of it
OUT/run.json                         options, which tell this run from others
OUT/phases.json                      what each finished phase says of itself
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
from rich.table import Table
from rich.text import Text

from mosim.agents import POLICY_FOLDER, RETURNS_FILE, PolicyJob, random_return
from mosim.core.console import LOG_FILE, console, quiet
from mosim.core.files import atomic_path, inside, read_json, write_json
from mosim.core.locks import locked
from mosim.core.run_identity import check_identity, keep_identity
from mosim.data import HELD_OUT_SEED_OFFSET, Collection, Dataset, check_collection
from mosim.envs import TRUE_DYNAMICS
from mosim.evaluation import HORIZON_PLOT
from mosim.experiments.pipeline.collection import collect_trajectories
from mosim.experiments.pipeline.measurement import horizon_summary, measure_simulator
from mosim.experiments.pipeline.notes import note, print_tracking
from mosim.experiments.pipeline.policies import (
    TRUE_TRAINED,
    ZERO_SHOT,
    draw_returns,
    return_summary,
    train_policies,
    warn_of_hidden_physics,
)
from mosim.experiments.pipeline.run_settings import RunSettings
from mosim.experiments.pipeline.shown_recipes import show_recipes
from mosim.experiments.pipeline.training import pick_device, train_simulator
from mosim.jobs import ray_cluster
from mosim.tasks import Task
from mosim.tracking import TrackedRun, Tracker, environment_tags

_STARTS = 400
_PHASES_FILE = "phases.json"

Outcome = dict[str, Any]


class WholeRun:
    """One `mosim run`: phases in order, each skipped where it is finished already."""

    def __init__(self, settings: RunSettings, task: Task) -> None:
        """Takes the settings, with the seed and the budget put into the recipes; nothing is written yet."""
        self._settings, self._task = settings, task
        self._out = Path("runs", task.name) if settings.out is None else settings.out
        self._simulator_recipe, self._policy_recipe = settings.used_simulator, settings.used_policy
        self._device = pick_device(settings.device)
        self._phases: dict[str, Outcome] = {}
        self._collections = {
            "train": Collection(settings.episodes, settings.steps, settings.seed),
            "heldout": Collection(settings.heldout_episodes, settings.steps, settings.seed + HELD_OUT_SEED_OFFSET),
        }

    def run(self) -> None:
        """Runs what is left of the phases, and prints what came of them.

        Raises:
          MosimError: another process works in the folder, or it holds a run already and `--resume` is not given.
          MismatchError: it holds another run; names the options that differ.
        """
        with locked(self._out):
            if check_identity(self._out, self._settings.identity, resume=self._settings.resume):
                self._phases = read_json(path) if (path := self._out / _PHASES_FILE).is_file() else {}
            else:
                keep_identity(self._out, self._settings.identity)
            for part, wanted in self._collections.items():
                check_collection(self._task, self._out / "data" / part, wanted)
            show_recipes(self._settings, self._task)
            self._run()

    def _run(self) -> None:
        settings, out = self._settings, self._out
        with (
            quiet(out / LOG_FILE, settings.verbose),
            ray_cluster.kept(),
            Tracker.open(out, settings.experiment, settings.tracking_uri) as tracker,
        ):
            tags = {"phase": "run", "task": self._task.name, **environment_tags()}
            run = tracker.run(f"run {self._task.name}", tags=tags)
            episodes = self._simulator_recipe.episodes or settings.episodes
            run.log_parameters({"task": self._task.name, "seed": settings.seed, "episodes": episodes})
            warn_of_hidden_physics(self._task)
            collected = self._phase("collect", run, self._collect)
            trained = self._phase("train", run, self._train)
            checkpoint = inside(out, trained["checkpoint"])
            self._phase("evaluate", run, lambda tracked: self._evaluate(checkpoint, tracked))
            self._phase("policies", run, lambda tracked: self._train_policies(checkpoint, tracked))
            summary = self._summarise()
            run.log_metrics(dict(zip(summary["measure"], summary["value"], strict=True)), step=0)
            run.set_tags({"dataset.id": collected["dataset"]})
            run.log_artifact(out / "summary.csv")
            run.log_artifact(out / "returns.png")
            run.log_artifact(out / "evaluation" / HORIZON_PLOT)
            run.describe(note(*self._tables()))
            tracking_uri = tracker.tracking_uri
        self._print(tracking_uri)

    def _phase(self, name: str, run: TrackedRun, work: Callable[[TrackedRun], Outcome]) -> Outcome:
        if name not in self._phases:
            started = time.perf_counter()
            with run.child(name, tags={"phase": name, "task": self._task.name}) as tracked:
                outcome = work(tracked)
            self._phases[name] = outcome | {"seconds": time.perf_counter() - started}
            write_json(self._out / _PHASES_FILE, self._phases)
        else:
            console.print(f"{name}: already finished")
        return self._phases[name]

    def _collect(self, tracked: TrackedRun) -> Outcome:
        datasets = {}
        for part, wanted in self._collections.items():
            dataset, clock = collect_trajectories(
                source=self._task.source,
                out=self._out / "data" / part,
                workers=self._settings.workers,
                label=f"collect {part}",
                **wanted._asdict(),
            )
            datasets[part] = dataset.id
            if clock.rate:
                tracked.log_metrics({f"collect/{part}/physics_steps_per_second": clock.rate * wanted.steps}, step=0)
        tracked.set_tags({"dataset.id": datasets["train"], "dataset.heldout.id": datasets["heldout"]})
        return {"dataset": datasets["train"], "heldout": datasets["heldout"]}

    def _train(self, tracked: TrackedRun) -> Outcome:
        checkpoint = train_simulator(
            system=self._task.source,
            facts=self._task.facts,
            recipe=self._simulator_recipe,
            datasets=[Dataset.open(self._out / "data" / "train")],
            out=self._out / "simulator",
            device=self._device,
            threads=self._settings.threads,
            resume=True,
            tracked=tracked,
        )
        tracked.log_artifact(checkpoint, "checkpoint")
        return {"checkpoint": str(checkpoint.relative_to(self._out))}

    def _evaluate(self, checkpoint: Path, tracked: TrackedRun) -> Outcome:
        result = measure_simulator(
            checkpoint=checkpoint,
            system=self._task,
            dataset=Dataset.open(self._out / "data" / "heldout"),
            out=self._out / "evaluation",
            horizons=self._settings.horizons,
            starts=_STARTS,
            seed=self._settings.seed,
            device=self._device,
            threads=self._settings.threads,
            tracked=tracked,
        )
        return {"diverged_starts": result.diverged}

    def _train_policies(self, checkpoint: Path, tracked: TrackedRun) -> Outcome:
        sources = {ZERO_SHOT: str(checkpoint.resolve()), TRUE_TRAINED: TRUE_DYNAMICS}
        jobs = {
            name: PolicyJob(
                recipe=self._policy_recipe,
                task_name=self._task.source,
                dynamics_source=source,
                out=self._out / name,
                resume=True,
                data=str((self._out / "data" / "train").resolve()),
            )
            for name, source in sources.items()
        }
        runs = {name: tracked.child(name, tags={"phase": name, "task": self._task.name}) for name in jobs}
        results = train_policies(jobs, runs)
        random = random_return(self._task, action_repeat=self._policy_recipe.action_repeat)
        draw_returns(results, random.mean, f"{self._task.name}: returns", self._out / "returns.png")
        return {
            "random": random.mean,
            **{name: result.return_true_mean for name, result in results.items()},
            f"{ZERO_SHOT} simulated": results[ZERO_SHOT].return_simulated,
        }

    def _summarise(self) -> pd.DataFrame:
        """Everything that counts as one table of measures and values, written to `summary.csv`."""
        phases = self._phases
        errors = pd.read_csv(self._out / "evaluation" / "horizon.csv")
        rows = [(f"horizon_mse_{row['horizon']}.{row['model']}", row["mse"]) for row in errors.to_dict("records")]
        policies = phases["policies"]
        rows += [
            ("return_true.zero_shot", policies[ZERO_SHOT]),
            ("return_simulated.zero_shot", policies[f"{ZERO_SHOT} simulated"]),
            ("return_true.true_trained", policies[TRUE_TRAINED]),
            ("return_true.random", policies["random"]),
            (
                "zero_shot_ratio",
                policies[ZERO_SHOT] / policies[TRUE_TRAINED] if policies[TRUE_TRAINED] else float("nan"),
            ),
        ]
        rows += [(f"true_steps.{part}", float(steps)) for part, steps in self._true_steps().items()]
        rows += [(f"seconds.{name}", phase["seconds"]) for name, phase in phases.items()]
        summary = pd.DataFrame(rows, columns=["measure", "value"])
        with atomic_path(self._out / "summary.csv") as aside:
            summary.to_csv(aside, index=False)
        return summary

    def _true_steps(self) -> dict[str, int]:
        """Physics steps of the true system, by dataset."""
        datasets = {part: Dataset.open(self._out / "data" / part) for part in self._collections}
        return {part: dataset.metadata.physics_steps for part, dataset in datasets.items()}

    def _tables(self) -> tuple[Table, Table]:
        """Horizon errors and returns, for people."""
        returns = {name: self._out / name / RETURNS_FILE for name in (ZERO_SHOT, TRUE_TRAINED)}
        return (
            horizon_summary(pd.read_csv(self._out / "evaluation" / "horizon.csv")),
            return_summary(returns, self._phases["policies"]["random"]),
        )

    def _print(self, tracking_uri: str) -> None:
        phases, out = self._phases, self._out
        console.print(Text.assemble((self._task.name, "bold"), f", seed {self._settings.seed}"))
        for table in self._tables():
            console.print(table)
        console.print(
            "wall time     " + ", ".join(f"{name} {phase['seconds']:.0f} s" for name, phase in phases.items())
        )
        steps = self._true_steps()
        console.print(
            f"true steps    {steps['train']:,} physics steps of training data for the simulator, and so for the "
            f"zero-shot policy; {steps['heldout']:,} held out"
        )
        console.print(f"checkpoint    {out / phases['train']['checkpoint']}")
        console.print(f"policy        {out / ZERO_SHOT / POLICY_FOLDER}")
        console.print(f"plots         {out / 'evaluation' / 'horizon.png'}, {out / 'returns.png'}")
        print_tracking(tracking_uri)
