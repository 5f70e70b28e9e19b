"""The dimensions of a search space: what each can be, and how a value of it is drawn."""

import json
import math
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Protocol, Self

import numpy as np
from pydantic import ConfigDict, Field, FiniteFloat, RootModel, field_validator, model_validator

from mosim.core.frozen import Frozen

Scalar = str | int | float | bool | None
"""What is drawn of a dimension: something that JSON, Optuna and Tune all hold."""


class Trial(Protocol):
    """What is asked of an `optuna.Trial`."""

    def suggest_categorical(self, name: str, choices: Sequence[Scalar], /) -> Any:
        """One of `choices`."""
        ...

    def suggest_float(
        self, name: str, low: float, high: float, /, *, step: float | None = None, log: bool = False
    ) -> float:
        """A number from `low` to `high`, both included."""
        ...

    def suggest_int(self, name: str, low: int, high: int, /) -> int:
        """A whole number from `low` to `high`, both included."""
        ...


class Kind(Protocol):
    """How a value of a dimension is drawn."""

    def draw(self, random: np.random.Generator) -> Scalar:
        """A value at random."""
        ...

    def suggest(self, trial: Trial, name: str) -> Scalar:
        """A value of the dimension `name`, by Optuna."""
        ...

    def takes(self, value: Scalar) -> bool:
        """Whether it can be drawn to be `value`, and not only with probability zero."""
        ...

    def bounded(self, value: Any) -> Scalar:
        """The nearest value that can be drawn."""
        ...

    def changes(self, name: str, value: Scalar) -> dict[str, Any]:
        """What `value` changes in the recipe, by dotted name; `name` is the dimension's."""
        ...


class _Range(Frozen):
    """Numbers from `low` to `high`. In YAML the list of a range's fields will do."""

    discrete: ClassVar[bool] = False

    low: FiniteFloat = Field(description="Smallest.")
    high: FiniteFloat = Field(description="Largest.")

    @model_validator(mode="before")
    @classmethod
    def _listed(cls, numbers: Any) -> Any:
        names = list(cls.model_fields)
        if isinstance(numbers, dict):
            return numbers
        if not isinstance(numbers, list | tuple) or len(numbers) != len(names):
            raise ValueError(f"it must be [{', '.join(names)}], not {json.dumps(numbers, default=str)}")
        return dict(zip(names, numbers, strict=True))

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.low >= self.high:
            raise ValueError(f"its low, {self.low:g}, must be below its high, {self.high:g}")
        return self

    def takes(self, value: Scalar) -> bool:
        """See `Kind`."""
        a_number = isinstance(value, int | float) and not isinstance(value, bool)
        return self.discrete and a_number and self.bounded(value) == value

    def bounded(self, value: Any) -> float:
        """See `Kind`."""
        return min(max(float(value), self.low), self.high)

    def changes(self, name: str, value: Scalar) -> dict[str, Any]:
        """See `Kind`."""
        return {name: value}


class Uniform(_Range):
    """Numbers that are all equally likely."""

    def draw(self, random: np.random.Generator) -> float:
        """See `Kind`."""
        return float(random.uniform(self.low, self.high))

    def suggest(self, trial: Trial, name: str) -> float:
        """See `Kind`."""
        return trial.suggest_float(name, self.low, self.high)


class LogUniform(_Range):
    """Numbers whose logarithms are all equally likely."""

    low: FiniteFloat = Field(gt=0, description="Smallest.")

    def draw(self, random: np.random.Generator) -> float:
        """See `Kind`."""
        return self.bounded(math.exp(random.uniform(math.log(self.low), math.log(self.high))))

    def suggest(self, trial: Trial, name: str) -> float:
        """See `Kind`."""
        return trial.suggest_float(name, self.low, self.high, log=True)


class QuantizedUniform(_Range):
    """The numbers `low`, `low + q`, and so on to `high`, all equally likely."""

    discrete: ClassVar[bool] = True

    q: FiniteFloat = Field(gt=0, description="Step between values.")

    @model_validator(mode="after")
    def _divided(self) -> Self:
        if not math.isclose((self.high - self.low) / self.q, self._last, rel_tol=1e-9):
            raise ValueError(f"{self.high:g} minus {self.low:g} is not a whole multiple of {self.q:g}")
        return self

    @property
    def _last(self) -> int:
        return round((self.high - self.low) / self.q)

    def draw(self, random: np.random.Generator) -> float:
        """See `Kind`."""
        return self._number(int(random.integers(self._last + 1)))

    def suggest(self, trial: Trial, name: str) -> float:
        """See `Kind`."""
        return self.bounded(trial.suggest_float(name, self.low, self.high, step=self.q))

    def bounded(self, value: Any) -> float:
        """See `Kind`."""
        return self._number(min(max(round((float(value) - self.low) / self.q), 0), self._last))

    def _number(self, place: int) -> float:
        return min(self.low + place * self.q, self.high)


