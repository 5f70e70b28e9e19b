"""YAML files read into typed records; mistakes are told as sentences that name the file, the line and the key."""

import copy
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from mosim.core.errors import MosimError

Model = TypeVar("Model", bound=BaseModel)

Location = tuple[int | str, ...]
"""The keys, and the places in lists, that lead to a value."""


class LocatedError(ValueError):
    """What a model's validator raises where a part of the model is to blame."""

    def __init__(self, location: Location, sentence: str) -> None:
        """`location` starts at the model; `sentence` says what is wrong there."""
        super().__init__(sentence)
        self.location = location


class YamlFile(NamedTuple):
    """What a YAML file says, and where.

    Attributes:
      path: of the file.
      values: an empty file holds none.
      root: the file's syntax tree, its merged keys (`<<`) in place.
    """

    path: Path
    values: dict[str, Any]
    root: yaml.Node | None

    def place(self, location: Location) -> str:
        """Where a value stands, or else the innermost part around it that does: such as `study.yaml, line 3`."""
        node, line = self.root, None
        for step in location:
            if (found := _part(node, step)) is None:
                break
            line, node = found
        return f"{self.path}, line {line}" if line else str(self.path)


def read_yaml_file(path: Path) -> YamlFile:
    """Reads a YAML file that holds a mapping; an empty file is an empty one.

    Raises:
      MosimError: the file is missing, is not YAML, holds something else, or has a key twice; names the file and the
        line.
    """
    try:
        loader = yaml.SafeLoader(path.read_text(encoding="utf-8"))
        root = loader.get_single_node()
        _refuse_repeated_keys(root, path)
        values = {} if root is None else loader.construct_document(root)
    except OSError as error:
        raise MosimError(f"{path} cannot be read: {error.strerror}.") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise MosimError(f"{path} is not valid YAML: {' '.join(str(error).split())}.") from None
    if values is None:
        values = {}
    if not isinstance(values, dict):
        raise MosimError(f"{path} must contain keys and values, such as `seed: 0`, and not a {type(values).__name__}.")
    return YamlFile(path, values, root)


def read_yaml(path: Path) -> dict[str, Any]:
    """The values alone of `read_yaml_file`."""
    return read_yaml_file(path).values


def read_yaml_model(path: Path, model_class: type[Model]) -> Model:
    """Reads a YAML file into a pydantic model.

    Raises:
      MosimError: as `read_yaml_file`, and for an unknown key or a value that is not allowed; names the file, the line,
        the key and what is allowed.
    """
    file = read_yaml_file(path)
    return _validated(file.values, model_class, file.place)


def validate(values: dict[str, Any], model_class: type[Model], source: str) -> Model:
    """Makes a pydantic model of `values`; `source` is what a mistake in them is said of, such as a file's path.

    Raises:
      MosimError: an unknown key or a value that is not allowed; names the source, the key and what is allowed.
    """
    return _validated(values, model_class, lambda _: source)


def with_values(model: Model, values: Mapping[str, Any], source: str, places: Mapping[str, str] | None = None) -> Model:
    """A copy of a pydantic model in which some values are others; the whole is validated again.

    Args:
      model: as it is so far.
      values: by dotted name, such as `model.correctors.0.inputs`; a number is a place in a list. A whole list or part
        may be replaced too; of a part that was, only what was given exists for the names that follow.
      source: what a mistake is said of.
      places: where values were given, by the same names, such as `study.yaml, line 3`; said instead of `source` of a
        mistake that such a value makes.

    Raises:
      MosimError: a name that the model does not have, with those that are there; or as `validate`.
    """
    places = places or {}
    changed = model.model_dump(mode="json")
    for name, value in values.items():
        place: Any = changed
        *way, last = str(name).split(".")
        for depth, step in enumerate(way):
            place = place[_existing(place, step, way[:depth], name, places.get(name, source))]
        place[_existing(place, last, way, name, places.get(name, source))] = copy.deepcopy(value)

    def said_of(location: Location) -> str:
        steps = [str(step) for step in location]
        prefixes = (".".join(steps[:length]) for length in range(len(steps), 0, -1))
        return next((places[prefix] for prefix in prefixes if prefix in places), source)

    return _validated(changed, type(model), said_of)


def _refuse_repeated_keys(root: yaml.Node | None, path: Path) -> None:
    """Refuses a mapping with a key twice, of which YAML's own readers take the last without a word."""
    left, seen = [root], set()
    while left:
        node = left.pop()
        if id(node) in seen:  # An alias leads to a node again.
            continue
        seen.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            left += node.value
        elif isinstance(node, yaml.MappingNode):
            lines: dict[tuple[str, str], int] = {}
            for key, value in node.value:
                if isinstance(key, yaml.ScalarNode):
                    line, name = key.start_mark.line + 1, (key.tag, key.value)
                    if name in lines:
                        raise MosimError(
                            f"{path}, line {line}: key {key.value!r} was already given in line {lines[name]}."
                        )
                    lines[name] = line
                left.append(value)


