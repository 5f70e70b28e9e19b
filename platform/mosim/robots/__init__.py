"""What is simulated: a MuJoCo model, and what the rest of mosim knows of it."""

from mosim.robots.catalogue import ROBOTS, robot_file, robot_names, robot_system
from mosim.robots.facts import SystemFacts, read_facts, require_fit
from mosim.robots.mjcf_file import editable_model, require_replaceable, write_mjcf
from mosim.robots.physics import array_fields, physics_digests
from mosim.robots.servos import ServoFacts
from mosim.robots.state_layout import ActivationFacts, Dimension, StateLayout, StateParts
from mosim.robots.system import EpisodeStart, System, is_file, label_of, mjcf_system

__all__ = [
    "ROBOTS",
    "ActivationFacts",
    "Dimension",
    "EpisodeStart",
    "ServoFacts",
    "StateLayout",
    "StateParts",
    "System",
    "SystemFacts",
    "array_fields",
    "editable_model",
    "is_file",
    "label_of",
    "mjcf_system",
    "physics_digests",
    "read_facts",
    "require_fit",
    "require_replaceable",
    "robot_file",
    "robot_names",
    "robot_system",
    "write_mjcf",
]
