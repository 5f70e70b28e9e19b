"""The short-horizon actor-critic (SHAC, Xu et al., arXiv 2204.07137) over a batch of simulated episodes."""

from collections import defaultdict, deque
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_

from mosim.agents.gradients.actor_critic import ActorCritic
from mosim.agents.gradients.guard import GradientGuard
from mosim.agents.gradients.recipe import SHACRecipe
from mosim.agents.gradients.targets import td_lambda
from mosim.agents.learner import PolicyLearner, TrainingSetup, Update
from mosim.agents.moments import Moments
from mosim.agents.policy import Policy
from mosim.core.random_numbers import seed_everything
from mosim.envs import Divergence, EnvironmentCore, Episodes, StartStates, make_starts

_RETURNS = 100
"""Latest episodes whose mean return is reported, as RLlib does."""

_SHORTENINGS, _BELOW = 10, 0.95
"""How often a step is shortened at most, and to which share of what would do if the policy were linear in it."""


class _Window(NamedTuple):
    """What a window of actions led to, `(steps, n, ...)`; without gradients but for `objective`.

    Attributes:
      objective: the discounted reward and the value at the end, mean over envs and actions; to be maximised.
      observation: that each action was taken on.
      following: that it led to, before any reset.
      reward: scaled.
      ended, terminated: of the episode.
      divergences: of all episodes that diverged.
    """

    objective: Tensor
    observation: Tensor
    following: Tensor
    reward: Tensor
    ended: Tensor
    terminated: Tensor
    divergences: list[Divergence]


