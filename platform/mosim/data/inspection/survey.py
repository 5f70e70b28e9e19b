"""What is in a dataset, as records."""

from mosim.core.frozen import Frozen
from mosim.data.behaviours import Behaviour
from mosim.data.inspection.running_statistics import HeldActions, Place


class Coverage(Frozen):
    """Where one dimension of the state has been, in raw units; what is not finite is counted and left out.

    Attributes:
      name: as in `SystemFacts.state_names`.
      minimum, maximum, mean, deviation: of all values; null where none is finite.
      quantiles: by their share, of at most `SAMPLED_ROWS` values.
      not_finite: how many values are not.
      first_not_finite: where the first of them is.
      lower, upper: the joint's range, where it has one.
      within_range: share of the steps within it.
    """

    name: str
    minimum: float | None
    maximum: float | None
    mean: float | None
    deviation: float | None
    quantiles: dict[str, float]
    not_finite: int
    first_not_finite: Place | None
    lower: float | None = None
    upper: float | None = None
    within_range: float | None = None


class ActuatorUse(Frozen):
    """What one actuator was given, in actuator units.

    Attributes:
      name: `ctrl[0]` and so on.
      lower, upper: the control range.
      minimum, maximum, mean, deviation: of all actions; null where none is finite.
      zero: share of the steps at which it is given exactly zero.
      at_bound: share at an end of the control range.
      outside: share beyond it, which MuJoCo clips.
      not_finite: how many actions are not.
    """

    name: str
    lower: float
    upper: float
    minimum: float | None
    maximum: float | None
    mean: float | None
    deviation: float | None
    zero: float
    at_bound: float
    outside: float
    not_finite: int


class Survey(Frozen):
    """What is in a dataset, or in the part of it that is finished.

    Attributes:
      uri, id, source: as the dataset's.
      system: the system's name.
      behaviour: how actions were chosen.
      seed: of the collection; null for imported trajectories.
      episodes, wanted_episodes: those that are there, and those that there will be.
      shortest, longest: physics steps of an episode.
      physics_steps: of all episodes.
      seconds: of motion.
      bytes_on_disk: what its files take.
      coverage: of each dimension of the state.
      actuators: of each actuator.
      held: how long actions are held.
      at_limits: share of the states in which a joint is at its limit or beyond; null where no joint has one.
      crooked_quaternions: states with an orientation that is not of unit length.
      same_start: whether all of two episodes or more start in one state.
      sampled: states that the quantiles are of.
      copies: episodes that are the same as an earlier one of the dataset, each with that one.
    """

    uri: str
    id: str
    source: str
    system: str
    behaviour: Behaviour
    seed: int | None
    episodes: int
    wanted_episodes: int
    shortest: int
    longest: int
    physics_steps: int
    seconds: float
    bytes_on_disk: int
    coverage: tuple[Coverage, ...]
    actuators: tuple[ActuatorUse, ...]
    held: HeldActions
    at_limits: float | None
    crooked_quaternions: int
    same_start: bool
    sampled: int
    copies: tuple[tuple[int, int], ...]
