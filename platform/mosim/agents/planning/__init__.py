"""Planning in a simulator at test time: actions are searched anew at every step, from the state that there is."""

from mosim.agents.planning.config import PlannerConfig, PlannerKind
from mosim.agents.planning.distillation import Demonstrations, DistillationConfig, distil, imitated
from mosim.agents.planning.planner import Planner
from mosim.agents.planning.planner_evaluation import PlannerEvaluation, evaluate_planner, planned_episode

__all__ = [
    "Demonstrations",
    "DistillationConfig",
    "Planner",
    "PlannerConfig",
    "PlannerEvaluation",
    "PlannerKind",
    "distil",
    "evaluate_planner",
    "imitated",
    "planned_episode",
]
