"""Episodes of a log: cut at gaps, resampled to the system's time step, with velocities where they were not measured."""

import itertools
from typing import NamedTuple

import numpy as np
from scipy.interpolate import CubicSpline, make_smoothing_spline
from scipy.spatial.transform import Rotation, RotationSpline

from mosim.core.errors import MosimError, UnknownNameError
from mosim.data.episodes import Episode
from mosim.data.importing.log_map import ChannelMap, JointMap, LogMap, OrientationMap
from mosim.data.importing.log_table import LogTable
from mosim.geometry import JointFacts
from mosim.robots import System, SystemFacts

_SAME_STEP = 1e-3
"""Share of the time step by which intervals may differ from it and still be the same."""

_FEWEST_ROWS = 12
"""Of an episode; splines of every other row need some."""

_NOISY = 0.01
"""Share of the mean speed above which the noise of positions, as a speed from row to row, has to be smoothed."""


class Estimate(NamedTuple):
    """How well the velocities of a joint are known that were estimated from its positions.

    Attributes:
      joint: its name.
      noise: standard deviation of the noise on its positions, in SI units.
      inconsistency: how much velocities from every other row differ from those from all, as a share of their spread.
    """

    joint: str
    noise: float
    inconsistency: float


class LogEpisodes(NamedTuple):
    """What a log holds.

    Attributes:
      episodes: of at least two states.
      resampled: the log's median interval in seconds, where it is not the system's time step; else None.
      dropped: how many pieces between gaps were too short.
      estimates: of joints whose velocities were not measured, the mean over episodes.
    """

    episodes: list[Episode]
    resampled: float | None
    dropped: int
    estimates: list[Estimate]


def log_episodes(table: LogTable, log_map: LogMap, system: System) -> LogEpisodes:
    """Makes episodes of a log.

    Positions and measured velocities are interpolated by cubic splines, orientations by a rotation spline, commands
    are held. Where the log has the system's time step, they stay as they are. Velocities that were not measured are
    those that lead from the position a time step before to this one, as MuJoCo's integrators have them, Runge-Kutta
    aside. Where positions are noisy, these are of a smoothing spline, whose smoothness generalised cross-validation
    chooses (`scipy.interpolate.make_smoothing_spline`).

    Raises:
      MosimError: the map does not fit the table or the system; says what is missing.
    """
    reader = _Reader(table, log_map, system)
    episodes, dropped, estimates = [], 0, []
    steps = np.diff(reader.times)
    interval = float(np.median(steps[steps > 0])) if (steps > 0).any() else 0.0
    for piece in _pieces(reader.times, reader.episode, log_map.gap * interval):
        lasts = reader.times[piece.stop - 1] - reader.times[piece.start] - log_map.delay
        if piece.stop - piece.start < _FEWEST_ROWS or lasts < system.facts.timestep:
            dropped += 1
            continue
        states, actions, own = reader.resampled(piece)
        episodes.append(Episode(len(episodes), states, actions, np.empty(0)))
        estimates.append(own)
    if not episodes:
        raise MosimError(f"the log has no episode of at least {_FEWEST_ROWS} rows without a gap.")
    same = abs(interval / system.facts.timestep - 1) < _SAME_STEP
    means = [
        Estimate(each[0].joint, *np.mean([[one.noise, one.inconsistency] for one in each], axis=0).tolist())
        for each in zip(*estimates, strict=True)
    ]
    return LogEpisodes(episodes, None if same else interval, dropped, means)


def _pieces(times: np.ndarray, episode: np.ndarray | None, gap: float) -> list[slice]:
    """Rows between which no more than `gap` seconds pass, and which are of the same episode."""
    steps = np.diff(times)
    new = (steps <= 0) | (steps > gap)
    if episode is not None:
        new |= np.diff(episode) != 0
    bounds = [0, *(np.flatnonzero(new) + 1).tolist(), len(times)]
    return [slice(start, stop) for start, stop in itertools.pairwise(bounds)]


