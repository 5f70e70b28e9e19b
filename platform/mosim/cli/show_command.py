"""`mosim show`: a film of a simulator's prediction under the truth, and a contact sheet of it."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import tyro
from pydantic import Field

from mosim.cli.parsing import CommandOptions, Verbose, parse
from mosim.cli.shown_episode import shown_episode
from mosim.core.console import console, progress_bar, quiet
from mosim.core.errors import MosimError
from mosim.core.threads import torch_threads
from mosim.data import Dataset
from mosim.evaluation import MODEL_NAME, Comparison, FilmStyle, compare, film_comparison, write_contact_sheet
from mosim.experiments.pipeline import pick_device
from mosim.rendering import FILM_SUFFIX, SHEET_SUFFIX, Camera, require_film_name, require_opengl, require_sheet_name
from mosim.robots import System, label_of, require_fit
from mosim.tasks import find_system
from mosim.training import Checkpoint, load_simulator, read_checkpoint
from mosim_analysis.names import with_knowledge

_STYLE = FilmStyle()

_STEPS, _SECONDS = 1000, 10.0
"""How much is shown by default: whichever of the two is less."""


class Options(CommandOptions):
    """Render a simulator's prediction below the true motion, from the same start and with the same actions.

    Both robots are seen by the same camera. A plot below them shows the horizon error over time on a logarithmic axis,
    between persistence (predict no change) and the chaos floor (MuJoCo itself, started 1e-6 away). A contact sheet of a
    few moments is written beside the video, for papers.

    Without --data, the episode is a standard held-out episode, on which nothing is trained; --seed is its index. With
    --policy, a policy acts on the true state, and the simulator is given the same actions. Rendering needs OpenGL, but
    no screen. If OpenGL is missing, the error message names the package to install.

      mosim show runs/reacher-easy
      mosim show runs/cheetah --task cheetah-run --seconds 3 --speed 0.25 --out cheetah.mp4
      mosim show runs/reacher-easy --policy runs/reacher-easy/zero-shot/policy --out policy.mp4
    """

    checkpoint: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="CHECKPOINT")] = Field(
        description="A checkpoint, or the folder of a training run."
    )
    task: Annotated[str | None, tyro.conf.arg(metavar="TASK")] = Field(
        default=None, description="The true system, if it is not the one that the checkpoint names."
    )
    out: Annotated[Path | None, tyro.conf.arg(metavar="MP4")] = Field(
        default=None, description="The video. If omitted: TASK.mp4 in the folder of the training run."
    )
    sheet: Annotated[Path | None, tyro.conf.arg(metavar="PNG")] = Field(
        default=None, description="The contact sheet. If omitted: beside the video, under the same name."
    )
    moments: int = Field(default=_STYLE.moments, ge=2, le=24, description="Pictures per row of the contact sheet.")
    data: Annotated[str | None, tyro.conf.arg(metavar="DATASET")] = Field(
        default=None, description="A dataset that the simulator was not trained on; --seed selects a start in it."
    )
    policy: Annotated[str | None, tyro.conf.arg(metavar="POLICY")] = Field(
        default=None,
        description="The policy that acts: the folder of a trained policy, or a Python callable as module:function.",
    )
    steps: Annotated[int | None, tyro.conf.arg(metavar="INT")] = Field(
        default=None,
        ge=1,
        description=f"Physics steps to show. If omitted: {_STEPS}, or {_SECONDS:g} seconds if that is less.",
    )
    seconds: Annotated[float | None, tyro.conf.arg(metavar="FLOAT")] = Field(
        default=None, gt=0, description="Seconds of motion to show, in place of --steps."
    )
    seed: int = Field(
        default=0, ge=0, lt=2**32, description="Index of the held-out episode, or seed of the start in --data."
    )
    fps: float = Field(default=_STYLE.fps, gt=0, le=240, description="Frames per second.")
    speed: float = Field(
        default=_STYLE.speed, gt=0, description="Seconds of motion per second of video; 0.25 is slow motion."
    )
    width: int = Field(
        default=_STYLE.width, ge=160, le=3840, multiple_of=2, description="Width of the video, in pixels."
    )
    camera: Annotated[str | None, tyro.conf.arg(metavar="NAME")] = Field(
        default=None,
        description="A camera of the model. If omitted: one that follows the robot and shows all of it.",
    )
    device: str = Field(default="auto", description="Device of the simulator: auto, cpu, cuda, cuda:1, ...")
    threads: int = Field(default=1, ge=1, description="CPU threads for torch.")
    verbose: Verbose = Field(default=False, description="Show the output of libraries on the terminal.")


def main(arguments: Sequence[str]) -> None:
    """Runs the command."""
    options = parse(Options, "show", arguments)
    with quiet(Path(os.devnull), options.verbose):
        checkpoint = read_checkpoint(options.checkpoint)
        system = find_system(options.task, checkpoint.system, "--task", f"the simulator in {options.checkpoint}")
        require_fit(checkpoint.facts, system.facts, f"the simulator in {options.checkpoint}")
        film, sheet = _places(options, checkpoint, system)
        dataset = None if options.data is None else Dataset.open(options.data)
        # What does not work is said before the long part.
        require_opengl()
        style = FilmStyle(options.fps, options.speed, options.width, options.camera, options.moments)
        Camera(system, style.camera)
        device = pick_device(options.device)
        steps, most = _steps(options, system.facts.timestep)
        episode = shown_episode(
            system, steps, seed=options.seed, dataset=dataset, trained_on=checkpoint.dataset_id, policy=options.policy,
            at_most=most,
        )  # fmt: skip
        with torch_threads(options.threads):
            comparison = compare(load_simulator(checkpoint.path, device), system, episode, device, options.seed)
        with progress_bar() as progress:
            bar = progress.add_task(f"render {film.name}", total=None, status="")
            frames = film_comparison(
                comparison,
                system,
                film,
                style,
                on_frame=lambda done, total: progress.update(bar, completed=done, total=total),
            )
        write_contact_sheet(comparison, system, sheet, style)
    _print(comparison, film, sheet, frames, options)


def _places(options: Options, checkpoint: Checkpoint, system: System) -> tuple[Path, Path]:
    """The paths of film and contact sheet: in the folder of the run that was named, not inside the checkpoint."""
    named = options.checkpoint
    folder = checkpoint.path.parent.parent if named == checkpoint.path else named
    film = folder / f"{label_of(system.source)}{FILM_SUFFIX}" if options.out is None else options.out
    sheet = film.with_suffix(SHEET_SUFFIX) if options.sheet is None else options.sheet
    require_film_name(film)
    require_sheet_name(sheet)
    return film, sheet


def _steps(options: Options, timestep: float) -> tuple[int, bool]:
    """How many physics steps to show, and whether fewer will do."""
    if options.steps is not None and options.seconds is not None:
        raise MosimError("--steps and --seconds both set the length; give one of them.")
    if options.seconds is not None:
        return max(round(options.seconds / timestep), 1), False
    if options.steps is not None:
        return options.steps, False
    return min(_STEPS, round(_SECONDS / timestep)), True


def _print(comparison: Comparison, film: Path, sheet: Path, frames: int, options: Options) -> None:
    titles = {name: name for name in comparison.errors} | {MODEL_NAME: with_knowledge(MODEL_NAME, comparison.knowledge)}
    errors = ", ".join(f"{title} {comparison.horizon_errors(name)[-1]:.3g}" for name, title in titles.items())
    seconds = comparison.steps * comparison.facts.timestep
    console.print(f"horizon error over these {comparison.steps} steps ({seconds:g} s): {errors}")
    size = f"{frames} frames, {frames / options.fps:.1f} s, {film.stat().st_size / 1e6:.1f} MB"
    console.print(f"wrote {film} ({size})")
    console.print(f"wrote {sheet}")
