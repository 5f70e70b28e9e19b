"""A search space: drawn at random, asked of Optuna, mutated, and turned into changes of a recipe."""

import itertools
import json
import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from mosim.experiments.sweep.dimensions import Dimension, Kind, Scalar, Trial

Draw = dict[str, Scalar]
"""A value for each dimension that exists under the others; in the space's order."""


@dataclass(frozen=True)
class Resample:
    """A fresh value of a dimension, for schedulers that want a function; it draws by Python's own generator."""

    kind: Kind

    def __call__(self) -> Scalar:
        """Draws it."""
        return self.kind.draw(np.random.default_rng(random.getrandbits(64)))


@dataclass(frozen=True)
class Space:
    """Dimensions by name, each of which may depend on those before it."""

    dimensions: Mapping[str, Dimension]

    def draws(self, count: int, seed: int) -> list[Draw]:
        """Draws at random, each of them at every point of the grid; what comes twice is left out.

        Those of a larger `count` begin with these, and a dimension that is added at the end leaves them as they are.

        Args:
          count: draws of what is not grid.
          seed: determines them.
        """
        drawn = (self._drawn(seed, index) for index in range(count))
        return _distinct(self._existing(values | point) for values in drawn for point in self._grid())

    def samples(self, count: int, seed: int) -> list[Draw]:
        """Draws at random, the grid like a choice, and then one for each option of each choice and grid."""
        whole = [self._drawn(seed, index) | self._gridded(seed, index) for index in range(count)]
        forced = [
            values | self._leading_to(name, label)
            for values, (name, label) in zip(itertools.cycle(whole), self._labels(), strict=False)
        ]
        return _distinct(map(self._existing, whole + forced))

    def suggest(self, trial: Trial) -> Draw:
        """A draw by Optuna; dimensions that do not exist under the others are not asked for."""
        draw: Draw = {}
        for name, dimension in self.dimensions.items():
            if _exists(dimension, draw):
                draw[name] = dimension.kind.suggest(trial, name)
        return draw

    def mutations(self, names: Iterable[str]) -> dict[str, Callable[[], Scalar] | list[Scalar]]:
        """Dimensions as `ray.tune.schedulers.PopulationBasedTraining` takes them in `hyperparam_mutations`."""
        return {
            name: list(dimension.options.labels) if dimension.options else Resample(dimension.kind)
            for name, dimension in ((name, self.dimensions[name]) for name in names)
        }

    def bounded(self, draw: Mapping[str, Any]) -> Draw:
        """A draw whose values are those of `draw`, or the nearest that can be drawn; a mutation may lead out."""
        return {name: self.dimensions[name].kind.bounded(value) for name, value in draw.items()}

    def changes(self, draw: Mapping[str, Scalar]) -> dict[str, Any]:
        """What a draw changes in a recipe, by dotted name, in the order in which it is to be changed."""
        return {name: value for _, name, value in self._attributed(draw)}

    def origins(self, draw: Mapping[str, Scalar]) -> dict[str, tuple[str, ...]]:
        """Where the values of `changes` stand in the space, by the same names: keys that start at a dimension's."""
        return {name: origin for origin, name, _ in self._attributed(draw)}

    def _attributed(self, draw: Mapping[str, Scalar]) -> list[tuple[tuple[str, ...], str, Any]]:
        """Changes with their origins; of changes of one name the last alone, at its place."""
        changes: dict[str, tuple[tuple[str, ...], str, Any]] = {}
        for dimension_name, dimension in self.dimensions.items():
            if dimension_name not in draw:
                continue
            label, kind_name = draw[dimension_name], dimension.kind_name
            labelled = dimension.options is not None and isinstance(dimension.options.root, dict)
            for name, value in dimension.kind.changes(dimension_name, label).items():
                changes.pop(name, None)
                origin = (dimension_name, kind_name, *((str(label), name) if labelled else ()))
                changes[name] = (origin, name, value)
        return list(changes.values())

    def _drawn(self, seed: int, index: int) -> Draw:
        """Of every dimension but grids, also of those that do not exist, so that one draw is like another."""
        generator = np.random.default_rng([seed, index])
        return {name: each.kind.draw(generator) for name, each in self.dimensions.items() if each.grid is None}

    def _gridded(self, seed: int, index: int) -> Draw:
        points = self._grid()
        return points[np.random.default_rng([seed, index, 1]).integers(len(points))]

    def _grid(self) -> list[Draw]:
        grids = {name: each.grid.labels for name, each in self.dimensions.items() if each.grid is not None}
        return [dict(zip(grids, point, strict=True)) for point in itertools.product(*grids.values())]

    def _labels(self) -> Iterator[tuple[str, Scalar]]:
        for name, dimension in self.dimensions.items():
            for label in dimension.options.labels if dimension.options else ():
                yield name, label

    def _leading_to(self, name: str, value: Scalar) -> Draw:
        """The values under which a dimension exists and has this value."""
        parents = [self._leading_to(parent, values[0]) for parent, values in self.dimensions[name].when.items()]
        return {key: each for parent in parents for key, each in parent.items()} | {name: value}

    def _existing(self, values: Draw) -> Draw:
        draw: Draw = {}
        for name, dimension in self.dimensions.items():
            if _exists(dimension, draw):
                draw[name] = values[name]
        return draw


def _exists(dimension: Dimension, draw: Draw) -> bool:
    return all(name in draw and draw[name] in values for name, values in dimension.when.items())


def _distinct(draws: Iterable[Draw]) -> list[Draw]:
    return list({json.dumps(draw): draw for draw in draws}.values())
