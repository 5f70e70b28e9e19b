"""Flags from typed records, by tyro; a mistake in them is a sentence and exit code 2."""

import contextlib
import io
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, TypeVar

import tyro
from pydantic import BaseModel, ConfigDict, ValidationError

from mosim.core.errors import MosimError

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

_HELP = {"-h", "--help"}


def parse(options: type[Options], command: str, arguments: Sequence[str], default: Options | None = None) -> Options:
    """Parses a command's arguments into its typed options.

    Args:
      options: a `CommandOptions`, or another frozen pydantic model.
      command: the command's name, for usage lines.
      arguments: what follows the command's name, in any order; in flags an underscore is a hyphen.
      default: values for the flags that are not given, where the type's own defaults are not meant.

    Raises:
      MosimError: as `CommandOptions`, or a flag is repeated.
    """
    return _parsed(options, command, _canonical(arguments), default)


def parse_with_recipes(
    options: type[Options],
    command: str,
    arguments: Sequence[str],
    defaults: Callable[[str | None, Mapping[str, str]], Options],
    positional: str | None = None,
) -> Options:
    """Parses the arguments of a command in which every field of a recipe is a flag.

    Which flags there are, and their defaults, depends on the recipe; and the recipe on what is given. A positional
    argument decides it wherever it stands: it is the word that is parsed as such under the recipe that it leads to.

    Args:
      options: as for `parse`.
      command: likewise.
      arguments: likewise.
      defaults: makes the options' defaults, with the recipes, of the positional argument and of the flags that are
        given, by name such as `--recipe`; raises `MosimError` for a word that is no such argument.
      positional: the field of the positional argument; None where only flags decide.

    Raises:
      MosimError: as `parse` and `defaults`.
    """
    arguments = _canonical(arguments)
    flags = given_flags(arguments)
    if positional is None:
        return _parsed(options, command, arguments, defaults(None, flags))
    words = [argument for argument in arguments if not argument.startswith("-")]
    if arguments[:1] == words[:1]:
        word = next(iter(words), None)
    else:  # Any of them may be the value of a flag.
        word = _positional(options, arguments, lambda word: defaults(word, flags), positional, words)
    if word is not None or set(arguments) & _HELP:
        return _parsed(options, command, arguments, defaults(word, flags))
    # No word can be it: under the defaults of none, what is wrong is said of the word that is parsed as such.
    parsed = _parsed(options, command, arguments, defaults(None, flags))
    return _parsed(options, command, arguments, defaults(getattr(parsed, positional), flags))


def given_flags(arguments: Sequence[str]) -> dict[str, str]:
    """The flags of a command line with the first value of each, by name such as `--recipe`; empty where it has none."""
    flags = {}
    for argument, following in zip(arguments, (*arguments[1:], "-"), strict=True):
        name, sign, value = argument.partition("=")
        if _is_flag(argument):
            flags[name] = value if sign or following.startswith("-") else following
    return flags


def _canonical(arguments: Sequence[str]) -> list[str]:
    """The arguments with hyphens in the names of flags; a flag that is given twice is refused."""
    canonical, seen = [], set()
    for argument in arguments:
        if not _is_flag(argument):
            canonical.append(argument)
            continue
        name, sign, value = argument.partition("=")
        name = name.replace("_", "-")
        *path, last = name.removeprefix("--").split(".")
        setting = ".".join((*path, last.removeprefix("no-")))
        if setting in seen:
            raise MosimError(f"--{setting} is given twice; give it once.")
        seen.add(setting)
        canonical.append(f"{name}{sign}{value}")
    return canonical


def _is_flag(argument: str) -> bool:
    return argument.startswith("--") and argument != "--"


def _positional(
    options: type[Options],
    arguments: Sequence[str],
    defaults: Callable[[str], Options],
    positional: str,
    words: Sequence[str],
) -> str | None:
    """The word that is parsed as the positional argument under the defaults that it leads to.

    Where something else is wrong, so that none is, the last that leads to any; None where no word does.
    """
    found = None
    rest = [argument for argument in arguments if argument not in _HELP]
    for word in words:
        try:
            default = defaults(word)
        except MosimError:
            continue
        found = word
        try:
            with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
                parsed = tyro.cli(options, args=rest, default=default, console_outputs=False)
        except (MosimError, ValidationError, SystemExit):
            continue
        if getattr(parsed, positional) == word:
            break
    return found


def _parsed(options: type[Options], command: str, arguments: Sequence[str], default: Options | None) -> Options:
    program = f"mosim {command}"
    try:
        if default is None:
            return tyro.cli(options, prog=program, args=list(arguments))
        # Without it, an optional part of a recipe would be a subcommand, and every mistake would list it.
        config = (tyro.conf.AvoidSubcommands,)
        return tyro.cli(options, prog=program, args=list(arguments), default=default, config=config)
    except ValidationError as error:  # Of a recipe whose fields are flags.
        raise MosimError(_sentence(error)) from None


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
