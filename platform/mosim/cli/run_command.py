"""`mosim run`: everything, under one output folder."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from mosim.agents import load_policy_recipe
from mosim.cli.parsing import CommandOptions, given_flags, parse_with_recipes, with_recipe
from mosim.core.errors import MosimError
from mosim.experiments.pipeline import RunSettings, WholeRun
from mosim.tasks import load_task
from mosim.training import load_recipe

_SET_BY_SEED = ("--simulator.seed", "--policy.seed")


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
    options = parse_with_recipes(Options, "run", arguments, _defaults, positional="task")
    if idle := [flag for flag in _SET_BY_SEED if flag in given_flags(arguments)]:
        raise MosimError(
            f"{idle[0]} would have no effect: --seed sets the seed of the data, the simulator and the policy."
        )
    WholeRun(options, load_task(options.task, allow_imports=True)).run()


def _defaults(task: str | None, flags: Mapping[str, str]) -> Options:
    """Options whose recipes are those that the arguments name, so that their fields are flags with these defaults."""
    file = flags.get("--policy-recipe")
    system = "" if task is None else load_task(task, allow_imports=True).facts.name
    return with_recipe(
        Options,
        simulator=load_recipe(system, flags.get("--simulator-recipe")),
        policy=load_policy_recipe(
            task or "",
            None if file is None else Path(file),
            flags.get("--policy.algorithm"),
            allow_imports="--allow-imports" in flags,
        ),
    )
