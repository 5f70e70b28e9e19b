"""Recipes as YAML files: read into typed records, with mistakes told as sentences."""

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from mosim.errors import MosimError

Model = TypeVar("Model", bound=BaseModel)


def read_yaml(path: Path) -> dict[str, Any]:
    """Reads a YAML file that holds a mapping; an empty file is an empty one.

    Raises:
      MosimError: the file is missing, is not YAML, or holds something else; names the file and the line.
    """
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise MosimError(f"{path} cannot be read: {error.strerror}.") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise MosimError(f"{path} is not YAML: {' '.join(str(error).split())}.") from None
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise MosimError(f"{path} must hold keys and values, such as `seed: 0`; it holds a {type(values).__name__}.")
    return values


def read_yaml_model(path: Path, model_class: type[Model]) -> Model:
    """Reads a YAML file into a pydantic model.

    Raises:
      MosimError: as `read_yaml`, and for an unknown key or a value that is not allowed; names the file, the key and
        what is allowed.
    """
    return validate(read_yaml(path), model_class, str(path))


def validate(values: dict[str, Any], model_class: type[Model], source: str) -> Model:
    """Makes a pydantic model of `values`; `source` is what a mistake in them is said of, such as a file's path.

    Raises:
      MosimError: an unknown key or a value that is not allowed; names the source, the key and what is allowed.
    """
    try:
        return model_class.model_validate(values)
    except ValidationError as error:
        raise MosimError("; ".join(_sentence(source, detail, model_class) for detail in error.errors()) + ".") from None


def with_values(model: Model, values: Mapping[str, Any], source: str) -> Model:
    """A copy of a pydantic model in which some values are others; the whole is validated again.

    Args:
      model: as it is so far.
      values: by dotted name, such as `model.correctors.0.inputs`; a number is a place in a list. A whole list or part
        may be replaced too; of a part that was, only what was given exists for the names that follow.
      source: what a mistake is said of.

    Raises:
      MosimError: a name that the model does not have, with those that are there; or as `validate`.
    """
    changed = model.model_dump(mode="json")
    for name, value in values.items():
        place: Any = changed
        *way, last = str(name).split(".")
        for depth, step in enumerate(way):
            place = place[_existing(place, step, way[:depth], name, source)]
        place[_existing(place, last, way, name, source)] = copy.deepcopy(value)
    return validate(changed, type(model), source)


def _existing(place: Any, step: str, way: list[str], name: str, source: str) -> str | int:
    """The key or the index that `step` stands for in `place`, which the steps of `way` lead to."""
    if isinstance(place, dict) and step in place:
        return step
    if isinstance(place, list) and step.isdecimal() and int(step) < len(place):
        return int(step)
    if not isinstance(place, dict | list):
        raise MosimError(f"{source}: there is no {name!r}: {'.'.join(way)} is {place!r}, which has no parts.")
    known = ", ".join(map(str, place if isinstance(place, dict) else range(len(place)))) or "nothing"
    within = f" in {'.'.join(way)!r}" if way else ""
    raise MosimError(f"{source}: there is no {name!r}; there are{within}: {known}.")


def _sentence(source: str, detail: ErrorDetails, model_class: type[BaseModel]) -> str:
    key = ".".join(map(str, detail["loc"]))
    if detail["type"] == "extra_forbidden":
        return f"{source}: unknown key {key!r}; allowed are: {', '.join(_sibling_keys(model_class, detail['loc']))}"
    if detail["type"] == "missing":
        return f"{source}: key {key!r} is missing"
    message = detail["msg"][0].lower() + detail["msg"][1:]
    return f"{source}: key {key!r} is {detail['input']!r}; {message}" if key else f"{source}: {message}"


def _sibling_keys(model_class: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    """The keys allowed where an unknown one was found, following nested models and lists of them."""
    schema = model_class.model_json_schema()
    definitions = schema.get("$defs", {})

    def resolved(part: dict[str, Any]) -> dict[str, Any]:
        for option in (part, *part.get("anyOf", ()), *part.get("oneOf", ())):
            if "$ref" in option:
                return definitions[option["$ref"].rsplit("/", maxsplit=1)[-1]]
            if "properties" in option or "items" in option:
                return option
        return part

    for step in location[:-1]:
        schema = resolved(schema)
        if isinstance(step, int):
            schema = schema.get("items") or (schema.get("prefixItems") or [{}])[0]
        else:
            schema = schema.get("properties", {}).get(step, schema)
    return sorted(resolved(schema).get("properties", {}))