class _Reader:
    """Reads the channels of a log in SI units."""

    def __init__(self, table: LogTable, log_map: LogMap, system: System) -> None:
        self._map, self._facts = log_map, system.facts
        facts, model = system.facts, system.model
        if facts.activations:
            raise MosimError(f"{facts.name} has actuators with an activation, which logs do not have.")
        _require_names("joint", log_map.joints, [joint.name for joint in facts.joints])
        actuators = [model.actuator(index).name or f"actuator {index}" for index in range(facts.nu)]
        _require_names("actuator", log_map.actuators, actuators)
        if table.rows < 2:
            raise MosimError("the log has fewer than two rows.")
        if log_map.time is None:
            self.times = np.arange(table.rows) / (log_map.rate or 1.0)
        else:
            clock = table.column(log_map.time)
            self.times = (clock - clock[0]) * log_map.time_scale
        self.episode = None if log_map.episode is None else table.column(log_map.episode)
        self._joints = [_JointReader(joint, log_map.joints[joint.name], table) for joint in facts.joints]
        self._commands = np.empty((table.rows, facts.nu))
        for place, name in enumerate(actuators):
            self._commands[:, place] = _channel(table, log_map.actuators[name])

    def resampled(self, piece: slice) -> tuple[np.ndarray, np.ndarray, list[Estimate]]:
        """States, one action fewer, and what velocities were estimated, of rows without a gap."""
        times, step = self.times[piece], self._facts.timestep
        same = np.abs(np.diff(times) / step - 1).max() < _SAME_STEP
        shift = self._map.delay
        if same:
            lag = round(shift / step)
            grid = times[lag:]
        else:
            grid = np.arange(times[0] + shift, times[-1] + 1e-9 * step, step)
        states, estimates = np.empty((len(grid), self._facts.state_size)), []
        for joint in self._joints:
            estimates += joint.write(states, self._facts, times, grid, piece, exact=same)
        held = np.searchsorted(times, grid[:-1] - shift + 1e-6 * step, side="right") - 1
        return states, self._commands[piece][held.clip(0)], estimates


class _JointReader:
    """Reads one joint."""

    def __init__(self, joint: JointFacts, channels: JointMap, table: LogTable) -> None:
        self._joint = joint
        self._position = self._read(table, channels.position, "position", joint.kind in ("hinge", "slide", "free"))
        self._velocity = self._read(table, channels.velocity, "velocity", joint.kind != "ball")
        turning = joint.kind in ("ball", "free")
        if (channels.orientation is not None) != turning:
            verb = "needs an" if turning else "has no"
            raise MosimError(f"joint {joint.name!r} is a {joint.kind} joint, which {verb} orientation.")
        if channels.angular_velocity is not None and not turning:
            raise MosimError(f"joint {joint.name!r} is a {joint.kind} joint, which has no angular_velocity.")
        self._rotation = None if channels.orientation is None else _rotation(joint, channels.orientation, table)
        self._turning = None
        if self._rotation is not None and channels.angular_velocity is not None:
            self._turning = np.stack([_channel(table, each) for each in channels.angular_velocity], axis=-1)
            if channels.angular_velocity_frame == "world":
                self._turning = self._rotation.apply(self._turning, inverse=True)

    def _read(self, table: LogTable, channels: object, what: str, wanted: bool) -> np.ndarray | None:
        """A position or a velocity, `(rows, 1)` or `(rows, 3)`; None where the log has none."""
        joint = self._joint
        if channels is None:
            if wanted and what == "position":
                raise MosimError(f"joint {joint.name!r} needs a position.")
            return None
        given = [channels] if isinstance(channels, ChannelMap) else list(channels)  # pyright: ignore[reportArgumentType]
        width = 3 if joint.kind == "free" else 1
        if not wanted or len(given) != width:
            raise MosimError(
                f"joint {joint.name!r} is a {joint.kind} joint, which has "
                + (f"{width} columns of {what}, not {len(given)}." if wanted else f"no {what}.")
            )
        return np.stack([_channel(table, each) for each in given], axis=-1)

    def write(
        self, states: np.ndarray, facts: SystemFacts, times: np.ndarray, grid: np.ndarray, piece: slice, exact: bool
    ) -> list[Estimate]:
        """Writes the joint's part of the states at the times of `grid`; says what velocities were estimated."""
        joint, layout, estimates = self._joint, facts.layout, []
        step = 0.0 if facts.integrator == "RK4" else facts.timestep
        qpos, qvel = states[:, layout.qpos], states[:, layout.qvel]
        kept = slice(len(times) - len(grid), None) if exact else None

        def at(values: np.ndarray) -> np.ndarray:
            return values[kept] if kept is not None else CubicSpline(times, values)(grid)

        if self._position is not None:
            position = self._position[piece]
            width = position.shape[1]
            qpos[:, joint.qpos_address : joint.qpos_address + width] = at(position)
            if self._velocity is None:
                velocity, estimate = _estimated_velocity(joint.name, times, position, grid, step)
                estimates.append(estimate)
            else:
                velocity = at(self._velocity[piece])
            qvel[:, joint.dof_address : joint.dof_address + width] = velocity
        if self._rotation is not None:
            rotation, first = self._rotation[piece], joint.qpos_address + (3 if joint.kind == "free" else 0)
            turn = joint.dof_address + (3 if joint.kind == "free" else 0)
            spline = RotationSpline(times, rotation)
            quaternions = (rotation[kept] if kept is not None else spline(grid)).as_quat(scalar_first=True)
            qpos[:, first : first + 4] = quaternions
            if self._turning is not None:
                turning = at(self._turning[piece])
            elif step == 0:
                turning = spline(grid, 1)
            else:
                inside = np.maximum(grid - step, times[0])  # A rotation spline does not extrapolate.
                apart = np.maximum(grid - inside, 1e-9)[:, None]
                turning = (spline(inside).inv() * spline(grid)).as_rotvec() / apart
                turning[0] = turning[1] if grid[0] - step < times[0] else turning[0]
            qvel[:, turn : turn + 3] = turning
        return estimates


