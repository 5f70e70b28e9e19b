"""A YAML file that says which channel of a log is which joint and actuator."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from mosim.core.configuration import read_yaml_model
from mosim.core.frozen import Frozen

Unit = Literal["rad", "deg", "rev", "m", "cm", "mm"]

_SI: dict[Unit, float] = {
    "rad": 1.0,
    "deg": 0.017453292519943295,
    "rev": 6.283185307179586,
    "m": 1.0,
    "cm": 0.01,
    "mm": 0.001,
}


def _named(value: Any) -> Any:
    """A column's name alone stands for a channel without a conversion."""
    return {"column": value} if isinstance(value, str) else value


class ChannelMap(Frozen):
    """One column of a log, as `scale * column * unit + offset`."""

    column: str = Field(description="Name of a column; name[i] is column i of an array or of a list.")
    unit: Unit = Field(default="rad", description="Unit of the column, per second for velocities.")
    scale: float = Field(default=1.0, description="Factor, such as -1 for another sign, or a gear ratio.")
    offset: float = Field(default=0.0, description="Added afterwards, in SI units.")

    @property
    def factor(self) -> float:
        """What a value of the column is multiplied by."""
        return self.scale * _SI[self.unit]


Channel = Annotated[ChannelMap, BeforeValidator(_named)]


class OrientationMap(Frozen):
    """The quaternion of a ball or a free joint."""

    columns: tuple[str, str, str, str] = Field(description="The quaternion's four columns.")
    order: Literal["wxyz", "xyzw"] = Field(description="Their order; MuJoCo's is wxyz, that of ROS and scipy xyzw.")


class JointMap(Frozen):
    """The channels of a joint: a hinge and a slide have a position, a ball an orientation, a free joint both."""

    position: Channel | tuple[Channel, Channel, Channel] | None = Field(
        default=None, description="One column; of a free joint, three: x, y, z in the world's frame."
    )
    orientation: OrientationMap | None = Field(default=None, description="Of a ball or a free joint.")
    velocity: Channel | tuple[Channel, Channel, Channel] | None = Field(
        default=None,
        description="One column; of a free joint, three, in the world's frame. If omitted: estimated from positions.",
    )
    angular_velocity: tuple[Channel, Channel, Channel] | None = Field(
        default=None, description="Of a ball or a free joint. If omitted: estimated from the orientations."
    )
    angular_velocity_frame: Literal["body", "world"] = Field(
        default="body", description="Frame of the angular velocity; MuJoCo's is that of the body."
    )


class LogMap(Frozen):
    """What the columns of a log are. Joints and actuators have the names of the MJCF."""

    time: str | None = Field(default=None, description="Column of the time.")
    time_scale: float = Field(default=1.0, gt=0, description="Seconds per unit of that column, such as 1e-9.")
    rate: float | None = Field(default=None, gt=0, description="Rows per second, if there is no column of the time.")
    episode: str | None = Field(default=None, description="Column whose change begins another episode.")
    gap: float = Field(
        default=2.5, gt=1, description="An interval of more than so many median intervals begins another episode."
    )
    delay: float = Field(
        default=0.0, ge=0, description="Seconds from a command in the log to its effect; commands are shifted by it."
    )
    joints: dict[str, JointMap] = Field(description="By the names of the joints.")
    actuators: dict[str, Channel] = Field(default={}, description="By the names of the actuators: their commands.")

    @model_validator(mode="after")
    def _has_a_clock(self) -> "LogMap":
        if (self.time is None) == (self.rate is None):
            raise ValueError("give either time, a column, or rate, in rows per second")
        return self


def read_log_map(path: Path) -> LogMap:
    """Reads a map.

    Raises:
      MosimError: it is missing or not valid; names the line.
    """
    return read_yaml_model(path, LogMap)
