"""Masses, joint forces and gears of an articulated predictor: one linear solve on the balance of forces.

Of transitions in which no contact and no limit acts, as the geometry says, and of sums of balances in which couplings
of joints cancel. MuJoCo's Euler step obeys the balance
exactly at its start, with damping at the velocity after it. Any other step does so at its middle to second order; what
is left is then computed with the parameters of the solve before, and taken off the accelerations (deferred correction).
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from mosim.core.threads import single_threaded
from mosim.models.mosim.identification.balanced_transitions import LEAST_NOISE, STILL, Transitions
from mosim.models.mosim.identification.force_balance import DAMPING, Equations, ForceBalance
from mosim.models.mosim.identification.free_rows import Combination, coupled_motion
from mosim.models.mosim.identification.linear_estimate import LinearEstimate
from mosim.models.mosim.identification.mechanical_belief import AmplitudeBelief, MechanicalBelief
from mosim.models.mosim.identification.servo_fit import far_from_setpoints, fit_servos
from mosim.models.mosim.neural_simulator import NeuralSimulator
from mosim.models.mosim.tree.articulated import ArticulatedPredictor, Mechanics
from mosim.models.mosim.tree.servos import LOWER, Servos

_CHUNK = 256

_CORRECTIONS = 8
_CORRECTED = 1e-10
"""Change of the acceleration's correction, over the accelerations, at which it is found."""

_REGIMES = 12
"""Solves at most by which it is found where servos are at their limits."""

_ALIKE_LEFT = 0.9
"""Share of what is left to which the next of these comes close where it is the last."""

_LAGS = (0.0, 0.01, 0.02, 0.04, 0.07, 0.1, 0.14, 0.2, 0.3, 0.5)
"""Seconds that are tried for the ratio of servos' damping to their stiffness."""

_ROUGH_SHARE = 3
"""Of so many transitions one is taken for these."""

_ROUGH_NOISE, _MARGIN = 0.3, 3.0
"""Of balances, in units of the forces that act, while nothing is known of servos; and how many times what was left of
them it is taken for after that."""

_HELD_BACK = 10
"""One in so many transitions is held back, to see whether the numbers predict it."""

_EXACT = 1e-5
"""Share of squared accelerations, or forces, up to which what is left unexplained is rounding."""

_WEIGHINGS, _ALIKE = 8, 1.5
"""How often the noise of balances is found at most, and by how much it may differ from what is left of them."""

_SAMPLED = 64
"""States in which it is looked at by how much velocities that are off make balances miss."""

_SCALE_WEIGHT = 10.0
"""Of the size of all forces, over all other equations together."""


class MassFit(NamedTuple):
    """How masses, joint forces and gears were found.

    Attributes:
      transitions: that were looked at.
      free: `(nv,)`: in how many of them each degree of freedom is pushed by neither contact nor limit.
      residual: standard deviation of what the balance leaves, in units of the forces that act.
      parameters: how many unknowns there are.
      known: how many combinations of them the data say.
      unexplained: share of the squared accelerations of other, wholly free transitions that is left; NaN without any,
        as where joints are coupled.
      taken: whether the numbers were taken: they were not where masses of water predict those transitions better.
    """

    transitions: int
    free: Tensor
    residual: float
    parameters: int
    known: int
    unexplained: float
    taken: bool

    @property
    def exact(self) -> bool:
        """Whether what is left is rounding."""
        left = self.residual**2 if math.isnan(self.unexplained) else self.unexplained
        return left < _EXACT

    def __str__(self) -> str:
        if math.isnan(self.unexplained):
            left = f"{self.residual:.1e} of the forces stays unexplained"
        else:
            left = f"{self.unexplained:.1e} of the squared accelerations of held-out transitions stays unexplained"
        sentence = (
            f"masses and joint forces by least squares on {self.transitions} transitions: the data determine "
            f"{self.known} of {self.parameters} parameters, and {left}"
        )
        if unseen := int((self.free == 0).sum()):
            sentence += f"; {unseen} degrees of freedom are never free of contact and limit forces"
        if not self.taken:
            sentence += "; the initial masses, of shapes filled with water, explain more and are kept: "
            sentence += "the data are too few, or other forces act"
        return sentence


