"""What is simulated: facts read from a MuJoCo model, dm_control tasks taken apart, the registry."""

import mosim.systems.batched  # noqa: F401 Registers its evaluators.
from mosim.systems.contacts import ContactGaps
from mosim.systems.evaluation import Evaluation, Evaluator, batched_tasks, evaluator_for
from mosim.systems.facts import DOF_WIDTH, QPOS_WIDTH, JointFacts, SystemFacts, read_facts
from mosim.systems.frozen import Frozen
from mosim.systems.gaps import Gaps, contact_frames
from mosim.systems.jacobians import Jacobians
from mosim.systems.kinematics import Kinematics, Points, Poses, Velocities
from mosim.systems.mjcf_file import editable_model, require_replaceable, write_mjcf
from mosim.systems.registry import find_system, is_file, load_system, load_task, task_names
from mosim.systems.skeleton import WORLD, Frame, Link, Pair, Shape, Skeleton, read_skeleton
from mosim.systems.spatial import buffer, index_buffer, rotation_matrices, rotation_of, twist_matrices, wrenches
from mosim.systems.system import EpisodeStart, System
from mosim.systems.task import Task
from mosim.systems.tree_motion import Placement, TreeMotion

__all__ = [
    "DOF_WIDTH",
    "QPOS_WIDTH",
    "WORLD",
    "ContactGaps",
    "EpisodeStart",
    "Evaluation",
    "Evaluator",
    "Frame",
    "Frozen",
    "Gaps",
    "Jacobians",
    "JointFacts",
    "Kinematics",
    "Link",
    "Pair",
    "Placement",
    "Points",
    "Poses",
    "Shape",
    "Skeleton",
    "System",
    "SystemFacts",
    "Task",
    "TreeMotion",
    "Velocities",
    "batched_tasks",
    "buffer",
    "contact_frames",
    "editable_model",
    "evaluator_for",
    "find_system",
    "index_buffer",
    "is_file",
    "load_system",
    "load_task",
    "read_facts",
    "read_skeleton",
    "require_replaceable",
    "rotation_matrices",
    "rotation_of",
    "task_names",
    "twist_matrices",
    "wrenches",
    "write_mjcf",
]
