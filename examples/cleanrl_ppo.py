"""A loop of your own: PPO in one file, in the manner of CleanRL, trained in a simulator and evaluated in the true task.

    python examples/cleanrl_ppo.py --checkpoint runs/reacher-easy   # what `mosim run reacher-easy` has left
    python examples/cleanrl_ppo.py --checkpoint true                # the same, trained in the true task

All that it needs of mosim are an environment, made by Gymnasium, and at the end the true task's evaluation. Two things
are easily got wrong in a loop over a vector environment. The step after an episode's end resets it (Gymnasium's
next-step autoreset), so it must not be learned from. The value of the last observation is bootstrapped where an
episode is `truncated`, and is zero where it is `terminated`.
"""

import itertools
from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np
import torch
import tyro
from gymnasium.wrappers.vector import NormalizeObservation
from torch import nn

import mosim  # noqa: F401 It registers the environments.
from mosim.agents import evaluate_policy
from mosim.tasks import load_task


@dataclass(frozen=True)
class Settings:
    """Of a training; a control step is what the task's own agent acts at."""

    checkpoint: str  # The simulator: a run's folder, or "true" for the true task.
    task: str = "reacher-easy"
    control_steps: int = 2_400_000
    action_repeat: int = 4
    num_envs: int = 128
    num_steps: int = 32  # Actions that each env takes between two updates.
    minibatch_size: int = 512
    update_epochs: int = 10
    learning_rate: float = 5e-4  # At the start; it falls to nothing.
    gamma: float = 0.95
    gae_lambda: float = 0.95
    clip_coef: float = 0.3
    ent_coef: float = 0.003
    hidden: int = 64
    eval_episodes: int = 20
    seed: int = 0


def main(settings: Settings) -> None:
    torch.manual_seed(settings.seed)
    envs = NormalizeObservation(
        gymnasium.make_vec(
            f"MoSim/{settings.task}-v0",
            num_envs=settings.num_envs,
            checkpoint=settings.checkpoint,
            action_repeat=settings.action_repeat,
        )
    )
    space: Any = envs.single_action_space
    lower, upper = torch.from_numpy(space.low), torch.from_numpy(space.high)
    observation = torch.from_numpy(envs.reset(seed=settings.seed)[0]).float()
    widths = observation.shape[1], settings.hidden, settings.hidden
    actor, critic = layers(*widths, len(lower)), layers(*widths, 1)
    log_std = nn.Parameter(torch.zeros(len(lower)))
    parameters = [*actor.parameters(), *critic.parameters(), log_std]
    optimizer = torch.optim.Adam(parameters, settings.learning_rate, fused=True)

    def policy(observation: torch.Tensor) -> torch.distributions.Independent:
        return torch.distributions.Independent(torch.distributions.Normal(actor(observation), log_std.exp()), 1)

    def control(action: torch.Tensor) -> torch.Tensor:
        return lower + (action.clamp(-1, 1) + 1) / 2 * (upper - lower)

    shape = settings.num_steps, settings.num_envs
    updates = max(1, settings.control_steps // (shape[0] * shape[1] * settings.action_repeat))
    ended = torch.zeros(settings.num_envs, dtype=torch.bool)
    for update in range(updates):
        observations, actions = torch.zeros(shape[0] + 1, shape[1], widths[0]), torch.zeros(*shape, len(lower))
        rewards, terminated, truncated, valid = torch.zeros(4, *shape)
        with torch.no_grad():
            for t in range(shape[0]):
                observations[t], actions[t] = observation, policy(observation).sample()
                valid[t] = ~ended  # This step resets an env that has ended, and ignores its action.
                step = envs.step(control(actions[t]).numpy())
                observation = torch.from_numpy(step[0]).float()
                rewards[t], terminated[t], truncated[t] = map(torch.from_numpy, step[1:4])
                ended = (terminated[t] + truncated[t]).bool()
            observations[-1] = observation
            log_probabilities, values = policy(observations[:-1]).log_prob(actions), critic(observations).squeeze(-1)
            advantages = estimated(rewards, values, terminated, truncated, settings.gamma, settings.gae_lambda)
            targets, rows = advantages + values[:-1], valid.flatten().nonzero().squeeze(-1)
            advantages = (advantages - advantages.flatten()[rows].mean()) / (advantages.flatten()[rows].std() + 1e-8)
        optimizer.param_groups[0]["lr"] = settings.learning_rate * (1 - update / updates)
        for _ in range(settings.update_epochs):
            for chosen in rows[torch.randperm(len(rows))].split(settings.minibatch_size):
                seen, advantage = observations[:-1].flatten(0, 1)[chosen], advantages.flatten()[chosen]
                distribution = policy(seen)
                new = distribution.log_prob(actions.flatten(0, 1)[chosen])
                ratio = (new - log_probabilities.flatten()[chosen]).exp()
                clipped = ratio.clamp(1 - settings.clip_coef, 1 + settings.clip_coef)
                loss = -torch.min(ratio * advantage, clipped * advantage).mean()
                loss = loss - settings.ent_coef * distribution.entropy().mean()
                loss = loss + 0.5 * (critic(seen).squeeze(-1) - targets.flatten()[chosen]).square().mean()
                optimizer.zero_grad()
                loss.backward()
                nn.utils.clip_grad_norm_(parameters, 0.5)
                optimizer.step()
        if (update + 1) % 10 == 0 or update + 1 == updates:
            steps = (update + 1) * shape[0] * shape[1] * settings.action_repeat
            mean = rewards.sum() / valid.sum() / settings.action_repeat
            print(f"{steps:,} control steps, reward {mean:.3f} each", flush=True)
    envs.update_running_mean = False

    @torch.no_grad()
    def act(observation: np.ndarray) -> np.ndarray:
        return control(actor(torch.from_numpy(envs.observations(observation)).float())).numpy()

    evaluation = evaluate_policy(
        act, load_task(settings.task), settings.eval_episodes, action_repeat=settings.action_repeat
    )
    print(f"true return {evaluation.mean:.0f} +- {evaluation.std:.0f} over {settings.eval_episodes} episodes")


def estimated(
    rewards: torch.Tensor,
    values: torch.Tensor,
    terminated: torch.Tensor,
    truncated: torch.Tensor,
    gamma: float,
    gae_lambda: float,
) -> torch.Tensor:
    """Advantages, `(steps, envs)`; values have a row more. What is said of a step that resets its env means nothing."""
    # An env whose episode is over still shows its last observation, so what was cut is worth the next row's value.
    errors = rewards + gamma * values[1:] * (1 - terminated) - values[:-1]
    advantages, following = torch.zeros_like(rewards), torch.zeros_like(rewards[0])
    for t in reversed(range(len(rewards))):
        goes_on = (1 - terminated[t]) * (1 - truncated[t])
        advantages[t] = following = errors[t] + gamma * gae_lambda * goes_on * following
    return advantages


def layers(*widths: int) -> nn.Sequential:
    made = [layer for pair in itertools.pairwise(widths) for layer in (nn.Linear(*pair), nn.Tanh())]
    return nn.Sequential(*made[:-1])


if __name__ == "__main__":
    main(tyro.cli(Settings))