@single_threaded
@torch.no_grad()
def identify(simulator: NeuralSimulator, states: Tensor, actions: Tensor, next_states: Tensor) -> MassFit:
    """Gives a simulator with an articulated predictor the numbers that transitions say.

    Args:
      simulator: is changed, its constraints and correctors aside.
      states: `(n, nq + nv)`, raw.
      actions: `(n, nu)`, in actuator units.
      next_states: `(n, nq + nv)`: a physics step later.

    Raises:
      TypeError: the predictor is not an articulated one.
    """
    predictor = simulator.predictor
    if not isinstance(predictor, ArticulatedPredictor):
        raise TypeError(f"an articulated predictor is needed, which has masses, not a {type(predictor).__name__}.")
    dtype, rounding = predictor.tree.guess.dtype, torch.finfo(states.dtype).eps
    rows = [part.to(dtype) for part in (states, actions, next_states)]
    others = torch.arange(len(states)) % _HELD_BACK == _HELD_BACK - 1
    unseen = Transitions(simulator, predictor, [part[others] for part in rows])
    transitions = Transitions(simulator, predictor, [part[~others] for part in rows], rounding)
    neutral, before = predictor.mechanics(), unseen.unexplained()
    best = _estimate(predictor, transitions)
    after = unseen.unexplained()
    if not (taken := after <= before or before != before):
        predictor.assign(neutral)
    return MassFit(
        transitions=len(transitions.rates),
        free=transitions.free.sum(0),
        residual=best.left,
        parameters=len(best.unknowns),
        known=int((best.estimate.deviation < 0.5).sum()),
        unexplained=after,
        taken=taken,
    )


def _estimate(predictor: ArticulatedPredictor, transitions: Transitions) -> "_Found":
    """Gives the predictor the likeliest numbers."""
    if predictor.servos is not None:
        _fit_servos(predictor, predictor.servos, transitions)
    first, unexplained = predictor.mechanics(), transitions.unexplained()
    balance = ForceBalance(predictor)
    correction, scale = torch.zeros_like(transitions.rates), transitions.rates.square().mean().sqrt()
    best = _solve(balance, transitions, transitions.rates)
    _assign(predictor, balance.mechanics(best.unknowns), transitions)
    for _ in range(_CORRECTIONS):
        before, correction = correction, transitions.correction()
        if not (correction - before).square().mean().sqrt() > _CORRECTED * scale:
            break
        found = _solve(balance, transitions, transitions.rates - correction)
        if found.left > best.left:
            break
        best = found
        _assign(predictor, balance.mechanics(best.unknowns), transitions)
    # Where servos still are not exact, forces that are too small miss least.
    if predictor.servos is not None and transitions.unexplained() > unexplained:
        predictor.assign(first)
    return best


def _assign(predictor: ArticulatedPredictor, mechanics: Mechanics, transitions: Transitions) -> None:
    """Gives the predictor numbers that were solved for; limits of servos that no transition reaches stay."""
    if (servos := predictor.servos) is not None:
        columns = servos.columns(transitions.qpos, transitions.qvel, transitions.control)
        unseen = (columns[..., LOWER:] == 0).all(0)
        limits = torch.where(unseen, servos.numbers[:, LOWER:], mechanics.servos[:, LOWER:])
        mechanics = mechanics._replace(servos=torch.cat([mechanics.servos[:, :LOWER], limits], dim=-1))
    predictor.assign(mechanics)


def _fit_servos(predictor: ArticulatedPredictor, servos: Servos, transitions: Transitions) -> None:
    """Gives servos the numbers that a balance goes on from, and masses those that go with them.

    Where the data tell nothing of a servo, it keeps its own.
    """
    if not bool(transitions.usable.any()):
        return
    control = transitions.control[:, servos.controls]
    misses = {lag: servos.miss(transitions.qpos, transitions.qvel, control, lag) for lag in _LAGS}
    some = torch.arange(len(control)) % _ROUGH_SHARE == 0
    tried = {}
    for lag, miss in misses.items():
        balance = ForceBalance(predictor, lag)
        usable = transitions.among(far_from_setpoints(servos, transitions.balances, miss) & some.unsqueeze(-1))
        tried[lag] = balance, _solve_roughly(balance, usable, transitions.rates, _ROUGH_NOISE)
    lag = min(tried, key=lambda each: tried[each][1].left)
    miss, (balance, found) = misses[lag], tried[lag]
    amplitude = float(_amplitudes(balance, transitions)[:, -1].abs().mean())
    states = (transitions.qpos, transitions.qvel, transitions.rates, transitions.damped, transitions.control)
    before = math.inf
    for _ in range(_REGIMES):
        given = (states, transitions.balances, transitions.usable, miss)
        numbers, explained = fit_servos(balance, servos, found.unknowns, *given)
        predictor.assign(balance.mechanics(found.unknowns)._replace(servos=numbers))
        if _ALIKE_LEFT < found.left / before < 1 / _ALIKE_LEFT:
            break
        balance, before = ForceBalance(predictor), found.left
        noise = max(_MARGIN * found.left * amplitude, LEAST_NOISE)
        found = _solve_roughly(balance, transitions.among(explained), transitions.rates, noise)


