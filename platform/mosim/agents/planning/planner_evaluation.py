"""A planner in the true task: whole episodes, in each of which it sees the true state at every action."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from mosim.agents.planning.config import PlannerConfig
from mosim.agents.planning.planner import Planner
from mosim.agents.policy import Policy
from mosim.agents.policy_evaluation import EVAL_SEED, Acting, PolicyEvaluation, max_episode_steps, whole_episodes
from mosim.envs import EnvironmentCore, EnvState, MoSimVectorEnv
from mosim.models import DynamicsModel, MujocoDynamics
from mosim.tasks import Task

if TYPE_CHECKING:
    from mosim.agents.film import PolicyEpisode


class PlannerEvaluation(NamedTuple):
    """What came of it.

    Attributes:
      returns: in the true task.
      control_steps_per_second: of all episodes together, planning included.
    """

    returns: PolicyEvaluation
    control_steps_per_second: float


def evaluate_planner(
    task: Task,
    model: DynamicsModel,
    config: PlannerConfig,
    episodes: int = 5,
    seed: int = EVAL_SEED,
    policy: Policy | None = None,
    on_action: Callable[[], None] = lambda: None,
) -> PlannerEvaluation:
    """Plans in a model, acts in the true task, in whole episodes that run side by side.

    Args:
      task: the true task.
      model: to plan in, such as a simulator, or `MujocoDynamics` itself.
      config: how to plan.
      episodes: how many, at least 1.
      seed: of their starts; those of `evaluate_policy`.
      policy: whose actions are tried as a plan, beside the random ones, and whose value function, where it has one,
        says what follows a plan.
      on_action: called after each action.

    Raises:
      MosimError: as `Planner`.
    """
    repeat = config.action_repeat
    limit = max_episode_steps(task, repeat)
    envs = MoSimVectorEnv(task, MujocoDynamics(task), episodes, seed, action_repeat=repeat, max_episode_steps=limit)
    actor = PlanningActor(task, model, config, envs, policy)
    started = time.perf_counter()

    def act(observation: np.ndarray) -> np.ndarray:
        action = actor.act(observation)
        on_action()
        return action

    returns = whole_episodes(envs, act)
    return PlannerEvaluation(returns, repeat * actor.actions * episodes / (time.perf_counter() - started))


def planned_episode(
    task: Task,
    model: DynamicsModel,
    config: PlannerConfig,
    seconds: float = float("inf"),
    seed: int = EVAL_SEED,
    policy: Policy | None = None,
) -> PolicyEpisode:
    """Records the beginning of the first of these episodes; arguments as for `evaluate_planner`."""

    from mosim.agents.film import recorded_episode  # Which brings matplotlib.

    def acting(envs: MoSimVectorEnv) -> Acting:
        return PlanningActor(task, model, config, envs, policy).act

    return recorded_episode(task, acting, config.action_repeat, seconds, seed)


class PlanningActor:
    """Acts in environments of a task by what it plans in a model from their states.

    Attributes:
      actions: how many it has chosen in each environment.
    """

    def __init__(
        self, task: Task, model: DynamicsModel, config: PlannerConfig, envs: MoSimVectorEnv, policy: Policy | None
    ) -> None:
        self._core = EnvironmentCore(task, model, guards=config.guards)
        self._envs, self._policy = envs, policy
        value = None if policy is None or policy.facts.value is None else policy.value
        self._planner = Planner(self._core, config, envs.num_envs, value)
        self._idle = self._core.idle(envs.num_envs)
        self._rows = torch.arange(envs.num_envs, device=model.like.device)
        self.actions = 0

    def act(self, observation: np.ndarray) -> np.ndarray:
        """The actions in the states that the environments have now."""
        del observation
        self.actions += 1
        with torch.no_grad():
            now, evaluation = self._core.begin(self._idle, self._rows, self._envs.state, self._envs.context)
            proposals = None if self._policy is None else self._proposed(self._policy, now, evaluation.observation)
        return self._planner.act(now, proposals).cpu().numpy()

    def _proposed(self, policy: Policy, now: EnvState, observation: torch.Tensor) -> torch.Tensor:
        """What a policy would do in the model, `(n, 1, horizon, nu)`."""
        plan = []
        self._core.dynamics.use_contexts(now.context)
        for _ in range(self._planner.config.horizon):
            plan.append(policy(observation).to(self._core.dynamics.like))
            for _ in range(self._planner.config.action_repeat):
                now, step = self._core.step(now, plan[-1])
            observation = step.evaluation.observation
        return torch.stack(plan, dim=1).unsqueeze(1)
