"""How stiff servos are, and where their limits lie: first numbers, from which a linear solve goes on.

The balance of forces is linear in a servo's numbers only where it is known whether the servo is at a limit. At first,
nothing is known of either. So far from its setpoint, where a stiff servo is at a limit and a soft one is not, any
constant force on each side and any linear one is allowed; with the masses that follow, each servo's force is known in
every state, and shows where it is linear, and where it is cut.
"""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from mosim.models.mosim.identification.force_balance import ForceBalance
from mosim.models.mosim.identification.free_rows import Combination
from mosim.models.mosim.tree.servos import LOWER, NUMBERS, UPPER, Servos

_FAR = 0.3
"""Share of the states, those nearest to the setpoint, of which it is not said at which limit a servo stands."""

_AT_LIMIT = 0.3
"""Share of the states farthest from the setpoint on either side, whose median force is the limit at first."""

_STEEPNESS = tuple(2.0**power for power in range(13))
"""Forces before limits that are tried at first, over the limits, at the setpoint that is farthest off."""

_ROUNDS, _OUTLYING = 30, 6.0
"""Fits at most; and how many times the median miss of forces between the limits another may miss."""

_BETTER = 0.95
"""Share of the mean miss of a linear force that one with limits may leave, or there are no limits."""

_BEYOND = 0.1
"""Of the range of forces, how far beyond it limits are put that were never reached."""

_EXPLAINED = 0.1
"""Of the range of a servo's force, how far its numbers may miss a force that they explain."""

_PASSES, _CHUNK = 3, 256
"""How often the forces of servos that act on the same joints are told apart, one after the other."""


def far_from_setpoints(servos: Servos, balances: Sequence[Combination], miss: Tensor) -> Tensor:
    """Where all servos in a balance of forces are far from their setpoints, `(n, balances)`.

    Args:
      servos: of the robot.
      balances: of which degrees of freedom.
      miss: see `Servos.miss`, `(n, servos)`.
    """
    far = miss.abs() >= miss.abs().quantile(_FAR, dim=0) if len(miss) else miss.bool()
    acting = [(servos.pulls[:, list(balance.dofs)] != 0).any(-1) for balance in balances]
    return torch.stack([far[:, acts].all(-1) for acts in acting], dim=-1)


def fit_servos(
    balance: ForceBalance,
    servos: Servos,
    unknowns: Tensor,
    states: Sequence[Tensor],
    balances: Sequence[Combination],
    usable: Tensor,
    miss: Tensor,
) -> tuple[Tensor, Tensor]:
    """Numbers of all servos, `(servos, NUMBERS)`, in SI units, and where they explain forces, `(n, balances)`.

    Args:
      balance: of forces.
      servos: of its predictor.
      unknowns: that it found.
      states: `balance`'s arguments.
      balances: in which no coupling's force stands.
      usable: `(n, balances)`: where these hold.
      miss: see `Servos.miss`, `(n, servos)`.
    """
    qpos, qvel, _, damped, control = states
    before = balance.mechanics(unknowns).servos
    force = (servos.columns(qpos, qvel, control, balance.lag) * before).sum(-1)
    needed = torch.stack(list(_needed(balance, unknowns, states, balances)), dim=-1)
    of_dofs = [each.in_units_of(balance.force_scale) / balance.force_scale[list(each.dofs)] for each in balances]
    weights = torch.stack(
        [servos.pulls[:, list(each.dofs)] @ of_one for each, of_one in zip(balances, of_dofs, strict=True)]
    )
    seen = usable.sum(0).to(weights)
    best: list[int] = (weights.abs() * (seen > 0).unsqueeze(-1)).argmax(0).tolist()
    for _ in range(_PASSES):
        for servo in range(len(before)):
            others = force @ weights[best[servo]] - force[:, servo] * weights[best[servo], servo]
            force[:, servo] = (needed[:, best[servo]] - others) / weights[best[servo], servo]
    at_start = servos.columns(qpos, qvel, control, 0.0)
    every = servos.generalised(at_start, damped - qvel)
    found, explained = servos.numbers.clone(), torch.ones_like(usable)
    for servo in range(len(found)):
        holds, dofs = usable[:, best[servo]], list(balances[best[servo]].dofs)
        shares = servos.pulls[servo, dofs] * of_dofs[best[servo]]
        along = (of_dofs[best[servo]].unsqueeze(-1) * every[:, dofs, servo, :LOWER]).sum(1) / shares.sum()
        here = at_start[:, servo, :LOWER]
        numbers = fit_servo(along[holds], here[holds], force[holds, servo], miss[holds, servo])
        if numbers is None:
            continue
        found[servo] = numbers
        missed = (force[:, servo] - _given(along, here, numbers)).abs()
        explained[:, best[servo]] &= missed < _EXPLAINED * (numbers[UPPER] - numbers[LOWER])
    return found, explained


