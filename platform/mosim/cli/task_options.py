"""Options of commands that go all the way from a task to a policy: the recipes are those that the task has."""

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path

from mosim.agents import load_policy_recipe
from mosim.cli.parsing import Options, given_flags, parse_with_recipes, with_recipe
from mosim.core.errors import MosimError
from mosim.tasks import load_task
from mosim.training import load_recipe

_SET_BY_SEED = ("--simulator.seed", "--policy.seed")


def parse_with_task(options: type[Options], command: str, arguments: Sequence[str]) -> Options:
    """Parses options with the fields `task`, `simulator`, `policy` and `seed`, which sets the recipes' seeds.

    Raises:
      MosimError: as `parse_with_recipes`, or a recipe's own seed is given.
    """
    defaults = functools.partial(_defaults, options)
    parsed = parse_with_recipes(options, command, arguments, defaults, positional="task")
    if idle := [flag for flag in _SET_BY_SEED if flag in given_flags(arguments)]:
        raise MosimError(
            f"{idle[0]} would have no effect: --seed sets the seed of the data, the simulator and the policy."
        )
    return parsed


def _defaults(options: type[Options], task: str | None, flags: Mapping[str, str]) -> Options:
    """Options whose recipes are those that the arguments name, so that their fields are flags with these defaults."""
    file = flags.get("--policy-recipe")
    system = "" if task is None else load_task(task, allow_imports=True).facts.name
    return with_recipe(
        options,
        simulator=load_recipe(system, flags.get("--simulator-recipe")),
        policy=load_policy_recipe(
            task or "",
            None if file is None else Path(file),
            flags.get("--policy.algorithm"),
            allow_imports="--allow-imports" in flags,
        ),
    )