class _Found(NamedTuple):
    """Unknowns, `(n,)`, what they were found from, and the standard deviation of what they leave of a balance."""

    unknowns: Tensor
    estimate: LinearEstimate
    left: float


def _solve(balance: ForceBalance, transitions: Transitions, rates: Tensor) -> _Found:
    """What the balance at given accelerations says, and what is likely anyway.

    Balances differ in how exact they are: in that of a joint with strong damping, rounding of velocities is much. So
    each is weighed by what the likeliest numbers leave of it.
    """
    triangles, sizes = _compressed(balance, transitions, rates)
    counts, amplitudes = transitions.usable.sum(0), _amplitudes(balance, transitions)
    belief, noises = MechanicalBelief(balance, rates), transitions.rounding
    least = float(noises.min())
    for _ in range(_WEIGHINGS):
        weighed = torch.cat([least / noise * triangle for noise, triangle in zip(noises, triangles, strict=True)])
        weight = _SCALE_WEIGHT * (weighed[:, :-1] * belief.spread).norm()
        estimate = LinearEstimate(torch.cat([weighed, weight * sizes]), int(counts.sum()), belief, least)
        unknowns = estimate.most_likely()
        left = torch.stack([_missed(part, unknowns).square().sum() for part in triangles])
        before, noises = noises, torch.maximum((left / counts.clamp_min(1)).sqrt(), transitions.rounding)
        if bool((torch.maximum(before / noises, noises / before) < _ALIKE).all()):
            break
        sizes = _amplitudes_kept(balance, transitions, amplitudes, unknowns, left / noises.square())
    return _Found(unknowns, estimate, float((left.sum() / counts.sum().clamp_min(1)).sqrt()))


def _solve_roughly(balance: ForceBalance, transitions: Transitions, rates: Tensor, noise: float) -> _Found:
    """The same, while it is not known well where servos are at a limit, and `noise` is that of all balances.

    Balances then miss by much, and by less the smaller all forces are. So the likelihood is that of the accelerations:
    it has the logarithms of the amplitudes by which errors of these make balances miss.
    """
    triangles, _ = _compressed(balance, transitions, rates)
    counts, amplitudes = transitions.usable.sum(0), _amplitudes(balance, transitions)
    belief = AmplitudeBelief(MechanicalBelief(balance, rates), amplitudes, counts.to(rates))
    estimate = LinearEstimate(torch.cat(triangles) / noise, int(counts.sum()), belief, 1.0)
    unknowns = estimate.most_likely()
    left = torch.stack([_missed(part, unknowns).square().sum() for part in triangles])
    share = (left / counts.clamp_min(1)).sqrt() / _missed(amplitudes, unknowns)
    return _Found(unknowns, estimate, float(share[counts > 0].clamp_min(STILL).log().mean().exp()))


def _missed(equations: Tensor, unknowns: Tensor) -> Tensor:
    return equations[:, :-1] @ unknowns - equations[:, -1]


def _compressed(balance: ForceBalance, transitions: Transitions, rates: Tensor) -> tuple[list[Tensor], Tensor]:
    """The balances, with as many equations each as unknowns, and one of the size of each tree.

    Forces could all be larger or smaller by one factor a tree, which motion does not tell; the smallest, none at all,
    would balance best. So what the guess's inertia gives for the square of accelerations is kept, which is positive
    whatever the masses are; of what couplings allow of them, since what stands against couplings is in no balance.

    Returns:
      `[matrix, right]` of each balance, `(m, unknowns + 1)`; and the sizes', `(trees, unknowns + 1)`.
    """
    triangles = [rates.new_zeros(0, 0) for _ in transitions.balances]
    along = rates.new_zeros(balance.size, balance.shared + balance.own)
    whole = _whole(transitions.free, balance.trees) * balance.force_scale
    for chunk in torch.arange(len(rates)).split(_CHUNK):
        equations = balance(
            transitions.qpos[chunk], transitions.qvel[chunk], rates[chunk], transitions.damped[chunk],
            transitions.control[chunk],
        )  # fmt: skip
        for number, combination in enumerate(transitions.balances):
            rows = combined(equations, combination, balance.force_scale, transitions.usable[chunk, number])
            rows = torch.cat([triangles[number].view(-1, rows.shape[1]), rows])
            triangles[number] = torch.linalg.qr(rows, mode="r")[1] if len(rows) > rows.shape[1] else rows
        inertia = balance.of_inertia(transitions.qpos[chunk], rates[chunk])
        moved = coupled_motion(rates[chunk], transitions.balances) * whole[chunk]
        along += torch.einsum("bj,bjk->jk", moved, torch.cat([inertia.shared, inertia.own], dim=-1))
    shared, trees = balance.shared, balance.trees
    sizes = rates.new_zeros(int(trees.max()) + 1, balance.unknowns + 1)
    for dof in range(balance.size):
        sizes[trees[dof], :shared] += along[dof, :shared]
        sizes[trees[dof], _own(balance, dof)] = along[dof, shared:]
    wide = [_widened(balance, each, rows) for each, rows in zip(transitions.balances, triangles, strict=True)]
    return wide, sizes / sizes.norm(dim=-1, keepdim=True).clamp_min(torch.finfo(sizes.dtype).tiny)


