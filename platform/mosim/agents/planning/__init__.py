"""Planning in a simulator at test time: actions are searched anew at every step, from the state that there is."""

from mosim.agents.planning.config import PlannerConfig, PlannerKind
from mosim.agents.planning.planner import Planner
from mosim.agents.planning.planner_evaluation import PlannerEvaluation, evaluate_planner, planned_episode

__all__ = [
    "Planner",
    "PlannerConfig",
    "PlannerEvaluation",
    "PlannerKind",
    "evaluate_planner",
    "planned_episode",
]
