"""Trajectories from the logs of robots: tables with a map from columns to joints and actuators."""

from pathlib import Path

import numpy as np

from mosim.core.console import console, warn
from mosim.data.dataset import Dataset
from mosim.data.episodes import Episode
from mosim.data.importing.kept import keep_episodes
from mosim.data.importing.log_episodes import Estimate, log_episodes
from mosim.data.importing.log_map import read_log_map
from mosim.data.importing.log_table import LogTable
from mosim.data.importing.orientations import turn_signs
from mosim.robots import SystemFacts
from mosim.tasks import load_system

_LONGEST_DELAY = 0.2
"""Seconds; longer delays between a command and its effect are not looked for."""

_DELAY_SAMPLE = 5000
"""Steps, about, that a delay is looked for in at most."""

_RIDGE = 1e-9
"""Regularisation of that fit, as a share of the mean square of what is fitted, for commands that never change."""

_DELAY_GAIN = 0.98
"""A delay is told where the accelerations that stay unexplained are below this share of those without one."""

_IMPACT = 5.0
"""Times the median acceleration; larger ones are cut to it where a delay is looked for."""

_POOR = 0.1
"""Inconsistency of estimated velocities above which a warning is due."""


def import_log(
    path: str | Path, log_map: str | Path, source: str, out: str | Path, allow_mismatch: bool = False
) -> Dataset:
    """Imports a robot's log into a dataset, resampled to the system's time step.

    Prints how the log was resampled, how well velocities are known that were not measured, and a constant delay between
    commands and motion where one is found.

    Args:
      path: a CSV, Parquet or `.npz` file, or a folder of Parquet files such as a LeRobot dataset; see `LogTable`.
      log_map: a YAML file, see `LogMap`.
      source: the system that the log is of: a task as `domain-task`, or the path of an MJCF file.
      out: the dataset's folder, a local path or a URI.
      allow_mismatch: whether data that cannot be motion of the system are taken nevertheless, with a warning.

    Raises:
      MosimError: log and map do not fit, or the log has no episode; says why.
      MismatchError: as `import_npz`.
    """
    path = Path(path)
    wanted = read_log_map(Path(log_map))
    system = load_system(source, allow_imports=True)
    found = log_episodes(LogTable(path), wanted, system)
    facts = system.facts
    for episode in found.episodes:
        turn_signs(episode.states, facts)
    if found.resampled is not None:
        console.print(f"resampled from steps of {found.resampled:.4g} s to steps of {facts.timestep:g} s")
    if found.dropped:
        warn(f"{path}: {found.dropped} pieces between gaps are too short and are left out.")
    for estimate in found.estimates:
        _tell(path, estimate)
    if (delay := find_delay(found.episodes, facts)) > 0:
        warn(
            f"{path}: the motion follows the commands best if they are {1000 * delay:.3g} ms later; add "
            f"`delay: {delay + wanted.delay:.6g}` to the map to shift them."
        )
    return keep_episodes(path, system, found.episodes, out, allow_mismatch, Path(log_map))


def find_delay(episodes: list[Episode], facts: SystemFacts) -> float:
    """A constant delay in seconds between commands and motion; 0 where none explains the motion better.

    Accelerations, but for the largest, which are impacts, are fitted by least squares to the state, the sine and cosine
    of positions, and the commands of so many steps before, by themselves and times sine and cosine. The delay is the
    number of steps that leaves the least unexplained.
    """
    wanted, longest = round(_LONGEST_DELAY / facts.timestep), max(len(episode.actions) for episode in episodes)
    most = min(wanted, longest // 2)
    long = [episode for episode in episodes if len(episode.actions) > most]
    if not facts.nu or most < 1:
        return 0.0
    # Steps before which there are as many commands as the longest delay has.
    steps = [(episode, step) for episode in long for step in range(most, len(episode.actions))]
    steps = steps[:: max(1, len(steps) // _DELAY_SAMPLE)]
    before, after = (np.stack([episode.states[step + ahead] for episode, step in steps]) for ahead in (0, 1))
    layout = facts.layout
    change = after[:, layout.qvel] - before[:, layout.qvel]
    usual = np.median(np.abs(change), axis=0)
    change = np.clip(change / np.where(usual > 0, usual, 1.0), -_IMPACT, _IMPACT)
    turns = np.concatenate([np.sin(before[:, layout.qpos]), np.cos(before[:, layout.qpos])], axis=1)
    # What the state explains is taken out of both, once.
    basis = np.linalg.qr(np.concatenate([np.ones((len(before), 1)), before, turns], axis=1))[0]
    change = change - basis @ (basis.T @ change)
    left = np.empty(most + 1)
    for lag in range(most + 1):
        late = np.stack([episode.actions[step - lag] for episode, step in steps])
        command = np.concatenate([late, (late[..., None] * turns[:, None]).reshape(len(turns), -1)], axis=1)
        command = command - basis @ (basis.T @ command)
        gram, response = command.T @ command, command.T @ change
        gram += _RIDGE * np.trace(gram) * np.eye(len(gram)) / len(gram)
        left[lag] = np.square(change - command @ np.linalg.solve(gram, response)).sum()
    best = int(np.argmin(left))
    return best * facts.timestep if left[best] < _DELAY_GAIN * left[0] else 0.0


def _tell(path: Path, estimate: Estimate) -> None:
    sentence = (
        f"velocities of {estimate.joint} are estimated from positions, whose noise is {estimate.noise:.2g}; those from "
        f"every other row differ by {estimate.inconsistency:.1%} of their spread"
    )
    if estimate.inconsistency > _POOR:
        warn(f"{path}: {sentence}.")
    else:
        console.print(sentence)
