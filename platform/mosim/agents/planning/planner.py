"""Planners: how plans are improved, and what is kept of them from one action to the next."""

import abc
from collections.abc import Callable

import torch
from torch import Tensor

from mosim.agents.gradients.reward_gradient import require_reward_gradient
from mosim.agents.planning.config import PlannerConfig
from mosim.agents.planning.objective import Objective
from mosim.core.threads import single_threaded
from mosim.envs import EnvironmentCore, EnvState

_LEAST_SPREAD = 1e-6
"""Of returns: where plans differ by less, none is better."""


class Planner:
    """Plans for a batch of environments, each with a plan of its own that goes on where the last one ended.

    Attributes:
      config: how it searches.
      mean: the plans, `(n, horizon, nu)`, in [-1, 1]: what is left of the last ones.
    """

    def __init__(
        self,
        core: EnvironmentCore,
        config: PlannerConfig,
        count: int,
        value: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        """Begins with plans of no action.

        Args:
          core: a task over the model to plan in, usually a simulator.
          config: how to search.
          count: environments, `n`.
          value: of the observation at the end of a plan, see `Objective`.

        Raises:
          MosimError: the planner follows gradients, and there are none.
        """
        self.config = config
        self._objective = Objective(core, config.action_repeat, config.gamma, value)
        like = core.dynamics.like
        self._random = torch.Generator(device=like.device).manual_seed(config.seed)
        self.mean = like.new_zeros(count, config.horizon, self._objective.size)
        self._search = _SEARCHES[config.planner](self._objective, config, self._random)
        if config.planner == "gradient":
            require_reward_gradient(core.task, core.dynamics, "planner gradient", "use mppi or icem")

    @single_threaded
    def act(self, now: EnvState, proposals: Tensor | None = None) -> Tensor:
        """The next action of each environment, `(n, nu)`, in actuator units.

        Args:
          now: the environments, in the model that is planned in.
          proposals: plans to be tried with the random ones, `(n, m, horizon, nu)`, in actuator units.
        """
        if proposals is not None:
            proposals = self._objective.scaled(proposals).clamp(-1, 1)
        first = self._search.improve(now, self.mean, proposals)
        action = self._objective.controls(first[:, 0])
        self.mean = torch.cat([first[:, 1:], first[:, -1:]], dim=1)
        self._search.shift()
        return action


class _Search(abc.ABC):
    """Improves plans."""

    def __init__(self, objective: Objective, config: PlannerConfig, random: torch.Generator) -> None:
        self._objective, self._config, self._random = objective, config, random

    @abc.abstractmethod
    def improve(self, now: EnvState, mean: Tensor, proposals: Tensor | None) -> Tensor:
        """Better plans than `mean`, `(n, horizon, nu)`."""

    def shift(self) -> None:
        """Takes note that the first action of all plans has been taken."""
        return

    def _around(self, mean: Tensor, deviation: Tensor | float, count: int, more: Tensor | None) -> Tensor:
        """Plans around a mean, the mean itself first, then those proposed: `(n, at least count, horizon, nu)`."""
        given = [mean.unsqueeze(1)] if more is None else [mean.unsqueeze(1), more]
        drawn = max(1, count - sum(part.shape[1] for part in given))
        noise = _noise(mean, drawn, self._config.correlation, self._random)
        spread = deviation.unsqueeze(1) if isinstance(deviation, Tensor) else deviation
        return torch.cat([*given, (mean.unsqueeze(1) + spread * noise).clamp(-1, 1)], dim=1)


class _Mppi(_Search):
    """Model predictive path integral control."""

    @torch.no_grad()
    def improve(self, now: EnvState, mean: Tensor, proposals: Tensor | None) -> Tensor:
        """See `_Search`."""
        for _ in range(self._config.iterations):
            plans = self._around(mean, self._config.noise, self._config.samples, proposals)
            returns = self._objective(now, plans)
            spread = returns.std(dim=1, keepdim=True).clamp(min=_LEAST_SPREAD)
            better = (returns - returns.amax(dim=1, keepdim=True)) / (self._config.temperature * spread)
            weights = torch.softmax(better, dim=1).to(plans)
            mean = torch.einsum("ns,nshu->nhu", weights, plans)
        return mean


class _Icem(_Search):
    """The improved cross-entropy method."""

    _kept: Tensor | None = None

    @torch.no_grad()
    def improve(self, now: EnvState, mean: Tensor, proposals: Tensor | None) -> Tensor:
        """See `_Search`."""
        config, best = self._config, mean
        deviation = torch.full_like(mean, config.noise)
        for _ in range(config.iterations):
            given = [part for part in (self._kept, proposals) if part is not None]
            plans = self._around(mean, deviation, config.samples, torch.cat(given, dim=1) if given else None)
            returns = self._objective(now, plans)
            order = returns.topk(config.elites, dim=1).indices
            elites = torch.gather(plans, 1, order[..., None, None].expand(-1, -1, *plans.shape[2:]))
            mean, deviation, best = elites.mean(1), elites.std(1) if config.elites > 1 else deviation, elites[:, 0]
            self._kept = elites[:, : round(config.kept * config.elites)]
        return best

    def shift(self) -> None:
        """See `_Search`: what was kept goes on by one action."""
        if self._kept is not None:
            self._kept = torch.cat([self._kept[:, :, 1:], self._kept[:, :, -1:]], dim=2)


class _Gradient(_Search):
    """Gradient ascent from several plans, of which the best is taken."""

    def improve(self, now: EnvState, mean: Tensor, proposals: Tensor | None) -> Tensor:
        """See `_Search`."""
        plans = self._around(mean, self._config.noise, self._config.samples, proposals).requires_grad_()
        ascent = torch.optim.Adam([plans], lr=self._config.learning_rate, maximize=True)
        best, highest = plans.detach().clone(), plans.new_full(plans.shape[:2], -torch.inf, dtype=torch.float64)
        for _ in range(self._config.iterations):
            with torch.enable_grad():
                returns = self._objective(now, plans.clamp(-1, 1))
                (gradient,) = torch.autograd.grad(returns.sum(), plans)
            higher = returns.detach() > highest
            highest = torch.where(higher, returns.detach(), highest)
            best[higher] = plans.detach().clamp(-1, 1)[higher]
            # A gradient that is not finite, or of a plan far steeper than all others, says nothing.
            norms = gradient.flatten(2).norm(dim=-1)[..., None, None]
            plans.grad = torch.nan_to_num(gradient / norms.clamp(min=1e-12), 0.0, 0.0, 0.0)
            ascent.step()
        chosen = highest.argmax(dim=1)
        return best[torch.arange(len(best)), chosen]


_SEARCHES: dict[str, type[_Search]] = {"mppi": _Mppi, "icem": _Icem, "gradient": _Gradient}


def _noise(mean: Tensor, samples: int, exponent: float, random: torch.Generator) -> Tensor:
    """Noise of variance 1, `(n, samples, horizon, nu)`, whose power falls as `1 / frequency**exponent`.

    Made in the frequency domain (Timmer and Koenig, "On generating power law noise", 1995), as iCEM does; `mean`, `(n,
    horizon, nu)`, says how many, how long and on which device.
    """
    count, horizon, size = mean.shape
    frequencies = torch.fft.rfftfreq(horizon).to(mean)
    if len(frequencies) < 2 or not exponent:
        return torch.randn(count, samples, horizon, size, generator=random, device=mean.device).to(mean)
    frequencies[0] = frequencies[1]
    scale = frequencies ** (-exponent / 2)
    shape = (count, samples, size, len(frequencies))
    real, imaginary = (torch.randn(shape, generator=random, device=mean.device).to(mean) for _ in range(2))
    series = torch.fft.irfft(torch.complex(real, imaginary) * scale, n=horizon).transpose(-1, -2)
    # Of the mean over time and samples, so that a plan may lie far off as a whole.
    return series / series.square().mean().sqrt()
