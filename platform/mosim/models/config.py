"""The shape of a learned model. Each kind of model has a config class of its own, which registers it by its `kind`."""

from __future__ import annotations

import abc
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, GetJsonSchemaHandler, SerializeAsAny
from pydantic_core import CoreSchema

from mosim.core.configuration import LocatedError
from mosim.core.frozen import Frozen

if TYPE_CHECKING:
    from mosim.models.learned import LearnedModel
    from mosim.models.statistics import Statistics
    from mosim.robots import SystemFacts

Knowledge = Literal["arrays", "geometry", "tree"]
"""What a model knows of a robot before it sees any data. Each level includes those before it.

arrays: the kind of each joint, so that angles and quaternions are known from lengths; the ranges of controls and of
actuators' activations, and which control each activation follows; the time step and MuJoCo's integrator.
geometry: the drawing: how links hang together, their shapes, which of these may touch, joint ranges; and which
coordinates no force depends on and whether the heading matters, found by moving them in MuJoCo.
tree: that links have masses, joints armature, damping and springs, and controls gears; and gravity. No level reads the
values of any of these.
"""


class ModelConfig(Frozen, abc.ABC):
    """Everything that decides which weights a model has and how it predicts.

    A subclass whose field `kind` has a default registers that kind: recipes name it as `model: {kind: ...}`, and
    checkpoints of it can be loaded wherever the subclass is imported.
    """

    kind: str = Field(description="The kind of model.")

    kinds: ClassVar[dict[str, type[ModelConfig]]] = {}
    """The registered config classes, by their kind."""

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        """Registers a subclass that names a kind."""
        super().__pydantic_init_subclass__(**kwargs)
        kind = cls.model_fields["kind"].default
        if isinstance(kind, str):
            other = cls.kinds.setdefault(kind, cls)
            if (other.__module__, other.__qualname__) != (cls.__module__, cls.__qualname__):
                raise TypeError(f"{cls.__qualname__} has the kind {kind!r}, which is that of {other.__qualname__}.")
            cls.kinds[kind] = cls  # A module that is imported again, as notebooks do, has the newer class.

    @property
    @abc.abstractmethod
    def structure(self) -> str:
        """What the model is made of, in a few words, such as `rigid_body + constraints + corrector`."""

    @property
    @abc.abstractmethod
    def knowledge(self) -> Knowledge:
        """What the model knows of the robot beside the data."""

    @property
    @abc.abstractmethod
    def part_names(self) -> tuple[str, ...]:
        """The names of the parts that a stage can train; see `LearnedModel.parts`."""

    @property
    def solvable_parts(self) -> tuple[str, ...]:
        """Those of them that the optimizer `least_squares` can train; see `LearnedModel.solve`."""
        return ()

    @property
    def has_uncertainty(self) -> bool:
        """Whether the model has an uncertainty, see `DynamicsModel.uncertainty`."""
        return False

    @abc.abstractmethod
    def build(self, facts: SystemFacts, statistics: Statistics) -> LearnedModel:
        """Makes a model of this shape, with weights drawn from torch's random numbers.

        Args:
          facts: of the system.
          statistics: of the training data.
        """


_DEFAULT_KIND = "mosim"


def _of_its_kind(values: Any) -> Any:
    """Validates a mapping as the config class that its `kind` names."""
    if not isinstance(values, dict):
        return values
    kind = values.get("kind", _DEFAULT_KIND)
    if kind not in ModelConfig.kinds:
        allowed = ", ".join(ModelConfig.kinds)
        raise LocatedError(("kind",), f"there is no kind of model {kind!r}; allowed are: {allowed}")
    return ModelConfig.kinds[kind].model_validate(values)


class _Kinds:
    """The JSON schema of a config of any kind, from which messages take the keys that are allowed."""

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        del schema
        members = [handler(each.__pydantic_core_schema__) for each in ModelConfig.kinds.values()]
        return {"oneOf": members, "discriminator": {"propertyName": "kind"}}


AnyModelConfig = Annotated[SerializeAsAny[ModelConfig], BeforeValidator(_of_its_kind), _Kinds]
"""A field that holds a config of any registered kind; a mapping without `kind` is a neural simulator's."""