def _part(node: yaml.Node | None, step: int | str) -> tuple[int, yaml.Node] | None:
    """The line and the node of what `step` leads to; a key of the mapping itself comes after merged ones (`<<`)."""
    if isinstance(node, yaml.MappingNode):
        for key, value in reversed(node.value):
            if key.value == str(step):
                return key.start_mark.line + 1, value
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        return node.value[step].start_mark.line + 1, node.value[step]
    return None


def _existing(place: Any, step: str, way: list[str], name: str, source: str) -> str | int:
    """The key or the index that `step` stands for in `place`, which the steps of `way` lead to."""
    if isinstance(place, dict) and step in place:
        return step
    if isinstance(place, list) and step.isdecimal() and int(step) < len(place):
        return int(step)
    if not isinstance(place, dict | list):
        raise MosimError(f"{source}: there is no {name!r}: {'.'.join(way)} is {place!r}, which has no keys.")
    known = ", ".join(map(str, place if isinstance(place, dict) else range(len(place)))) or "nothing"
    within = f" in {'.'.join(way)!r}" if way else ""
    raise MosimError(f"{source}: there is no {name!r}; available{within}: {known}.")


def _validated(values: dict[str, Any], model_class: type[Model], place: Callable[[Location], str]) -> Model:
    try:
        return model_class.model_validate(values)
    except ValidationError as error:
        sentences = "; ".join(_sentence(detail, values, model_class, place) for detail in error.errors())
        raise MosimError(sentences if sentences.endswith("?") else f"{sentences}.") from None


def _sentence(
    detail: ErrorDetails, values: dict[str, Any], model_class: type[BaseModel], place: Callable[[Location], str]
) -> str:
    own = detail.get("ctx", {}).get("error")
    location = (*_written(detail["loc"], values), *getattr(own, "location", ()))
    key, source = ".".join(map(str, location)), place(location)
    if detail["type"] == "extra_forbidden":
        allowed = ", ".join(_sibling_keys(model_class, detail["loc"], values))
        return f"{source}: unknown key {key!r}; allowed are: {allowed}"
    if detail["type"] == "missing":
        return f"{source}: key {key!r} is missing"
    if own is not None:
        sentence = str(own).removesuffix(".")
        return f"{source}: key {key!r}: {sentence}" if key else f"{source}: {sentence}"
    message = detail["msg"][0].lower() + detail["msg"][1:]
    return f"{source}: key {key!r} is {detail['input']!r}; {message}" if key else f"{source}: {message}"


def _written(location: Location, values: Any) -> Location:
    """A location without the steps that nobody wrote, with which pydantic names the members of unions."""
    steps = []
    for place, step in enumerate(location):
        if _leads_on(step, values):
            values = values[step]
        elif place < len(location) - 1:
            continue
        steps.append(step)
    return tuple(steps)


def _leads_on(step: int | str, values: Any) -> bool:
    if isinstance(values, dict):
        return step in values
    return isinstance(values, list | tuple) and isinstance(step, int) and step < len(values)


def _sibling_keys(model_class: type[BaseModel], location: Location, values: Any) -> list[str]:
    """The keys allowed where an unknown one was found, following nested models, lists, mappings and unions of them."""
    schema = model_class.model_json_schema()
    definitions = schema.get("$defs", {})

    def resolved(part: dict[str, Any], values: Any) -> dict[str, Any]:
        if "discriminator" in part:
            name = part["discriminator"]["propertyName"]
            tag = values.get(name) if isinstance(values, dict) else None
            members = [resolved(option, values) for option in part["oneOf"]]
            return next((each for each in members if each["properties"][name].get("const") == tag), members[0])
        for option in (part, *part.get("anyOf", ()), *part.get("oneOf", ())):
            if "$ref" in option:
                return definitions[option["$ref"].rsplit("/", maxsplit=1)[-1]]
            if option.keys() & {"properties", "items", "additionalProperties"}:
                return option
        return part

    for step in location[:-1]:
        if member := schema.get("discriminator", {}).get("mapping", {}).get(step):
            schema = {"$ref": member}
            continue
        schema = resolved(schema, values)
        values = values[step] if _leads_on(step, values) else None
        if isinstance(step, int):
            schema = schema.get("items") or (schema.get("prefixItems") or [{}])[0]
        else:
            inner = schema.get("properties", {}).get(step) or schema.get("additionalProperties")
            schema = inner if isinstance(inner, dict) else schema
    return sorted(resolved(schema, values).get("properties", {}))
