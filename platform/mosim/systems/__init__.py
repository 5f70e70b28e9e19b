"""What is simulated: facts read from a MuJoCo model, dm_control tasks taken apart, the registry."""

import mosim.systems.reacher  # noqa: F401 Registers its batched evaluator.
from mosim.systems.evaluation import Evaluation, Evaluator, batched_tasks, evaluator_for
from mosim.systems.facts import DOF_WIDTH, QPOS_WIDTH, Frozen, JointFacts, SystemFacts, read_facts
from mosim.systems.registry import load_system, load_task, task_names
from mosim.systems.system import EpisodeStart, System
from mosim.systems.task import Task

__all__ = [
    "DOF_WIDTH",
    "QPOS_WIDTH",
    "EpisodeStart",
    "Evaluation",
    "Evaluator",
    "Frozen",
    "JointFacts",
    "System",
    "SystemFacts",
    "Task",
    "batched_tasks",
    "evaluator_for",
    "load_system",
    "load_task",
    "read_facts",
    "task_names",
]
