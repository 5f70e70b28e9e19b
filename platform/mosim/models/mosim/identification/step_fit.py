"""What an articulated predictor learns by nonlinear least squares on single physics steps.

Of constraints alone, masses and forces held, where these are known from steps that nothing pushes; or of all, where
those steps are noisy: a balance of forces takes accelerations as they were measured, which noise biases, while a
prediction of them is only as noisy as its start. The numbers are few, and MuJoCo's own are among those that can be
learned, so the fit goes on until noise, rounding or a missing force ends it, where gradient steps would still be on
their way.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from typing import NamedTuple

import torch
from torch import Tensor, nn

from mosim.core.threads import single_threaded
from mosim.models.mosim.constraints.compliance import FRICTION, NUMBERS, SHAPE, WEIGHT
from mosim.models.mosim.constraints.constrained_motion import ConstraintRows
from mosim.models.mosim.constraints.dry_friction_rows import DryFrictionRows
from mosim.models.mosim.identification import robust_least_squares
from mosim.models.mosim.identification.force_balance import ForceBalance
from mosim.models.mosim.identification.robust_least_squares import cauchy_weights, sizes
from mosim.models.mosim.identification.squares import Squares, by_learned_weights
from mosim.models.mosim.identification.step_sensitivity import StepSensitivity
from mosim.models.mosim.identification.taken_transitions import taken
from mosim.models.mosim.identification.tree_scales import TreeScales
from mosim.models.mosim.neural_simulator import NeuralSimulator
from mosim.models.mosim.tree.articulated import ArticulatedPredictor

_CHUNK, _ENTRIES = 512, 10_000_000
"""Transitions that are taken at a time, and how many derivatives of accelerations by masses and forces at most."""

_COMBINATIONS = 9
"""Of the errors of a transition that the Hessian is made of, where these are more; others in every step."""

_MECHANICS = 1.0
"""How far the weights of masses, forces and gears are likely to be from what they are before."""

_SHARED, _OWN, _OWN_FREE = 10.0, 0.1, 1.0
"""How far the numbers of all constraints are likely to be from those before training; how far one constraint's are from
them; and how far its weight and its friction are."""

_EXPLAINED, _EXACT = 1e-3, 1e-4
"""Share of the transitions that may stay unexplained, and median error, when no more unknowns are freed."""

_ROUGH, _FINE = 0.03, 1e-4
"""Share of the loss that a step must take away, or it is the end: while more unknowns are to be freed, and with all."""


class StepFit(NamedTuple):
    """How the numbers were found.

    Attributes:
      transitions: that were taken.
      mechanics: whether masses, forces and gears were looked for too.
      constraints: how many contacts, limits and couplings there are.
      seen: how many of them ever acted in those.
      before, after: median over transitions of the accelerations' errors, in units of their standard deviation.
      unexplained: share of the transitions whose errors are many times the median.
    """

    transitions: int
    mechanics: bool
    constraints: int
    seen: int
    before: float
    after: float
    unexplained: float

    def __str__(self) -> str:
        if not self.transitions:
            return "no contact and no limit acts in the data, so their parameters stay unchanged"
        what = ["masses and joint forces"] * self.mechanics + ["constraints"] * (self.seen > 0)
        acting = f"{self.seen} of {self.constraints} act in them, " if self.seen else ""
        return (
            f"{', '.join(what)} by least squares on {self.transitions} transitions: {acting}the median error of "
            f"accelerations is {self.after:.1e} of their standard deviation ({self.before:.1e} before), and "
            f"{self.unexplained:.1%} of the transitions stay unexplained"
        )


@single_threaded
def fit_constraints(
    simulator: NeuralSimulator, states: Tensor, actions: Tensor, next_states: Tensor, noisy: bool = False
) -> StepFit:
    """Gives a simulator's contacts, limits and couplings the numbers that explain single physics steps best.

    Args:
      simulator: has an articulated predictor with constraints; its constraints are changed, nothing else.
      states: `(n, nq + nv)`, raw; those in which nothing acts say nothing.
      actions: `(n, nu)`, in actuator units.
      next_states: `(n, nq + nv)`: a physics step later.
      noisy: whether to find only what noise hides least: stiffness and damping that all share, and friction.

    Raises:
      TypeError: the predictor is not an articulated one.
    """
    return _fit(simulator, _Problem(simulator, states, actions, next_states, mechanics=False, noisy=noisy))


@single_threaded
def fit_steps(simulator: NeuralSimulator, states: Tensor, actions: Tensor, next_states: Tensor) -> StepFit:
    """Gives a simulator's masses, joint forces and constraints the numbers that explain single steps best.

    It goes on from the numbers that the simulator has; see `identify`.

    Args:
      simulator: has an articulated predictor, which is changed.
      states: `(n, nq + nv)`, raw.
      actions: `(n, nu)`, in actuator units.
      next_states: `(n, nq + nv)`: a physics step later.

    Raises:
      TypeError: the predictor is not an articulated one.
    """
    return _fit(simulator, _Problem(simulator, states, actions, next_states, mechanics=True))


def _fit(simulator: NeuralSimulator, problem: "_Problem") -> StepFit:
    start = problem.start
    before = problem.residuals(start)
    if not len(before):
        return StepFit(0, problem.mechanics, problem.constraints, 0, 0.0, 0.0, 0.0)
    found: list[robust_least_squares.Solution] = []
    for sets in problem.paths():
        found.append(_solved(problem, start, sets))
        if _explained(found[-1]):
            break
    solution = min(found, key=_left)
    if not _explained(solution) and (further := problem.further()):
        solution = _solved(problem, solution.unknowns, further)
    problem.assign(solution.unknowns, simulator)
    after = sizes(solution.residuals)
    return StepFit(
        transitions=len(after),
        mechanics=problem.mechanics,
        constraints=problem.constraints,
        seen=problem.seen,
        before=float(sizes(before).median()),
        after=float(after.median()),
        unexplained=float((after > solution.cut).double().mean()),
    )


def _solved(problem: "_Problem", start: Tensor, sets: Sequence[Tensor]) -> robust_least_squares.Solution:
    """With one set of unknowns looked for after the other, as long as transitions stay unexplained."""
    first, *others = sets
    solution = _solved_for(problem, start, first)
    for free in others:
        if _explained(solution):
            break
        solution = _solved_for(problem, solution.unknowns, free)
    return solution


def _solved_for(problem: "_Problem", start: Tensor, free: Tensor) -> robust_least_squares.Solution:
    # With masses among the unknowns, nothing comes after.
    last = problem.mechanics or bool(free.all())
    return robust_least_squares.solve(problem, start, free, _FINE if last else _ROUGH)


def _explained(solution: robust_least_squares.Solution) -> bool:
    errors = sizes(solution.residuals)
    return bool((errors > solution.cut).double().mean() < _EXPLAINED and errors.median() < _EXACT)


def _left(solution: robust_least_squares.Solution) -> float:
    """What a solution leaves unexplained, large errors counting little more than those that are not exact."""
    return float(torch.log1p((sizes(solution.residuals) / _EXACT).square()).mean())


class _Problem:
    """Single steps of a copy of the simulator, in double precision.

    Unknowns are the weights of masses, forces and gears, if these are looked for, or else the scales of several trees;
    what all contacts share, all limits, and all couplings; and what each constraint that was seen adds to it.
    """

    def __init__(
        self,
        simulator: NeuralSimulator,
        states: Tensor,
        actions: Tensor,
        next_states: Tensor,
        mechanics: bool,
        noisy: bool = False,
    ) -> None:
        self.mechanics, self._noisy = mechanics, noisy
        predictor, parts = _articulated(simulator), _constrained_parts(simulator)
        self.constraints = sum(len(part.compliance.own) for part in parts)
        weights = sum(weight.numel() for weight in _mechanical_weights(predictor)) if mechanics else 0
        kept, self._seen = taken(simulator, parts, states, weights, _COMBINATIONS)
        self.seen = len(self._seen)
        self._random = torch.Generator().manual_seed(0)
        self._places = torch.full((self.constraints,), self.seen).index_copy(0, self._seen, torch.arange(self.seen))
        self._model = deepcopy(simulator).double().requires_grad_(False)
        copied, self._parts = _articulated(self._model), _constrained_parts(self._model)
        std = simulator.statistics.acceleration_std.double()
        self._scale = simulator.facts.timestep * std
        self._sensitivity, self._balance = StepSensitivity(copied, std, self._parts), ForceBalance(copied)
        size = min(_CHUNK, max(1, _ENTRIES // (self._balance.size * self._balance.unknowns)))
        rows = [part[kept].double().split(size) for part in (states, actions, next_states)]
        self._chunks = list(zip(*rows, strict=True)) if len(kept) else []
        self._weights = _mechanical_weights(copied) if mechanics else []
        self._tree_scales = TreeScales(copied)
        owners = [torch.full((len(part.compliance.own),), number) for number, part in enumerate(parts)]
        share = nn.functional.one_hot(torch.cat([self._seen[:0], *owners])[self._seen], max(len(parts), 1)).double()
        self._by_shared = torch.kron(share, torch.eye(NUMBERS).double())[:, : NUMBERS * len(parts)]
        self._unseen = torch.zeros(self.constraints, NUMBERS, dtype=torch.float64)
        self._unseen[:, WEIGHT] = _weights_of_masses(predictor, parts).log()
        for part, own in zip(parts, self._unseen.split([len(part.compliance.own) for part in parts]), strict=True):
            if isinstance(part, DryFrictionRows):  # Whose strength the balance of forces tells.
                own[:, FRICTION] = part.compliance.own[:, FRICTION].detach()
        scales = self._scale.new_zeros(0 if mechanics else self._tree_scales.size)
        learned = torch.cat([scales, *(weight.flatten() for weight in self._weights)])
        shared = torch.zeros(len(parts) * NUMBERS, dtype=torch.float64)
        self._sizes = [len(learned), len(shared), NUMBERS * self.seen]
        self.expected = torch.cat([learned, shared, self._unseen[self._seen].flatten()])
        self.start = self.expected
        fitted = any(bool(part.compliance.own[:, WEIGHT].any()) for part in parts)
        if fitted and not noisy:  # Or else, what noise hides stays as it was before any fit.
            own = torch.cat([part.compliance.own.detach() for part in parts]).double()[self._seen]
            of_all = torch.cat([part.compliance.shared.detach() for part in parts]).double()
            self.start = torch.cat([learned, of_all, own.flatten()])
        own = torch.full((NUMBERS,), _OWN, dtype=torch.float64)
        own[[WEIGHT, FRICTION]] = _OWN_FREE
        deviations = [torch.full_like(learned, _MECHANICS), torch.full_like(shared, _SHARED), own.repeat(self.seen)]
        self.precision = torch.cat(deviations) ** -2

    def paths(self) -> list[list[Tensor]]:
        """Which unknowns are looked for first, one set after the other, and other ways to begin.

        Most robots' constraints have all but friction in common, and what is common is found from few transitions. How
        impedances rise with depth may come after how stiff and damped constraints are: while these are far off, it
        makes up for them. Or with them: stiffness found for the wrong rise may be far off itself.
        """
        if self.mechanics:  # Behind noise, what else a constraint has of its own does not show.
            return [[self._looked_for(FRICTION, WEIGHT)]]
        together = self._looked_for(FRICTION)
        before = together.clone()
        before[self._sizes[0] : sum(self._sizes[:2])].view(-1, NUMBERS)[:, SHAPE] = False
        return [[before]] if self._noisy else [[before, together], [together]]

    def further(self) -> list[Tensor]:
        """Which are looked for if transitions stay unexplained."""
        return (
            [] if self.mechanics or self._noisy else [self._looked_for(FRICTION, WEIGHT), self._looked_for(slice(None))]
        )

    def _looked_for(self, *columns: int | slice) -> Tensor:
        """All that constraints share, and such numbers of their own."""
        own = torch.zeros(self.seen, NUMBERS).bool()
        for column in columns:
            own[:, column] = True
        return torch.cat([torch.ones(sum(self._sizes[:2])).bool(), own.flatten()])

    @torch.no_grad()
    def assign(self, unknowns: Tensor, simulator: NeuralSimulator) -> None:
        """Gives them to a simulator; a constraint that was never seen has the numbers of all."""
        mechanics, shared, seen = unknowns.split(self._sizes)
        if self.mechanics:
            weights = _mechanical_weights(_articulated(simulator))
            for weight, value in zip(weights, mechanics.split([weight.numel() for weight in weights]), strict=True):
                weight.copy_(value.view_as(weight))
        else:
            self._tree_scales.assign(_articulated(simulator), mechanics)
        parts, own = _constrained_parts(simulator), self._unseen.clone()
        own[self._seen] = seen.view(-1, NUMBERS)
        each = own.split([len(part.compliance.own) for part in parts])
        for part, of_all, of_one in zip(parts, shared.view(-1, NUMBERS), each, strict=True):
            part.compliance.shared.copy_(of_all)
            part.compliance.own.copy_(of_one)

    @torch.no_grad()
    def residuals(self, unknowns: Tensor) -> Tensor:
        """See `robust_least_squares.Problem`: a group is a transition, with the errors of its accelerations."""
        self.assign(unknowns, self._model)
        none = self._scale.new_zeros(0, len(self._scale))
        return torch.cat([none, *(self._errors(*chunk)[0] for chunk in self._chunks)])

    def equations(self, unknowns: Tensor, cut: float) -> tuple[Tensor, Tensor]:
        """See `robust_least_squares.Problem`.

        The gradient is exact, but for scales of trees. The Hessian is off a little: combinations of errors may stand
        for all, and of a step that asks for several accelerations it is the mean of theirs.
        """
        self.assign(unknowns, self._model)
        weights = [
            *self._weights,
            *(getattr(part.compliance, name) for name in ("shared", "own") for part in self._parts),
        ]
        looked_for = bool(self._sizes[0])
        by_unknowns = _derivatives(self._balance, self._weights)
        if looked_for and not self.mechanics:
            by_unknowns = self._tree_scales.derivatives(self._balance, unknowns[: self._sizes[0]])
        by_weights, mixed = by_unknowns.mT.to_sparse(), self._combinations()
        gradient, squares = torch.zeros_like(unknowns), Squares(self._sizes[0], self.seen, unknowns)
        for chunk in self._chunks:
            with torch.enable_grad(), _learning(weights):
                errors, asked = self._errors(*chunk)
                counts = cauchy_weights(errors.detach(), cut).unsqueeze(-1)
                loss = (0.5 * counts * errors.square()).sum()
                slopes = torch.autograd.grad(loss, weights, materialize_grads=True)
            gradient += self._joined(slopes)
            roots = (counts / len(asked)).sqrt().unsqueeze(-1)
            for qpos, qvel in asked:
                found = self._sensitivity(qpos, qvel, self._model.scaled(chunk[1]), chunk[1], looked_for)
                if looked_for and not self.mechanics:
                    weighed = (counts * errors.detach() / len(asked)).unsqueeze(-2) @ found.mechanics
                    gradient[: self._sizes[0]] += (weighed @ by_unknowns).sum((0, 1))
                squares.add(
                    by_learned_weights(mixed @ (roots * found.mechanics), by_weights),
                    torch.einsum("ij,bjkl->bikl", mixed, roots.unsqueeze(-1) * found.numbers),
                    self._places[found.which],
                )
        return gradient, squares.of_unknowns(self._by_shared)

    def _errors(
        self, states: Tensor, actions: Tensor, next_states: Tensor
    ) -> tuple[Tensor, list[tuple[Tensor, Tensor]]]:
        """The errors, and the states whose accelerations the step asks for."""
        asked: list[tuple[Tensor, Tensor]] = []

        def acceleration(qpos: Tensor, qvel: Tensor, action: Tensor) -> Tensor:
            asked.append((qpos.detach(), qvel.detach()))
            return self._model.acceleration(qpos, qvel, action)

        _, found = self._model.integrator(acceleration, *self._model.space.split(states), actions)
        return (found - self._model.space.split(next_states)[1]) / self._scale, asked

    def _combinations(self) -> Tensor:
        """Those of errors that the Hessian is made of, `(m, nv)`: of many errors, random ones stand for all."""
        size = len(self._scale)
        if size <= _COMBINATIONS:
            return torch.eye(size).to(self._scale)
        turned = torch.linalg.qr(torch.randn(size, size, generator=self._random).to(self._scale))[0]
        return (size / _COMBINATIONS) ** 0.5 * turned[:_COMBINATIONS]

    def _joined(self, slopes: Sequence[Tensor]) -> Tensor:
        """The gradient by unknowns of that by weights; zero by the scales of trees."""
        mechanics, rest = slopes[: len(self._weights)], slopes[len(self._weights) :]
        none = self._scale.new_zeros(0 if self.mechanics else self._sizes[0])
        shared, own = rest[: len(self._parts)], rest[len(self._parts) :]
        seen = torch.cat([self._unseen[:0], *own])[self._seen]
        return torch.cat([none, *(part.flatten() for part in (*mechanics, *shared, seen))])


def _derivatives(balance: ForceBalance, weights: Sequence[Tensor]) -> Tensor:
    """Those of a balance's unknowns by the weights that they are learned by, `(unknowns, weights)`; none without."""
    if not weights:
        return balance.force_scale.new_zeros(0, 0)
    with torch.enable_grad(), _learning(weights):
        learned = balance.learned()
        each = torch.eye(len(learned)).to(learned)
        found = torch.autograd.grad(learned, weights, each, is_grads_batched=True, materialize_grads=True)
    return torch.cat([part.flatten(1) for part in found], dim=-1)


