"""Tasks: where episodes start, what is observed and rewarded, and when an episode ends; and every task by its name."""

import mosim.tasks.suite  # noqa: F401 Registers its evaluators.
from mosim.tasks.evaluation import Evaluation, Evaluator, batched_tasks, evaluator_for
from mosim.tasks.registry import find_system, load_system
from mosim.tasks.task import Task, load_task, task_names

__all__ = [
    "Evaluation",
    "Evaluator",
    "Task",
    "batched_tasks",
    "evaluator_for",
    "find_system",
    "load_system",
    "load_task",
    "task_names",
]
