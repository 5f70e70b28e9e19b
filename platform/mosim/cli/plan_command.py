"""`mosim plan`: a planner in a simulator, evaluated in the true task."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import tyro
from pydantic import Field
from rich.table import Table

from mosim.agents import (
    DistillationConfig,
    PlannerConfig,
    PlannerEvaluation,
    Policy,
    PolicyEvaluation,
    distil,
    episode_actions,
    evaluate_planner,
    evaluate_policy,
    film_episode,
    load_policy,
    planned_episode,
    random_return,
    save_policy,
)
from mosim.cli.parsing import parse
from mosim.cli.tracked_command import TrackedOptions, tracked_command
from mosim.core.console import console, progress_bar
from mosim.core.errors import MismatchError, MosimError
from mosim.core.files import write_json
from mosim.core.locks import locked
from mosim.core.threads import torch_threads
from mosim.envs import load_dynamics
from mosim.experiments.pipeline import model_tags, note, pick_device
from mosim.models import DynamicsModel, MujocoDynamics
from mosim.rendering import NoOpenGLError
from mosim.tasks import Task, load_task
from mosim.training import read_checkpoint
from mosim_analysis import metric_names

RESULT, VIDEO = "plan.json", "plan.mp4"

IN_SIMULATOR, IN_MUJOCO = "in the simulator", "in MuJoCo"

_EVALUATED = 20
"""Episodes of a policy, which take seconds; those of a planner take minutes."""


class Options(TrackedOptions):
    """Search actions in a simulator at every step, and evaluate this planner in the true task.

    At each action, the planner starts in the true state, improves a plan of --horizon actions in the simulator, and
    takes the first action. Prints the return in the true task and the control steps per second, and writes plan.json
    and, if OpenGL is available, plan.mp4, the first seconds of an episode. With --distil, a policy is trained to
    imitate the planner, in the simulator alone.

      mosim plan runs/cheetah-run --task cheetah-run
      mosim plan runs/cheetah-run --task cheetah-run --distil runs/cheetah-run/distilled
      mosim plan runs/cheetah-run --task cheetah-run --planner gradient --samples 8 --policy runs/cheetah-run/policy
    """

    checkpoint: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="CHECKPOINT")] = Field(
        description="A checkpoint, or the folder of a training run."
    )
    task: Annotated[str, tyro.conf.arg(metavar="TASK")] = Field(
        description="A task of the system that the simulator has learned, as domain-task."
    )
    out: Annotated[Path | None, tyro.conf.arg(metavar="FOLDER")] = Field(
        default=None, description="Output folder. If omitted: plan, in the folder of the training run."
    )
    episodes: int = Field(default=5, ge=1, description="Episodes of the true task, which run side by side.")
    policy: Annotated[Path | None, tyro.conf.arg(metavar="FOLDER")] = Field(
        default=None,
        description="A policy that mosim trained. What it would do is tried as a plan, and its value function, if it "
        "has one, is added at the end of plans.",
    )
    compare: Annotated[bool, tyro.conf.FlagCreatePairsOff] = Field(
        default=False, description="Also plan in MuJoCo itself, for comparison. Not for --planner gradient."
    )
    distil: Annotated[Path | None, tyro.conf.arg(metavar="FOLDER")] = Field(
        default=None, description="New folder for a policy that imitates the planner. If omitted: none is trained."
    )
    distillation: DistillationConfig = DistillationConfig()
    device: str = Field(default="auto", description="Device of the simulator: auto, cpu, cuda, cuda:1, ...")
    threads: int = Field(default=1, ge=1, description="CPU threads for torch and for MuJoCo.")
    video: bool = Field(default=True, description="Record the beginning of an episode as a video, OUT/plan.mp4.")
    video_seconds: float = Field(default=5.0, gt=0, description="Length of the video, in seconds.")
    config: Annotated[PlannerConfig, tyro.conf.arg(name="")] = PlannerConfig()


def main(arguments: Sequence[str]) -> None:
    """Runs the command."""
    options = parse(Options, "plan", arguments)
    if options.compare and options.config.planner == "gradient":
        raise MosimError("--compare: MuJoCo gives no gradients, so the planner gradient cannot plan in it.")
    if options.distil is not None and options.distil.exists():
        raise MosimError(f"--distil {options.distil} exists already; give a new folder.")
    task = load_task(options.task, allow_imports=True)
    simulator = read_checkpoint(options.checkpoint)
    model = load_dynamics(options.checkpoint, task, pick_device(options.device))
    policy = None if options.policy is None else load_policy(options.policy)
    if policy is not None and policy.facts.observation_size != task.observation_size:
        raise MismatchError(f"the policy in {options.policy} was trained for {policy.facts.task}, not for {task.name}.")
    out = options.out or simulator.path.parents[1] / "plan"
    with locked(out), torch_threads(options.threads), tracked_command(options, out, "plan", task.name) as tracked:
        tracked.set_tags({"simulator": simulator.id, "system": task.facts.name, **model_tags(simulator.model)})
        tracked.log_parameters({**options.config.model_dump(mode="json"), "task": task.name})
        models = {IN_SIMULATOR: model}
        if options.compare:
            models[IN_MUJOCO] = MujocoDynamics(task, options.threads)
        found = {name: _evaluate(name, options, task, each, policy) for name, each in models.items()}
        random = random_return(task, options.episodes, action_repeat=options.config.action_repeat).mean
        imitation = None if options.distil is None else _distil(options, task, model, options.distil)
        table = _table(options.config, found, imitation, random)
        tracked.log_metrics({metric_names.RETURN_TRUE: found[IN_SIMULATOR].returns.mean}, step=0)
        tracked.describe(note(table))
        content: dict[str, object] = {name: _numbers(each) for name, each in found.items()}
        if imitation is not None:
            content["policy"] = {"returns": imitation.returns.tolist()}
        write_json(out / RESULT, {"random": random, "planner": options.config.model_dump(mode="json"), **content})
        filmed = options.video and _film(options, task, model, policy, out / VIDEO)
    console.print(table)
    console.print(f"result  {out / RESULT}")
    if filmed:
        console.print(f"video   {out / VIDEO}")
    if options.distil is not None:
        console.print(f"policy  {options.distil}")


def _evaluate(
    name: str, options: Options, task: Task, model: DynamicsModel, policy: Policy | None
) -> PlannerEvaluation:
    with progress_bar() as progress:
        total = episode_actions(task, options.config.action_repeat)
        bar = progress.add_task(f"plan {name}", total=total, status="")
        return evaluate_planner(
            task,
            model,
            options.config,
            options.episodes,
            policy=policy,
            on_action=lambda: progress.update(bar, advance=1),
        )


def _distil(options: Options, task: Task, model: DynamicsModel, folder: Path) -> PolicyEvaluation:
    config = options.distillation
    with progress_bar() as progress:
        actions = config.actions or episode_actions(task, options.config.action_repeat)
        bar = progress.add_task("distil", total=config.rounds * actions, status="")

        def show(round_: int) -> None:
            progress.update(bar, advance=1, status=f"round {round_ + 1} of {config.rounds}")

        policy = distil(task, model, options.config, config, show)
    save_policy(policy, folder)
    return evaluate_policy(policy.act, task, _EVALUATED, action_repeat=options.config.action_repeat)


def _numbers(found: PlannerEvaluation) -> dict[str, object]:
    return {
        "returns": found.returns.returns.tolist(),
        "control_steps_per_second": found.control_steps_per_second,
    }


def _table(
    config: PlannerConfig, found: dict[str, PlannerEvaluation], imitation: PolicyEvaluation | None, random: float
) -> Table:
    table = Table(title="return of an episode in the true task", title_justify="left")
    table.add_column("planner")
    for column in ("mean", "deviation", "control steps/s"):
        table.add_column(column, justify="right")
    for name, each in found.items():
        returns, speed = each.returns, f"{each.control_steps_per_second:,.0f}"
        table.add_row(f"{config.planner} {name}", f"{returns.mean:.0f}", f"{returns.std:.0f}", speed)
    if imitation is not None:
        table.add_row("policy that imitates it", f"{imitation.mean:.0f}", f"{imitation.std:.0f}", "")
    table.add_row("random", f"{random:.0f}", "", "")
    return table


def _film(options: Options, task: Task, model: DynamicsModel, policy: Policy | None, path: Path) -> bool:
    try:
        film_episode(planned_episode(task, model, options.config, options.video_seconds, policy=policy), task, path)
    except NoOpenGLError as error:
        console.print(f"no video of the planner: {error}")
        return False
    return True
