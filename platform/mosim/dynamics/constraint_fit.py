"""The numbers of contacts and limits by nonlinear least squares on single physics steps, masses and forces held.

The numbers of a constraint are few, and MuJoCo's own are among those that can be learned, so the fit goes on until
rounding or a missing contact ends it, where gradient steps would still be on their way.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from typing import NamedTuple

import torch
from torch import Tensor, nn

from mosim.dynamics import robust_least_squares
from mosim.dynamics.articulated import ArticulatedPredictor
from mosim.dynamics.compliance import FRICTION, NUMBERS, WEIGHT, Compliance, Impedances
from mosim.dynamics.constraints import ContactRows, LimitRows
from mosim.dynamics.neural_simulator import NeuralSimulator
from mosim.dynamics.robust_least_squares import cauchy_weights, sizes
from mosim.threads import single_threaded

_CHUNK = 512

_COMBINATIONS = 9
"""Of the errors of a transition that derivatives are taken of, where these are more."""

_MOST_TRANSITIONS = 3000
"""Transitions that are taken at most: those with the constraints that are seen least come first."""

_SHARED, _OWN, _OWN_FREE = 10.0, 0.1, 1.0
"""How far the numbers of all constraints are likely to be from those before training; how far one constraint's are from
them; and how far its weight and its friction are."""

_EXPLAINED = 1e-3
"""Share of the transitions that may stay unexplained when no more unknowns are freed."""


class ConstraintFit(NamedTuple):
    """How the numbers of contacts and limits were found.

    Attributes:
      transitions: in which any acted, and that were taken.
      constraints: how many there are.
      seen: how many of them ever acted in those.
      before, after: median over transitions of the accelerations' errors, in units of their standard deviation.
      unexplained: share of the transitions whose errors are many times the median.
    """

    transitions: int
    constraints: int
    seen: int
    before: float
    after: float
    unexplained: float

    def __str__(self) -> str:
        if not self.transitions:
            return "no contact and no limit acts in the data, so their numbers stay as they were"
        return (
            f"contacts and limits by least squares on {self.transitions} transitions: {self.seen} of "
            f"{self.constraints} act there, the median error of accelerations is {self.after:.1e} of their standard "
            f"deviation ({self.before:.1e} before), and {self.unexplained:.1%} of the transitions stay unexplained"
        )


@single_threaded
def fit_constraints(simulator: NeuralSimulator, states: Tensor, actions: Tensor, next_states: Tensor) -> ConstraintFit:
    """Gives a simulator's contacts and limits the numbers that explain single physics steps best.

    Args:
      simulator: has an articulated predictor with constraints; its constraints are changed, nothing else.
      states: `(n, nq + nv)`, raw; those in which nothing acts say nothing.
      actions: `(n, nu)`, in actuator units.
      next_states: `(n, nq + nv)`: a physics step later.

    Raises:
      TypeError: the predictor is not an articulated one.
    """
    problem = _Problem(simulator, states, actions, next_states)
    start = problem.expected
    before = problem.residuals(start)
    if not len(before):
        return ConstraintFit(0, problem.constraints, 0, 0.0, 0.0, 0.0)
    for free in problem.freed():
        solution = robust_least_squares.solve(problem, start, free)
        start = solution.unknowns
        if (sizes(solution.residuals) > solution.cut).double().mean() < _EXPLAINED:
            break
    problem.assign(solution.unknowns, _constrained_parts(simulator))
    after = sizes(solution.residuals)
    return ConstraintFit(
        transitions=len(after),
        constraints=problem.constraints,
        seen=problem.seen,
        before=float(sizes(before).median()),
        after=float(after.median()),
        unexplained=float((after > solution.cut).double().mean()),
    )


class _PerState(Compliance):
    """Stands in for another: every state of a batch has numbers of its own, for derivatives by state."""

    def __init__(self, compliance: Compliance, batch: int) -> None:
        super().__init__(len(compliance.own))
        learned = compliance.learned().detach()
        self.copies = nn.Parameter(learned.expand(batch, *learned.shape).clone())

    def forward(self, sample: Tensor, which: Tensor) -> Impedances:
        return Impedances.of(self.copies[sample, which])


class _Problem:
    """Single steps of a copy of the simulator, in double precision.

    Unknowns are what all contacts share, what all limits share, and what each constraint that was seen adds to it.
    """

    def __init__(self, simulator: NeuralSimulator, states: Tensor, actions: Tensor, next_states: Tensor) -> None:
        parts = _constrained_parts(simulator)
        self.constraints = sum(len(part.compliance.own) for part in parts)
        single = states.to(next(simulator.parameters()).dtype)
        acting = torch.cat([_acting(simulator, parts, chunk) for chunk in single.split(_CHUNK)])
        kept = _rarest_first(acting)[:_MOST_TRANSITIONS]
        self._chunks = list(
            zip(*(part[kept].double().split(_CHUNK) for part in (states, actions, next_states)), strict=True)
        )
        seen = acting[kept].any(0)
        self.seen = int(seen.sum())
        self._model = deepcopy(simulator).double().requires_grad_(False)
        self._parts = _constrained_parts(self._model)
        self._random = torch.Generator().manual_seed(0)
        self._scale = (simulator.facts.timestep * simulator.statistics.acceleration_std).double()
        owners = torch.cat([torch.full((len(part.compliance.own),), number) for number, part in enumerate(parts)])
        self._seen, self._owners = seen.nonzero().squeeze(-1), owners
        weights = _weights_of_masses(self._model, self._parts)
        self._unseen = torch.zeros(self.constraints, NUMBERS, dtype=torch.float64)
        self._unseen[:, WEIGHT] = weights.log()
        shared = torch.zeros(len(parts), NUMBERS, dtype=torch.float64)
        self.expected = torch.cat([shared.flatten(), self._unseen[self._seen].flatten()])
        own = torch.full((NUMBERS,), _OWN, dtype=torch.float64)
        own[[WEIGHT, FRICTION]] = _OWN_FREE
        self.precision = torch.cat([torch.full_like(shared, _SHARED).flatten(), own.repeat(self.seen)]) ** -2

    def freed(self) -> list[Tensor]:
        """Which unknowns are looked for, one set after the other.

        Most robots' constraints have all but friction in common, and what is common is found from few transitions.
        """
        shared, own = torch.ones(NUMBERS * len(self._parts)).bool(), torch.zeros(self.seen, NUMBERS).bool()
        sets = []
        for column in (FRICTION, WEIGHT, slice(None)):
            own[:, column] = True
            sets.append(torch.cat([shared, own.flatten()]))
        return sets

    def assign(self, unknowns: Tensor, parts: Sequence[ContactRows | LimitRows]) -> None:
        """Gives them to the constraints of a simulator; one that was never seen has the numbers of all."""
        shared, seen = unknowns.split([NUMBERS * len(parts), NUMBERS * self.seen])
        own = self._unseen.clone()
        own[self._seen] = seen.view(-1, NUMBERS)
        each = own.split([len(part.compliance.own) for part in parts])
        with torch.no_grad():
            for part, of_all, of_one in zip(parts, shared.view(-1, NUMBERS), each, strict=True):
                part.compliance.shared.copy_(of_all)
                part.compliance.own.copy_(of_one)

    @torch.no_grad()
    def residuals(self, unknowns: Tensor) -> Tensor:
        """See `robust_least_squares.Problem`: a group is a transition, with the errors of its accelerations."""
        self.assign(unknowns, self._parts)
        return torch.cat(
            [self._scale.new_zeros(0, len(self._scale)), *(self._errors(*chunk) for chunk in self._chunks)]
        )

    def equations(self, unknowns: Tensor, cut: float) -> tuple[Tensor, Tensor]:
        """See `robust_least_squares.Problem`."""
        self.assign(unknowns, self._parts)
        count = self.seen * NUMBERS
        gradient, hessian = unknowns.new_zeros(count), unknowns.new_zeros(count * count)
        for chunk in self._chunks:
            slope, jacobian, which = self._derivatives(cut, *chunk)
            gradient += slope
            columns = (which.unsqueeze(-1) * NUMBERS + torch.arange(NUMBERS)).flatten(1)
            places = (columns.unsqueeze(2) * count + columns.unsqueeze(1)).flatten()
            hessian.index_add_(0, places, (jacobian.mT @ jacobian).flatten())
        share = nn.functional.one_hot(self._owners[self._seen], len(self._parts)).to(gradient)
        both = torch.cat([torch.kron(share, torch.eye(NUMBERS).to(gradient)), torch.eye(count).to(gradient)], dim=-1)
        return both.mT @ gradient, both.mT @ hessian.view(count, count) @ both

    def _errors(self, states: Tensor, actions: Tensor, next_states: Tensor) -> Tensor:
        velocity = slice(self._model.facts.nq, None)
        return (self._model.step(states, actions) - next_states)[:, velocity] / self._scale

    def _derivatives(self, cut: float, *transitions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """How the errors of transitions change with the numbers of the constraints that act.

        Of a robot of many degrees of freedom, random combinations of the errors stand for all of them: the Hessian of a
        step may be off a little, its gradient not.

        Returns:
          The gradient of the weighted loss, `(seen * NUMBERS,)`; derivatives of the weighted errors, or of as many
          combinations, `(n, m, k * NUMBERS)`; and of which constraints, as indices among those seen, `(n, k)`.
        """
        size = len(self._scale)
        with self._numbers_by_state(len(transitions[0])) as numbers, torch.enable_grad():
            errors = self._errors(*transitions)
            weights = cauchy_weights(errors.detach(), cut).unsqueeze(-1)
            combined = errors * weights.sqrt()
            if size > _COMBINATIONS:
                turned = torch.linalg.qr(torch.randn(size, size, generator=self._random).to(errors))[0][:_COMBINATIONS]
                combined = (size / _COMBINATIONS) ** 0.5 * combined @ turned.mT
            outputs = [(0.5 * weights * errors.square()).sum(), *combined.sum(0)]
            rows = []
            for output in outputs:
                gradients = torch.autograd.grad(output, numbers, retain_graph=True, materialize_grads=True)
                rows.append(torch.cat(gradients, dim=1)[:, self._seen])
        jacobian = torch.stack(rows[1:], dim=1)
        acts = jacobian.abs().amax((1, 3)) > 0
        which = acts.to(torch.uint8).topk(max(int(acts.sum(-1).max()), 1), dim=-1).indices
        taken = which[:, None, :, None].expand(-1, jacobian.shape[1], -1, NUMBERS)
        return rows[0].sum(0).flatten(), jacobian.gather(2, taken).flatten(2), which

    @contextmanager
    def _numbers_by_state(self, batch: int) -> Iterator[list[Tensor]]:
        shared = [part.compliance for part in self._parts]
        own = [_PerState(compliance, batch) for compliance in shared]
        try:
            for part, compliance in zip(self._parts, own, strict=True):
                part.compliance = compliance
            yield [compliance.copies for compliance in own]
        finally:
            for part, compliance in zip(self._parts, shared, strict=True):
                part.compliance = compliance


def _constrained_parts(simulator: NeuralSimulator) -> list[ContactRows | LimitRows]:
    constraints = simulator.predictor.constraints
    return (
        [] if constraints is None else [part for part in (constraints.contacts, constraints.limits) if part is not None]
    )


@torch.no_grad()
def _acting(simulator: NeuralSimulator, parts: Sequence[ContactRows | LimitRows], states: Tensor) -> Tensor:
    """Which constraints act, `(n, constraints)`."""
    qpos, _ = simulator.space.split(states)
    found = []
    for part in parts:
        acts = torch.zeros(len(states), len(part.compliance.own), dtype=torch.bool)
        acts[part.acting(qpos)] = True
        found.append(acts)
    return torch.cat(found, dim=-1)


def _rarest_first(acting: Tensor) -> Tensor:
    """States in which constraints act: first one of each constraint, then a second, and so on."""
    number = acting.cumsum(0).masked_fill(~acting, len(acting) + 1).amin(-1)
    return number.argsort(stable=True)[: int(acting.any(-1).sum())]


def _weights_of_masses(simulator: NeuralSimulator, parts: Sequence[ContactRows | LimitRows]) -> Tensor:
    """What masses make of each constraint's weight, `(constraints,)`, by MuJoCo's rule; see `inverse_weights`."""
    predictor = simulator.predictor
    if not isinstance(predictor, ArticulatedPredictor):
        raise TypeError(f"an articulated predictor has masses to go by, not a {type(predictor).__name__}.")
    links, dofs = predictor.tree.inverse_weights()
    return torch.cat([part.weights(links, dofs) for part in parts])