class SHACLearner(PolicyLearner):
    """Trains a policy by gradients through a simulator.

    An update runs a window of actions in every env, goes on where the last window ended, and follows the gradient of
    the window's reward and of the value at its end by the policy's weights; then the critics learn from the window.
    Rewards are scaled so that values are at most about 1, whatever the discount.
    """

    def __init__(self, recipe: SHACRecipe, setup: TrainingSetup) -> None:
        self._recipe, self._task, self._dynamics = recipe, setup.task, setup.dynamics
        known = None if setup.starts is None else StartStates.load(setup.starts)
        limit = recipe.max_episode_steps
        self._episodes = Episodes(
            EnvironmentCore(setup.task, setup.dynamics, guards=recipe.guards),
            [recipe.seed] * recipe.num_envs,
            action_repeat=recipe.action_repeat,
            max_steps=limit and limit * recipe.action_repeat,
            starts=make_starts(recipe.start, setup.task, known),
        )
        seed_everything(recipe.seed)
        self._networks = ActorCritic(recipe, setup.task).to(setup.device)
        actor, critics = self._networks.actor_parameters(), self._networks.critics.parameters()
        self._actor_optimizer = torch.optim.Adam(actor, lr=recipe.learning_rate, betas=recipe.betas)
        self._critic_optimizer = torch.optim.Adam(critics, lr=recipe.critic_learning_rate, betas=recipe.betas)
        self._seen = Moments.none()
        self._begun = False
        self._scale = (1.0 - recipe.gamma if recipe.gamma < 1 else 1.0) / recipe.action_repeat
        self._running = np.zeros(recipe.num_envs)
        self._returns: deque[float] = deque(maxlen=_RETURNS)

    def update(self, share: float) -> Update:
        """See `PolicyLearner`: one window."""
        recipe = self._recipe
        if not self._begun:
            self._episodes.begin(np.arange(recipe.num_envs))
            self._episodes.spread(np.random.default_rng(recipe.seed))
            self._see(self._episodes.observation.unsqueeze(0))
            self._begun = True
        self._follow_schedules(share)
        window = self._rollout()
        self._learn_policy(window)
        self._learn_values(window)
        self._see(window.following)
        return Update(
            control_steps=window.reward.numel() * recipe.action_repeat,
            episodes=int(window.ended.sum()),
            divergences=window.divergences,
            return_mean=float(np.mean(self._returns)) if self._returns else None,
        )

    def policy(self) -> Policy:
        """See `PolicyLearner`."""
        return self._networks.acting(self._recipe.gamma, 1.0 / self._scale)

    def state(self) -> dict[str, Any]:
        """See `PolicyLearner`."""
        return {
            "networks": self._networks.state_dict(),
            "actor_optimizer": self._actor_optimizer.state_dict(),
            "critic_optimizer": self._critic_optimizer.state_dict(),
            "seen": self._seen.as_dict(),
            "episodes": self._episodes.snapshot(),
            "begun": self._begun,
            "running": self._running,
            "returns": list(self._returns),
        }

    def set_state(self, state: dict[str, Any]) -> None:
        """See `PolicyLearner`."""
        self._networks.load_state_dict(_tensors(state["networks"]))
        self._actor_optimizer.load_state_dict(_tensors(state["actor_optimizer"]))
        self._critic_optimizer.load_state_dict(_tensors(state["critic_optimizer"]))
        self._seen = Moments(**state["seen"])
        self._episodes.restore(state["episodes"])
        self._begun, self._running = state["begun"], np.array(state["running"])
        self._returns = deque(state["returns"], maxlen=_RETURNS)

    def _rollout(self) -> _Window:
        recipe, networks, episodes = self._recipe, self._networks, self._episodes
        episodes.detach()
        discount = torch.ones(len(episodes), dtype=torch.float64, device=episodes.observation.device)
        objective = torch.zeros_like(discount).sum()
        guards: dict[str, GradientGuard] = defaultdict(lambda: GradientGuard(recipe.spread_clip, recipe.spread_cut))
        rows: list[tuple[Tensor, ...]] = []
        divergences: list[Divergence] = []
        for number in range(recipe.rollout_fragment_length):
            observation = episodes.observation
            control = guards["action"](networks.explore(observation).to(self._dynamics.like))
            outcome = episodes.act(control)
            episodes.map_carry(lambda name, part: guards[name](part))
            reward, following = self._scale * outcome.reward, episodes.observation
            terminated, ended = (
                torch.from_numpy(each).to(reward.device) for each in (outcome.terminated, episodes.ended)
            )
            objective = objective + (discount * reward).sum()
            discount = discount * recipe.gamma
            last = number == recipe.rollout_fragment_length - 1
            if closing := last or bool(ended.any()):
                stops = ~terminated & (ended | last)
                value = torch.where(stops, discount * networks.value(following), 0.0)
                objective = objective + value.sum()
            rows.append(tuple(part.detach() for part in (observation, following, reward, ended, terminated)))
            divergences += [each for each in outcome.divergences if each is not None]
            self._count(outcome.reward.detach().cpu().numpy())
            if closing:
                discount = torch.where(ended, 1.0, discount)
                episodes.begin(np.flatnonzero(episodes.ended))
        observation, following, reward, ended, terminated = map(torch.stack, zip(*rows, strict=True))
        return _Window(objective / recipe.batch, observation, following, reward, ended, terminated, divergences)

    def _learn_policy(self, window: _Window) -> None:
        if not window.objective.requires_grad:  # All episodes diverged with their first action.
            return
        parameters = self._networks.actor_parameters()
        gradients = torch.autograd.grad(-window.objective, parameters, allow_unused=True)
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = gradient
        if not torch.isfinite(clip_grad_norm_(parameters, self._recipe.grad_clip)):
            return
        before = [parameter.detach().clone() for parameter in parameters]
        centers = self._centers(window)
        self._actor_optimizer.step()
        self._shorten(before, centers, window)

    @torch.no_grad()
    def _shorten(self, before: list[Tensor], centers: Tensor, window: _Window) -> None:
        """Goes back on a step that changes the policy too much; the divergence grows as the square of a short step."""
        for _ in range(_SHORTENINGS):
            changes = (self._centers(window) - centers) / self._networks.log_std.exp()
            divergence = float(changes.square().sum(dim=-1).mean()) / 2
            if divergence <= self._recipe.kl_limit:
                return
            part = _BELOW * (self._recipe.kl_limit / divergence) ** 0.5
            for parameter, old in zip(self._networks.actor_parameters(), before, strict=True):
                parameter.copy_(old + part * (parameter - old))

    @torch.no_grad()
    def _centers(self, window: _Window) -> Tensor:
        """The policy's actions before the tanh, without noise, at the observations of a window."""
        return self._networks.policy.center(window.observation)

    def _learn_values(self, window: _Window) -> None:
        recipe, networks = self._recipe, self._networks
        with torch.no_grad():
            following = networks.value(window.following).double()
            targets = td_lambda(
                window.reward, following, window.ended, window.terminated, recipe.gamma, recipe.td_lambda
            )
            filtered = networks.policy.filtered(window.observation).flatten(0, 1)
        targets = targets.flatten().to(filtered)
        for _ in range(recipe.critic_epochs):
            for rows in torch.randperm(len(targets), device=targets.device).split(recipe.minibatch_size):
                loss = (networks.values(filtered[rows]) - targets[rows]).square().mean()
                self._critic_optimizer.zero_grad()
                loss.backward()
                clip_grad_norm_(networks.critics.parameters(), recipe.grad_clip)
                self._critic_optimizer.step()
        networks.follow(recipe.tau)

    def _follow_schedules(self, share: float) -> None:
        recipe = self._recipe
        rate = recipe.learning_rate + share * (recipe.final_learning_rate - recipe.learning_rate)
        for group in self._actor_optimizer.param_groups:
            group["lr"] = rate
        if recipe.final_std is not None:
            std = recipe.initial_std * (recipe.final_std / recipe.initial_std) ** share
            self._networks.log_std.data.fill_(float(np.log(std)))

    def _see(self, observations: Tensor) -> None:
        """Counts observations, `(steps, n, size)`, among those seen."""
        self._seen = self._seen.joined(Moments.of(observations.detach().flatten(0, 1).cpu().numpy()))
        self._networks.see(self._seen)

    def _count(self, reward: np.ndarray) -> None:
        self._running += reward
        self._returns.extend(self._running[self._episodes.ended].tolist())
        self._running[self._episodes.ended] = 0.0


def _tensors(tree: Any) -> Any:
    """A tree whose arrays are tensors, as torch's own state is."""
    if isinstance(tree, np.ndarray):
        return torch.from_numpy(tree.copy())
    if isinstance(tree, dict):
        return {key: _tensors(item) for key, item in tree.items()}
    if isinstance(tree, list | tuple):
        return type(tree)(_tensors(item) for item in tree)
    return tree
