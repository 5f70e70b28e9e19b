"""Flags from typed records, by tyro; a mistake in them is a sentence and exit code 2."""

from collections.abc import Sequence
from typing import Annotated, Any, TypeVar

import tyro
from pydantic import BaseModel, ConfigDict, ValidationError

from mosim.errors import MosimError

Verbose = Annotated[bool, tyro.conf.arg(aliases=["-v"])]
"""The type of the flag that shows everyone's chatter; every command that works for long has it."""


class CommandOptions(BaseModel):
    """A command's options: a flag for each field, whose description is its help and whose bounds are checked.

    A field of type `tyro.conf.Positional[...]` has no flag; one of type bool has `--flag` and `--no-flag`.

    Raises:
      MosimError: a value is out of its bounds; names the flag and what is allowed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise MosimError(_sentence(error)) from None  # tyro would print a ValidationError as it stands.


Options = TypeVar("Options")


def parse(options: type[Options], command: str, arguments: Sequence[str], default: Options | None = None) -> Options:
    """Parses a command's arguments into its typed options.

    Args:
      options: a `CommandOptions`, or another frozen pydantic model.
      command: the command's name, for usage lines.
      arguments: what follows the command's name.
      default: values for the flags that are not given, where the type's own defaults are not meant.

    Raises:
      MosimError: as `CommandOptions`.
    """
    program = f"mosim {command}"
    try:
        if default is None:
            return tyro.cli(options, prog=program, args=list(arguments))
        return tyro.cli(options, prog=program, args=list(arguments), default=default)
    except ValidationError as error:  # Of a recipe whose fields are flags.
        raise MosimError(_sentence(error)) from None


def peek(arguments: Sequence[str], flag: str) -> str | None:
    """A flag's value, read before the flags themselves are known; None where it is not given.

    `mosim train TASK --recipe FILE` needs it: the recipe's fields are flags too, and their defaults are in the file.
    """
    for index, argument in enumerate(arguments):
        if argument.startswith(f"{flag}="):
            return argument.partition("=")[2]
        if argument == flag and index + 1 < len(arguments):
            return arguments[index + 1]
    return None


def peek_positional(arguments: Sequence[str]) -> str | None:
    """The first positional argument, where the arguments begin with it; else None."""
    return arguments[0] if arguments and not arguments[0].startswith("-") else None


def with_recipe(options: type[Options], **recipes: BaseModel) -> Options:
    """The defaults of a command whose recipes' fields are flags: those of its type, and those of the recipes given."""
    values = {
        name: tyro.MISSING if field.is_required() else field.default
        for name, field in options.model_fields.items()  # pyright: ignore[reportAttributeAccessIssue]
    }
    return options.model_construct(**values | recipes)  # pyright: ignore[reportAttributeAccessIssue]


def _sentence(error: ValidationError) -> str:
    """What is wrong with a flag, or with several together."""
    mistake = error.errors(include_url=False)[0]
    reason = mistake["msg"][0].lower() + mistake["msg"][1:]
    if not mistake["loc"]:
        return f"{reason.removeprefix('value error, ')}."
    flag = ".".join(str(part).replace("_", "-") for part in mistake["loc"])
    return f"--{flag} {mistake['input']}: {reason}."
