"""`mosim run`: everything, under one output folder."""

from collections.abc import Sequence
from pathlib import Path

from mosim.cli.parsing import parse, peek, peek_positional, with_recipe
from mosim.cli.run_options import RunOptions
from mosim.cli.whole_run import WholeRun
from mosim.policies import load_policy_recipe
from mosim.systems import load_task
from mosim.training import load_recipe


def main(arguments: Sequence[str]) -> None:
    """Runs the command."""
    options = parse(RunOptions, "run", arguments, default=_defaults(arguments))
    WholeRun(options, load_task(options.task)).run()


def _defaults(arguments: Sequence[str]) -> RunOptions:
    """Options whose recipes are those that the arguments name, so that their fields are flags with these defaults."""
    task = peek_positional(arguments)
    simulator, policy = peek(arguments, "--simulator-recipe"), peek(arguments, "--policy-recipe")
    return with_recipe(
        RunOptions,
        simulator=load_recipe("" if task is None else load_task(task).facts.name, simulator),
        policy=load_policy_recipe(
            task or "", None if policy is None else Path(policy), peek(arguments, "--policy.algorithm")
        ),
    )