def _amplitudes(balance: ForceBalance, transitions: Transitions) -> Tensor:
    """By how much a balance misses when the velocity after a step is off, times the timestep.

    Returns:
      `[matrix, right]`, `(balances, unknowns + 1)`: `matrix @ x - right`, in the mean over states.
    """
    some = slice(None, None, max(1, len(transitions.qpos) // _SAMPLED))
    qpos, joints, found = transitions.qpos[some], balance.predictor.joints, []
    every = torch.ones(len(qpos), dtype=torch.bool)
    for combination in transitions.balances:
        off = torch.zeros(balance.size, dtype=qpos.dtype)
        off[list(combination.dofs)] = off.new_tensor(combination.weights)
        equations = balance.of_inertia(qpos, off.expand(len(qpos), -1))
        damping = balance.predictor.implicit_timestep * joints.damping_scale * off / joints.force_scale
        equations.own[..., DAMPING] = damping
        rows = combined(equations, combination, balance.force_scale, every)
        found.append(_widened(balance, combination, rows.mean(0, keepdim=True)))
    return torch.cat(found)


def _amplitudes_kept(
    balance: ForceBalance, transitions: Transitions, amplitudes: Tensor, unknowns: Tensor, misses: Tensor
) -> Tensor:
    """Equations of the trees, `(trees, unknowns + 1)`, that keep how much noise makes their balances miss.

    A balance of smaller forces misses by less, though it is no more exact. What `misses`, `(balances,)`, squares in
    units of noise, gain that way is what this takes from them.
    """
    weights = misses / _missed(amplitudes, unknowns)
    rows = weights.unsqueeze(-1) * amplitudes
    rows[:, -1] += misses
    first = torch.tensor([combination.dofs[0] for combination in transitions.balances])
    sizes = rows.new_zeros(int(balance.trees.max()) + 1, rows.shape[1]).index_add(0, balance.trees[first], rows)
    return sizes / sizes[:, :-1].norm(dim=-1, keepdim=True).clamp_min(torch.finfo(sizes.dtype).tiny)


def _own(balance: ForceBalance, dof: int) -> slice:
    return slice(balance.shared + dof * balance.own, balance.shared + (dof + 1) * balance.own)


def _widened(balance: ForceBalance, combination: Combination, rows: Tensor) -> Tensor:
    """`[matrix, right]` of all unknowns, `(m, unknowns + 1)`, of a combination's own ones."""
    of_all, *of_each, right = rows.split([balance.shared, *[balance.own] * len(combination.dofs), 1], dim=-1)
    wide = rows.new_zeros(len(rows), balance.unknowns + 1)
    wide[:, : balance.shared], wide[:, -1:] = of_all, right
    for dof, of_one in zip(combination.dofs, of_each, strict=True):
        wide[:, _own(balance, dof)] = of_one
    return wide


def combined(equations: Equations, combination: Combination, force_scale: Tensor, states: Tensor) -> Tensor:
    """A combination's `[shared, own of each, -guess]` in units of its first force; `states`, `(batch,)`, are taken."""
    dofs, weights = list(combination.dofs), combination.in_units_of(force_scale)
    shared, own, guess = (part[:, dofs][states] for part in (equations.shared, equations.own, equations.guess))
    own = own * weights.unsqueeze(-1)
    return torch.cat([weights @ shared, own.flatten(1), -(guess @ weights).unsqueeze(-1)], dim=-1)


def _whole(free: Tensor, trees: Tensor) -> Tensor:
    """1 in rows of trees that nothing pushes anywhere; of a tree that is always pushed, in all of its free rows."""
    whole = torch.zeros_like(free)
    for tree in trees.unique():
        of_tree = trees == tree
        untouched = free & (free | ~of_tree).all(-1, keepdim=True) & of_tree
        whole |= untouched if bool(untouched.any()) else free & of_tree
    return whole.to(torch.float64)