def _require_names(kind: str, given: object, known: list[str]) -> None:
    names = set(given)  # pyright: ignore[reportArgumentType]
    for name in sorted(names - set(known)):
        raise UnknownNameError.among(kind, name, known)
    if missing := [name for name in known if name not in names]:
        raise MosimError(f"the map has no {kind} {missing[0]!r}; it must name each of {', '.join(known)}.")


def _channel(table: LogTable, channel: ChannelMap) -> np.ndarray:
    return channel.factor * table.column(channel.column) + channel.offset


def _rotation(joint: JointFacts, orientation: OrientationMap, table: LogTable) -> Rotation:
    values = np.stack([table.column(name) for name in orientation.columns], axis=-1)
    lengths = np.linalg.norm(values, axis=-1)
    if (odd := np.abs(lengths - 1) > 0.01).any():
        row = int(np.argmax(odd))
        raise MosimError(
            f"the quaternion of joint {joint.name!r} has length {lengths[row]:.3g} in row {row}; it must be 1."
        )
    return Rotation.from_quat(values, scalar_first=orientation.order == "wxyz")


def _estimated_velocity(
    name: str, times: np.ndarray, position: np.ndarray, grid: np.ndarray, step: float
) -> tuple[np.ndarray, Estimate]:
    """Velocities from positions `(rows, width)` at the times of `grid`, and how well they are known."""
    velocity = _velocity(times, position, grid, step)
    half = _velocity(times[::2], position[::2], grid, step)
    apart, spread = float(np.sqrt(np.mean((half - velocity) ** 2))), float(velocity.std())
    return velocity, Estimate(name, _noise(position), apart / spread if spread > 0 else 0.0)


def _velocity(times: np.ndarray, position: np.ndarray, grid: np.ndarray, step: float) -> np.ndarray:
    rates = []
    for values in position.T:
        course = CubicSpline(times, values)
        speed = float(np.abs(np.diff(values)).mean() / np.diff(times).mean())
        if _noise(values[:, None]) / np.diff(times).mean() > _NOISY * speed:
            course = make_smoothing_spline(times, values)
        rates.append(course.derivative()(grid) if step == 0 else (course(grid) - course(grid - step)) / step)
    return np.stack(rates, axis=-1)


def _noise(position: np.ndarray) -> float:
    """The standard deviation of white noise on positions.

    Third differences have twenty times its variance, and hardly anything of a course that is smooth over a few rows;
    their median does not see the few rows in which it is not.
    """
    thirds = np.abs(np.diff(position, n=3, axis=0))
    return float(np.median(thirds) / (0.6745 * np.sqrt(20)))
