"""A MuJoCo model as something to simulate: facts, episode starts, and open-loop physics."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import mujoco
import numpy as np

from mosim.core.errors import MosimError
from mosim.robots.facts import SystemFacts, read_facts

INITIAL_NOISE = 0.1
"""Standard deviation of the start of an episode of a system without a task: radians or metres, and their rates."""


_SHARED_NAMES = {"scene", "robot", "model", "main", "world"}
"""Of MJCF files, that say nothing of what is in them."""


class EpisodeStart(NamedTuple):
    """Where an episode starts: `state` of shape `(state_size,)`, `context` of shape `(context_size,)`."""

    state: np.ndarray
    context: np.ndarray


class System:
    """A compiled MuJoCo model. A `Task` is a system with more to it."""

    context_size: int = 0
    context_names: tuple[str, ...] = ()
    """What each number of a context is."""
    context_in_dynamics: bool = False
    """Whether the physics, and not only observation and reward, depend on an episode's context."""

    def __init__(
        self,
        source: str,
        name: str,
        model: mujoco.MjModel,
        varying: Mapping[str, np.ndarray] | None = None,
        path: Path | None = None,
    ) -> None:
        """Reads the facts of a model.

        Args:
          source: what `load_system` made this of.
          name: names the system in facts, files and plots.
          model: the compiled model.
          varying: what of it differs from episode to episode, see `read_facts`.
          path: of the MJCF file that it was compiled from, where there is one.
        """
        self.path = path
        self.source = source
        self.model = model
        self.facts: SystemFacts = read_facts(model, name, varying)

    @property
    def n_substeps(self) -> int:
        """Physics steps in a control step."""
        return 1

    def reset(self, seed: Sequence[int]) -> EpisodeStart:
        """Draws the start of an episode.

        Without a task, that is the model's first keyframe, or else `qpos0`, moved in every degree of freedom by a
        normal deviate of `INITIAL_NOISE`, with velocities drawn alike, and limited joints kept within their range.

        Args:
          seed: integers that determine the start; any length.
        """
        random = np.random.default_rng(list(seed))
        facts = self.facts
        qpos = np.array(self.model.key_qpos[0] if self.model.nkey else self.model.qpos0)
        mujoco.mj_integratePos(self.model, qpos, random.normal(0, INITIAL_NOISE, facts.nv), 1.0)
        for joint in facts.joints:
            if joint.limited and joint.kind in ("slide", "hinge"):
                qpos[joint.qpos_address] = np.clip(qpos[joint.qpos_address], joint.lower, joint.upper)
        qvel = random.normal(0, INITIAL_NOISE, facts.nv)
        return EpisodeStart(np.concatenate([qpos, qvel, np.zeros(facts.layout.na)]), np.empty(0))

    def model_for(self, context: np.ndarray) -> mujoco.MjModel:
        """A model to run an episode of this context in; shared unless the physics depend on the context."""
        del context
        return self.model

    def write_context(self, context: np.ndarray, model: mujoco.MjModel, data: mujoco.MjData) -> None:
        """Puts an episode's context into a copy of the model and its data; empty, or `(context_size,)`."""
        del context, model, data

    def reload(self) -> "System":
        """The same system, loaded anew from its source.

        Raises:
          MosimError: as when it was loaded.
        """
        return mjcf_system(Path(self.source) if self.path is None else self.path, self.source)


def is_file(source: str) -> bool:
    """Whether a system's source is the path of a file: where a model lies, and no part of what it is."""
    return source.endswith((".xml", ".mjcf"))


def label_of(source: str) -> str:
    """A source as a name of systems, folders and runs: a task's, a robot's, a class's, or a file's without its ending.

    A file that has the name of many others, such as `scene.xml`, is named after its folder too.
    """
    if not is_file(source):
        return source.rpartition(":")[2]
    path = Path(source)
    folder = path.absolute().parent.name
    return f"{folder}-{path.stem}" if path.stem in _SHARED_NAMES and folder else path.stem


def mjcf_system(path: Path, source: str = "") -> System:
    """Compiles an MJCF file.

    Args:
      path: of the file.
      source: what `load_system` makes this of, and what names the system, where it is not the file's path.

    Raises:
      MosimError: the file is missing or does not compile.
      UnsupportedSystemError: see `read_facts`.
    """
    if not path.is_file():
        raise MosimError(f"there is no MJCF file at {path}.")
    try:
        model = mujoco.MjModel.from_xml_path(str(path))
    except ValueError as error:
        raise MosimError(f"{path} does not compile: {error}") from None
    own = source if source and not is_file(source) else ""
    return System(own or str(path.resolve()), own or label_of(str(path)), model, path=path.resolve())