def _needed(
    balance: ForceBalance, unknowns: Tensor, states: Sequence[Tensor], balances: Sequence[Combination]
) -> Iterator[Tensor]:
    """By balance, the force that masses and all other forces leave to servos, `(n,)`, in units of its first force."""
    parts, left = balance.split(unknowns), []
    others = balance.join(parts._replace(servos=torch.zeros_like(parts.servos)))
    for chunk in zip(*(part.split(_CHUNK) for part in states), strict=True):
        equations = balance(*chunk)
        left.append(equations.shared @ others[: balance.shared] + (equations.own * parts.own).sum(-1) + equations.guess)
    missed = torch.cat(left)
    for each in balances:
        yield missed[:, list(each.dofs)] @ each.in_units_of(balance.force_scale)


def fit_servo(columns: Tensor, at_start: Tensor, force: Tensor, miss: Tensor) -> Tensor | None:
    """A servo's numbers, `(NUMBERS,)`, see `Servos`; None where the states do not tell them.

    Args:
      columns: what its numbers but the limits multiply, `(n, 4)`; zero of those that it has not.
      at_start: the same at the start of the steps, which says whether a limit is reached.
      force: what it was, `(n,)`.
      miss: see `Servos.miss`, `(n,)`.
    """
    if len(force) <= NUMBERS:
        return None
    above = force[miss >= miss.quantile(1 - _AT_LIMIT)].median()
    below = force[miss <= miss.quantile(_AT_LIMIT)].median()
    lower, upper = torch.minimum(above, below), torch.maximum(above, below)
    plain = _linear(columns, force, torch.ones_like(miss, dtype=torch.bool))
    asked = at_start @ plain
    beyond = _BEYOND * (asked.max() - asked.min())
    best = torch.cat([plain, (asked.min() - beyond).view(1), (asked.max() + beyond).view(1)])
    least = _BETTER * (force - columns @ plain).abs().mean()
    for steepness in _STEEPNESS:
        asked = lower + 0.5 * (upper - lower) * (1 + steepness * miss / miss.abs().amax())
        found = _with_limits(columns, at_start, force, (asked, lower, upper))
        if found is None:
            continue
        if (missed := (force - _given(columns, at_start, found)).abs().mean()) < least:
            best, least = found, missed
    return best


def _given(columns: Tensor, at_start: Tensor, numbers: Tensor) -> Tensor:
    """The forces, `(n,)`, of a servo with these numbers; other arguments as above."""
    asked, lower, upper = at_start @ numbers[:LOWER], numbers[LOWER], numbers[UPPER]
    inside = (asked > lower) & (asked < upper)
    return torch.where(inside, columns @ numbers[:LOWER], asked.clamp(lower, upper))


def _with_limits(
    columns: Tensor, at_start: Tensor, force: Tensor, start: tuple[Tensor, Tensor, Tensor]
) -> Tensor | None:
    """Numbers with limits that are reached, found from forces before limits, `(n,)`, and limits; None without any."""
    asked, lower, upper = start
    inside, found = (asked > lower) & (asked < upper), None
    for _ in range(_ROUNDS):
        if int(inside.sum()) <= NUMBERS:
            break
        linear = _linear(columns, force, inside)
        asked, missed = at_start @ linear, (force - columns @ linear).abs()
        between = (asked > lower) & (asked < upper)
        near = between & (missed <= _OUTLYING * missed[between].median()) if bool(between.any()) else between
        lower = _median(force[asked <= lower], lower)
        upper = _median(force[asked >= upper], upper)
        found = torch.cat([linear, lower.view(1), upper.view(1)])
        if torch.equal(near, inside):
            break
        inside = near
    return found


def _linear(columns: Tensor, force: Tensor, states: Tensor) -> Tensor:
    """The numbers but the limits, `(4,)`, that explain the forces of some states best."""
    scale = columns.abs().amax(0)
    scale = torch.where(scale > 0, scale, 1.0)
    solution = torch.linalg.lstsq(columns[states] / scale, force[states].unsqueeze(-1), driver="gelsd").solution
    return solution.squeeze(-1) / scale


def _median(values: Tensor, otherwise: Tensor) -> Tensor:
    return values.median() if len(values) else otherwise
