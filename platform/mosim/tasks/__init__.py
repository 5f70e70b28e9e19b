"""Tasks: where episodes start, what is observed and rewarded, and when an episode ends; and every task by its name."""

import mosim.tasks.suite  # noqa: F401 Registers its evaluators.
from mosim.tasks.evaluation import Evaluation, Evaluator
from mosim.tasks.registry import FAMILIES, TaskFamily, find_system, is_class, load_system, load_task, task_names
from mosim.tasks.suite_task import SuiteTask, batched_tasks
from mosim.tasks.task import Task
from mosim.tasks.tensor_task import TensorTask

__all__ = [
    "FAMILIES",
    "Evaluation",
    "Evaluator",
    "SuiteTask",
    "Task",
    "TaskFamily",
    "TensorTask",
    "batched_tasks",
    "find_system",
    "is_class",
    "load_system",
    "load_task",
    "task_names",
]
