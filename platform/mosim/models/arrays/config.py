"""What the configs of these kinds have in common."""

import abc

from pydantic import Field

from mosim.models.config import Knowledge, ModelConfig


class ArrayConfig(ModelConfig, abc.ABC):
    """A model of states and actions alone, as wide as its number of weights says."""

    parameters: int = Field(
        default=200_000, ge=100, description="Number of weights, from which the width of the layers follows."
    )
    width: int | None = Field(default=None, ge=1, description="Width of the layers, in place of parameters.")

    @property
    def knowledge(self) -> Knowledge:
        """See `ModelConfig`."""
        return "arrays"
