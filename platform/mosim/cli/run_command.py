"""`mosim run`: everything, under one output folder."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from mosim.cli.parsing import given_flags, parse_with_recipes, with_recipe
from mosim.cli.run_options import RunOptions
from mosim.cli.whole_run import WholeRun
from mosim.errors import MosimError
from mosim.policies import load_policy_recipe
from mosim.systems import load_task
from mosim.training import load_recipe

_SET_BY_SEED = ("--simulator.seed", "--policy.seed")


def main(arguments: Sequence[str]) -> None:
    """Runs the command."""
    options = parse_with_recipes(RunOptions, "run", arguments, _defaults, positional="task")
    if idle := [flag for flag in _SET_BY_SEED if flag in given_flags(arguments)]:
        raise MosimError(f"{idle[0]} would have no effect: --seed sets the seed of data, simulator and policy alike.")
    WholeRun(options, load_task(options.task)).run()


def _defaults(task: str | None, flags: Mapping[str, str]) -> RunOptions:
    """Options whose recipes are those that the arguments name, so that their fields are flags with these defaults."""
    file = flags.get("--policy-recipe")
    return with_recipe(
        RunOptions,
        simulator=load_recipe("" if task is None else load_task(task).facts.name, flags.get("--simulator-recipe")),
        policy=load_policy_recipe(
            task or "",
            None if file is None else Path(file),
            flags.get("--policy.algorithm"),
            allow_imports="--allow-imports" in flags,
        ),
    )
