"""`mosim run`: everything, under one output folder."""

from collections.abc import Sequence

from mosim.cli.parsing import CommandOptions
from mosim.cli.task_options import parse_with_task
from mosim.experiments.pipeline import RunSettings, WholeRun
from mosim.tasks import load_task


class Options(CommandOptions, RunSettings):
    """Run all steps, from a MuJoCo task to a policy trained only in its neural simulator.

    Collects trajectories with Ray actors, trains a neural simulator in stages, measures its horizon error on held-out
    episodes, trains a policy with RLlib in the simulator alone and, for comparison, the same recipe in the true task,
    and evaluates both in the true task. Every field of both recipes is a flag below. After Ctrl-C or a crash, the same
    command with --resume continues.

      mosim run reacher-easy
    """


def main(arguments: Sequence[str]) -> None:
    """Runs the command."""
    options = parse_with_task(Options, "run", arguments)
    WholeRun(options, load_task(options.task, allow_imports=True)).run()
