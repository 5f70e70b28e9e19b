"""Trajectories from `.npz` files, such as the paper's authors publish."""

from pathlib import Path

from mosim.core.console import warn
from mosim.core.errors import MosimError
from mosim.data.dataset import Dataset
from mosim.data.importing.kept import keep_episodes
from mosim.data.importing.npz_file import read_npz
from mosim.tasks import load_system


def import_npz(file: str | Path, source: str, out: str | Path, allow_mismatch: bool = False) -> Dataset:
    """Imports a file's trajectories into a dataset. Nothing in the file is unpickled.

    The file holds either `data`, rows `[q, v, u, q', v']` of shape `(episodes, steps, 2 (nq + nv) + nu)` or
    `(steps, ...)`; or `states`, `(episodes, T + 1, nq + nv)` or as many as actions, and `actions`, `(episodes, T, nu)`,
    both perhaps without the first axis; a system without actuators needs no actions. A row of `data` that does not
    follow from the one before begins an episode. Arrays that say where episodes end are those of
    `mosim.data.importing.episode_ends`.

    Args:
      file: the `.npz` file.
      source: the system they are of: a task as `domain-task`, or the path of an MJCF file.
      out: the dataset's folder, a local path or a URI.
      allow_mismatch: whether data that cannot be motion of the system are taken nevertheless, with a warning.

    Raises:
      MosimError: the file holds something else; names the array, its shape and what is expected.
      MismatchError: the data are not motion of the system, see `mosim.data.inspection.replay_check`, or another dataset
        lies in the folder.
    """
    file = Path(file)
    if not file.is_file():
        raise MosimError(f"there is no file at {file}.")
    system = load_system(source, allow_imports=True)
    episodes, turned, unused = read_npz(file, system.facts)
    if unused:
        warn(f"{file}: these arrays are not used: {', '.join(unused)}.")
    if turned:
        warn(
            f"{file}: the signs of {turned} quaternions are changed to match the preceding step; the orientations "
            "stay the same."
        )
    return keep_episodes(file, system, episodes, out, allow_mismatch)
