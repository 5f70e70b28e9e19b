"""Training policies with a progress bar each, their returns tracked; shared by `mosim zero-shot` and `mosim run`."""

from collections.abc import Mapping
from pathlib import Path

from rich.table import Table

from mosim.agents import (
    COUNTS_FILE,
    DIVERGENCES_FILE,
    RETURNS_FILE,
    PolicyJob,
    PolicyProgress,
    PolicyResult,
    film_policy,
    plot_returns,
    read_divergences,
    read_returns,
    train_side_by_side,
)
from mosim.core.console import console, progress_bar, warn
from mosim.jobs.ray_cluster import started
from mosim.rendering import NoOpenGLError
from mosim.tasks import Task
from mosim.tracking import TrackedRun
from mosim_analysis import metric_names

ZERO_SHOT, TRUE_TRAINED = "zero-shot", "true-trained"
"""Names of the two trainings that are compared: in the simulator alone, and in the true task."""


def train_policies(jobs: Mapping[str, PolicyJob], tracked: Mapping[str, TrackedRun]) -> dict[str, PolicyResult]:
    """Trains policies side by side, one core each, and tracks each in a run of its own.

    Args:
      jobs: by a name each.
      tracked: a run for each job.
    """
    cores = sum(job.processes for job in jobs.values())
    with started(num_cpus=max(cores, 1)), progress_bar() as display:
        bars = {name: display.add_task(name, total=job.steps, status="starting") for name, job in jobs.items()}
        warned: set[tuple[str, str]] = set()
        evaluations = {name: _Evaluations(job.out / RETURNS_FILE, tracked[name]) for name, job in jobs.items()}

        def warn_once(name: str, of: str, sentence: str) -> None:
            if (name, of) not in warned:
                warned.add((name, of))
                warn(f"{name}: {sentence}")

        def show(name: str, progress: PolicyProgress) -> None:
            display.update(bars[name], completed=min(progress.steps, progress.total_steps), status=_status(progress))
            tracked[name].log_metrics(_metrics(progress), step=progress.steps)
            evaluations[name].track()
            if progress.divergences.total:
                where = jobs[name].out / DIVERGENCES_FILE
                warn_once(
                    name, "divergence", f"the simulator's prediction diverged in a training episode; see {where}."
                )
            if progress.parted:
                warn_once(name, "parted", _parting(progress))

        results = train_side_by_side(jobs, show)
    for name, result in results.items():
        evaluations[name].track()
        tracked[name].log_parameters(jobs[name].recipe.model_dump(mode="json") | {"task": jobs[name].task_name})
        tracked[name].log_artifact(result.returns)
        _report_divergences(name, jobs[name].out, tracked[name])
        tracked[name].log_artifact(result.policy)
    return results


def warn_of_hidden_physics(task: Task) -> None:
    """Tells the user where a simulator cannot know all that the physics of an episode depend on."""
    if task.context_in_dynamics:
        names = ", ".join(task.context_names)
        warn(
            f"the physics of {task.name} differ between episodes ({names}), and the state does not show how, so no "
            "simulator can predict them exactly."
        )


def draw_returns(results: Mapping[str, PolicyResult], random_return: float, title: str, path: Path) -> None:
    """Draws the returns of trainings against control steps into a PNG."""
    plot_returns({name: read_returns(result.returns) for name, result in results.items()}, random_return, title, path)


def film_final_policy(result: PolicyResult, task: Task, path: Path, tracked: TrackedRun) -> bool:
    """Films a training's policy in the true task, and tracks the film; where nothing can be drawn, says so instead.

    Returns:
      Whether there is a film now.
    """
    try:
        film_policy(result.policy, task, path)
    except NoOpenGLError as error:
        console.print(f"no video of the policy: {error}")
        return False
    tracked.log_artifact(path)
    return True


def return_summary(returns: Mapping[str, Path], random_return: float) -> Table:
    """The last rows of trainings' `returns.csv` as a table for the terminal: one row a policy."""
    table = Table(title="mean return of an episode, in the true task and in the simulator", title_justify="left")
    table.add_column("policy")
    for column in ("true task", "deviation", "simulator", "control steps", "seconds"):
        table.add_column(column, justify="right")
    for name, path in returns.items():
        last = read_returns(path)[-1]
        simulated = "" if name == TRUE_TRAINED else f"{last.return_simulated:.0f}"
        mean, std = f"{last.return_true_mean:.0f}", f"{last.return_true_std:.0f}"
        table.add_row(name, mean, std, simulated, f"{last.steps:,}", f"{last.wall_seconds:.0f}")
    table.add_row("random", f"{random_return:.0f}", "", "", "", "")
    return table


class _Evaluations:
    """Tracks each evaluation at the control steps that it was made at, however seldom anyone looks."""

    def __init__(self, returns: Path, tracked: TrackedRun) -> None:
        self._returns, self._tracked, self._count = returns, tracked, 0

    def track(self) -> None:
        """Tracks those that have been added to `returns.csv`."""
        rows = read_returns(self._returns)
        for row in rows[self._count :]:
            values = {
                metric_names.RETURN_SIMULATED: row.return_simulated,
                metric_names.RETURN_TRUE: row.return_true_mean,
                metric_names.RETURN_TRUE_STD: row.return_true_std,
            }
            self._tracked.log_metrics(values, step=row.steps)
        self._count = len(rows)


def _report_divergences(name: str, out: Path, tracked: TrackedRun) -> None:
    if (counts := read_divergences(out)).total:
        console.print(f"{name}: {counts}; see {out / DIVERGENCES_FILE}")
        tracked.log_artifact(out / DIVERGENCES_FILE)
        tracked.log_artifact(out / COUNTS_FILE)


def _parting(progress: PolicyProgress) -> str:
    """What to say where simulated and true return have parted."""
    return (
        f"after {progress.steps:,} control steps the return is {progress.return_simulated:.0f} in the simulator "
        f"and {progress.return_true_mean:.0f} in the true task: the policy visits states where the simulator is wrong."
    )


def _status(progress: PolicyProgress) -> str:
    count = progress.divergences.total
    divergences = f", {count:,} divergences, most in {next(iter(progress.divergences.first_in))}" if count else ""
    if progress.return_true_mean is None:
        return (
            ""
            if progress.return_training is None
            else f"return {progress.return_training:.0f} in training{divergences}"
        )
    sign = " ≠" if progress.parted else ","
    return f"return {progress.return_simulated:.0f} simulated{sign} {progress.return_true_mean:.0f} true{divergences}"


def _metrics(progress: PolicyProgress) -> dict[str, float]:
    values = {
        metric_names.RETURN_TRAINING: progress.return_training,
        "episodes": progress.divergences.episodes,
        "divergences": progress.divergences.total,
        metric_names.WALL_SECONDS: progress.wall_seconds,
    }
    values |= {f"diverged_first/{name}": count for name, count in progress.divergences.first_in.items()}
    return {name: float(value) for name, value in values.items() if value is not None}