class Integers(_Range):
    """Whole numbers, all equally likely."""

    discrete: ClassVar[bool] = True

    low: int = Field(description="Smallest.")
    high: int = Field(description="Upper bound, which is excluded.")

    def draw(self, random: np.random.Generator) -> int:
        """See `Kind`."""
        return int(random.integers(self.low, self.high))

    def suggest(self, trial: Trial, name: str) -> int:
        """See `Kind`."""
        return trial.suggest_int(name, self.low, self.high - 1)

    def bounded(self, value: Any) -> int:
        """See `Kind`."""
        return min(max(round(value), self.low), self.high - 1)


class Options(RootModel[tuple[Any, ...] | dict[str, dict[str, Any]]]):
    """Values to choose from, or changes of the recipe to choose from, by their labels.

    What is drawn is a label: a scalar's is itself, and that of a longer value is its compact JSON.
    """

    model_config = ConfigDict(frozen=True)

    @field_validator("root", mode="before")
    @classmethod
    def _listed(cls, options: Any) -> Any:
        if not isinstance(options, list | tuple | dict) or not options:
            raise ValueError("it must be a list of values, or a mapping of labels to changes of the recipe")
        if not isinstance(options, dict):
            labels = [json.dumps(label_of(option)) for option in options]
            if twice := [label for label in labels if labels.count(label) > 1]:
                raise ValueError(f"{twice[0]} is given twice")
            return tuple(options)
        for label, changes in options.items():
            if not isinstance(changes, dict):
                raise ValueError(
                    f"{label!r} must be a mapping from dotted names of the recipe to values; {{}} changes nothing"
                )
        return {str(label): {str(name): value for name, value in each.items()} for label, each in options.items()}

    @property
    def labels(self) -> tuple[Scalar, ...]:
        """Of each option, in order."""
        return tuple(self.root) if isinstance(self.root, dict) else tuple(map(label_of, self.root))

    def draw(self, random: np.random.Generator) -> Scalar:
        """See `Kind`."""
        return self.labels[random.integers(len(self.labels))]

    def suggest(self, trial: Trial, name: str) -> Scalar:
        """See `Kind`."""
        return trial.suggest_categorical(name, self.labels)

    def takes(self, value: Scalar) -> bool:
        """See `Kind`."""
        return any(type(label) is type(value) and label == value for label in self.labels)

    def bounded(self, value: Any) -> Scalar:
        """See `Kind`."""
        return value

    def changes(self, name: str, value: Scalar) -> dict[str, Any]:
        """See `Kind`."""
        if isinstance(self.root, dict):
            return self.root[str(value)]
        return {name: next(option for option in self.root if label_of(option) == value)}


class Dimension(Frozen):
    """A dimension of a search space: its kind and, optionally, a condition."""

    choice: Options | None = Field(default=None, description="One of these values, or of these labelled changes.")
    grid: Options | None = Field(
        default=None, description="Grid search over these values, or over these labelled changes."
    )
    uniform: Uniform | None = Field(default=None, description="[low, high]: a uniformly distributed number.")
    loguniform: LogUniform | None = Field(
        default=None, description="[low, high]: a number whose logarithm is uniformly distributed."
    )
    quniform: QuantizedUniform | None = Field(
        default=None, description="[low, high, q]: low plus a whole multiple of q, up to high, uniformly distributed."
    )
    randint: Integers | None = Field(
        default=None, description="[low, high]: a whole number, uniformly distributed; high is excluded."
    )
    when: dict[str, Annotated[tuple[Scalar, ...], Field(min_length=1)]] = Field(
        default={},
        description="Condition: values of earlier dimensions, by name. This dimension exists only if each has one of "
        "its values.",
    )

    @field_validator("when", mode="before")
    @classmethod
    def _single_values(cls, when: Any) -> Any:
        if not isinstance(when, dict):
            return when
        listed = {name: value if isinstance(value, list | tuple) else [value] for name, value in when.items()}
        return {str(name): tuple(map(label_of, values)) for name, values in listed.items()}

    @model_validator(mode="after")
    def _of_one_kind(self) -> "Dimension":
        if len(self._kinds) != 1:
            given = " and ".join(self._kinds) or "none of them"
            raise ValueError(f"a dimension must have exactly one of {', '.join(_KINDS)}; this one has {given}")
        return self

    @property
    def _kinds(self) -> dict[str, Kind]:
        return {name: kind for name in _KINDS if (kind := getattr(self, name)) is not None}

    @property
    def kind_name(self) -> str:
        """Such as `loguniform`."""
        return next(iter(self._kinds))

    @property
    def kind(self) -> Kind:
        """How it is drawn."""
        return self._kinds[self.kind_name]

    @property
    def options(self) -> Options | None:
        """Of a choice or a grid."""
        return self.choice or self.grid


_KINDS = tuple(name for name in Dimension.model_fields if name != "when")


def label_of(option: Any) -> Scalar:
    """What stands for an option in a draw: a scalar itself, else compact JSON."""
    if option is None or isinstance(option, str | int | float | bool):
        return option
    return json.dumps(option, separators=(",", ":"), default=str)
