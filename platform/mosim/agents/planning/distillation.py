"""A policy that imitates a planner, from plans in the simulator alone."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from mosim.agents.moments import CLIP
from mosim.agents.planning.config import PlannerConfig
from mosim.agents.planning.planner_evaluation import PlanningActor
from mosim.agents.policy import Policy, PolicyFacts
from mosim.agents.policy_evaluation import episode_actions, max_episode_steps
from mosim.core.frozen import Frozen
from mosim.core.threads import single_threaded
from mosim.envs import MoSimVectorEnv
from mosim.models import DynamicsModel
from mosim.tasks import Task

_SMALLEST_DEVIATION = 1e-4
"""Of an observation that hardly changes; a smaller one would make noise of it."""


class DistillationConfig(Frozen):
    """How a policy is trained to imitate a planner, in rounds as in DAgger (arXiv 1011.0686)."""

    rounds: int = Field(
        default=3,
        ge=1,
        description="Rounds of planning and imitation. In the first, the planner acts; in the others, the policy acts "
        "in half of the environments, while the planner, which tries the policy's plan too, says what it would do.",
    )
    envs: int = Field(default=16, ge=2, description="Episodes of the simulator in each round, which run side by side.")
    actions: int | None = Field(
        default=None, ge=1, description="Actions of each episode. If omitted: to the task's own time limit."
    )
    hidden: tuple[int, ...] = Field(
        default=(256, 256), min_length=1, description="Widths of the hidden layers of the policy."
    )
    gradient_steps: int = Field(default=3000, ge=1, description="Gradient steps of imitation in each round.")
    batch_size: int = Field(default=256, ge=1, description="Observations per gradient step.")
    learning_rate: float = Field(default=1e-3, gt=0, description="Learning rate of Adam at first; it falls to zero.")


class Demonstrations(NamedTuple):
    """What a planner would do.

    Attributes:
      observations: `(n, observation_size)`, float64.
      actions: `(n, nu)`, in actuator units.
    """

    observations: np.ndarray
    actions: np.ndarray


def distil(
    task: Task,
    model: DynamicsModel,
    planner: PlannerConfig,
    config: DistillationConfig,
    on_action: Callable[[int], None] = lambda round_: None,
) -> Policy:
    """Trains a policy on what a planner does in a model; the true task is not used.

    Args:
      task: whose observations and rewards these are.
      model: to plan and to act in, such as a simulator.
      planner: the teacher; its seed is that of the starts and of the policy's weights too.
      config: how the policy is trained.
      on_action: told the round after each action.
    """
    shown = _demonstrated(task, model, planner, config, 0, None, on_action)
    policy = imitated(task, shown, planner, config)
    for round_ in range(1, config.rounds):
        more = _demonstrated(task, model, planner, config, round_, policy, on_action)
        shown = Demonstrations(*map(np.concatenate, zip(shown, more, strict=True)))
        policy = imitated(task, shown, planner, config)
    return policy


def _demonstrated(
    task: Task,
    model: DynamicsModel,
    planner: PlannerConfig,
    config: DistillationConfig,
    round_: int,
    policy: Policy | None,
    on_action: Callable[[int], None],
) -> Demonstrations:
    repeat = planner.action_repeat
    limit = max_episode_steps(task, repeat)
    # Environments of other rounds have other starts.
    first = round_ * config.envs
    envs = MoSimVectorEnv(
        task, model, config.envs, planner.seed, action_repeat=repeat, max_episode_steps=limit, first_index=first
    )
    teacher = PlanningActor(task, model, planner.model_copy(update={"seed": planner.seed + round_}), envs, policy)
    policy_acts = np.arange(config.envs) % 2 == 1 if policy is not None else np.zeros(config.envs, bool)
    observation, _ = envs.reset()
    running, observations, actions = np.ones(config.envs, bool), [], []
    for _ in range(config.actions or episode_actions(task, repeat)):
        action = teacher.act(observation)
        observations.append(observation[running])
        actions.append(action[running])
        if policy is not None:
            action = np.where(policy_acts[:, None], policy.act(observation), action)
        observation, _, terminated, truncated, _ = envs.step(action)
        running &= ~(terminated | truncated)
        on_action(round_)
        if not running.any():
            break
    return Demonstrations(np.concatenate(observations).astype(np.float64), np.concatenate(actions))


@single_threaded
def imitated(task: Task, shown: Demonstrations, planner: PlannerConfig, config: DistillationConfig) -> Policy:
    """A new policy that does what was shown.

    Its loss is the mean squared error of actions, in halves of the control range.
    """
    torch.manual_seed(planner.seed)
    facts = PolicyFacts(
        task=task.name,
        observation_size=task.observation_size,
        action_size=task.facts.nu,
        hidden=config.hidden,
        clip=CLIP,
        action_repeat=planner.action_repeat,
        activation="elu",
        layer_norm=True,
    )
    policy = Policy(facts)
    policy.mean.copy_(torch.from_numpy(shown.observations.mean(axis=0)))
    policy.deviation.copy_(torch.from_numpy(shown.observations.std(axis=0).clip(_SMALLEST_DEVIATION)))
    policy.lower.copy_(torch.tensor(task.facts.control_lower))
    policy.upper.copy_(torch.tensor(task.facts.control_upper))
    seen = policy.filtered(torch.from_numpy(shown.observations))
    wanted = _scaled(policy, torch.from_numpy(shown.actions).float())
    optimizer = torch.optim.Adam(policy.layers.parameters(), lr=config.learning_rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, config.gradient_steps)
    random = torch.Generator().manual_seed(planner.seed)
    for _ in range(config.gradient_steps):
        rows = torch.randint(len(seen), (config.batch_size,), generator=random)
        loss = (policy.layers(seen[rows]) - wanted[rows]).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return policy.eval().requires_grad_(False)


def _scaled(policy: Policy, actions: Tensor) -> Tensor:
    """Actions as numbers from -1 to 1, which `Policy.control` undoes."""
    return 2 * (actions - policy.lower) / (policy.upper - policy.lower) - 1
