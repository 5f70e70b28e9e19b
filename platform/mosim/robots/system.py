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
        self, source: str, name: str, model: mujoco.MjModel, varying: Mapping[str, np.ndarray] | None = None
    ) -> None:
        """Reads the facts of a model.

        Args:
          source: what `load_system` made this of.
          name: names the system in facts, files and plots.
          model: the compiled model.
          varying: what of it differs from episode to episode, see `read_facts`.
        """
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
        return mjcf_system(Path(self.source))


def is_file(source: str) -> bool:
    """Whether a system's source is the path of a file: where a model lies, and no part of what it is."""
    return source.endswith((".xml", ".mjcf"))


def label_of(source: str) -> str:
    """A source as a name of folders and runs: a task's, a file's without its folder and ending, or a class's."""
    return Path(source).stem if is_file(source) else source.rpartition(":")[2]


def mjcf_system(path: Path) -> System:
    """Compiles an MJCF file.

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
    return System(str(path.resolve()), path.stem, model)