@contextmanager
def _learning(weights: Sequence[Tensor]) -> Iterator[None]:
    for weight in weights:
        weight.requires_grad_(True)
    try:
        yield
    finally:
        for weight in weights:
            weight.requires_grad_(False)


def _articulated(simulator: NeuralSimulator) -> ArticulatedPredictor:
    predictor = simulator.predictor
    if not isinstance(predictor, ArticulatedPredictor):
        raise TypeError(f"an articulated predictor is needed, which has masses, not a {type(predictor).__name__}.")
    return predictor


def _mechanical_weights(predictor: ArticulatedPredictor) -> list[Tensor]:
    """What masses, forces and gears are learned by."""
    parts = (predictor.tree, predictor.joints, predictor.actuation, predictor.servos, predictor.fluid)
    return [weight for part in parts if part is not None for weight in part.parameters()]


def _constrained_parts(simulator: NeuralSimulator) -> list[ConstraintRows]:
    constraints = simulator.predictor.constraints
    return [] if constraints is None else constraints.parts


def _weights_of_masses(predictor: ArticulatedPredictor, parts: Sequence[ConstraintRows]) -> Tensor:
    """What masses make of each constraint's weight, `(constraints,)`, by MuJoCo's rule."""
    inverse = predictor.tree.inverse_weights()
    return torch.cat([inverse.dofs[:0], *(part.weights(inverse) for part in parts)])
