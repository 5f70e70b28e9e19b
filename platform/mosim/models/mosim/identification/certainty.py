"""How certain a simulator's mechanical parameters are, by the balance of forces in data."""

from collections.abc import Sequence

import torch
from torch import Tensor

from mosim.core.threads import single_threaded
from mosim.models.mosim.identification.balanced_transitions import Transitions
from mosim.models.mosim.identification.free_rows import without_couplings
from mosim.models.mosim.identification.mechanical_parameters import MechanicalParameters
from mosim.models.mosim.neural_simulator import NeuralSimulator
from mosim.models.mosim.tree.articulated import ArticulatedPredictor

_ROUNDING = 1e-12
"""Share of the largest singular value below which equations say nothing."""

_LEAST_NOISE = 1e-9
"""In units of the forces that act: none are more exact."""

_POSSIBLE = 100.0
"""Standard deviation of parameters before the data, over their scale: so wide that what nothing tells shows."""

_TWO_SIDED = 1.96
"""Standard deviations within which 95% of a normal distribution lie."""

_WEIGHINGS = 3
"""Solves by which the noise of each degree of freedom's rows is found."""

_CHUNK = 256


class Certainty:
    """What weighted linear equations say of parameters over their scale, around given values.

    The curvature of half their squares is the Gauss-Newton matrix; numbers that are known beforehand are held.

    Attributes:
      step: `(n,)`: from the values to those that fit the equations best.
      rows: of each degree of freedom, how many rows of data went in; empty where none did.
    """

    def __init__(self, equations: Tensor, residuals: Tensor, known: Tensor, rows: Sequence[int] = ()) -> None:
        """Takes the equations in.

        Args:
          equations: `(m, n)`: rows in units of their noise.
          residuals: `(m,)`: what the values leave of them.
          known: `(k, n)`: combinations that are known.
          rows: see the attribute.
        """
        self.rows = tuple(rows)
        strength = torch.linalg.matrix_norm(equations, 2)
        lengths = known.norm(dim=-1, keepdim=True)
        held = strength * known / torch.where(lengths > 0, lengths, 1.0)
        whole = torch.cat([equations, held])
        left = torch.cat([residuals, residuals.new_zeros(len(known))])
        triangle = torch.linalg.qr(torch.cat([whole, left.unsqueeze(-1)], dim=-1), mode="r")[1]
        outer, singular, self._directions = torch.linalg.svd(triangle[:, :-1], full_matrices=False)
        says = singular > _ROUNDING * singular[0]
        self._precision = torch.where(says, singular, 0.0).square() + _POSSIBLE**-2
        fit = torch.where(says, singular, 0.0) * (outer.mT @ triangle[:, -1]) / self._precision
        self.step = -fit @ self._directions

    def half_widths(self, combinations: Tensor) -> Tensor:
        """Half of 95% intervals about the values, `(k,)`, of combinations of parameters over their scale, `(k, n)`.

        They hold the data's own intervals, which lie about the values that fit best.
        """
        along = combinations @ self._directions.mT
        unseen = combinations - along @ self._directions  # Where there are fewer equations than parameters.
        variance = (along.square() / self._precision).sum(-1) + (_POSSIBLE * unseen).square().sum(-1)
        return (combinations @ self.step).abs() + _TWO_SIDED * variance.sqrt()

    def least_known(self, basis: Tensor, uncertain: float) -> tuple[Tensor, Tensor]:
        """Directions within a subspace that the equations say little of.

        Args:
          basis: `(k, n)`: orthonormal rows that span the subspace.
          uncertain: half of the 95% interval over the parameters' scale, beyond which one is returned.

        Returns:
          Directions, `(j, n)`, of length 1, the least certain first; and half of their intervals, `(j,)`.
        """
        along = self._precision.sqrt().unsqueeze(-1) * (self._directions @ basis.mT)
        _, singular, inner = torch.linalg.svd(along)
        widths = along.new_full((len(inner),), _TWO_SIDED * _POSSIBLE)
        widths[: len(singular)] = _TWO_SIDED / singular.clamp_min(1 / _POSSIBLE)
        chosen = (widths > uncertain).nonzero().squeeze(-1).flip(0)
        return inner[chosen] @ basis, widths[chosen]


@single_threaded
@torch.no_grad()
def certainty_of(
    simulator: NeuralSimulator,
    parameters: MechanicalParameters,
    known: Tensor,
    told: Tensor,
    states: Tensor,
    actions: Tensor,
    next_states: Tensor,
) -> Certainty:
    """How certain the parameters of a simulator with an articulated predictor are, by transitions.

    Of each transition, the rows count in which no contact and no limit acts, as in `identify`. The
    noise of each degree of freedom's rows is found with the values that fit best.

    Args:
      simulator: is not changed.
      parameters: of its predictor.
      known: see `Certainty`.
      told: `(k, n)`: orthonormal rows that span what motion can tell; in all other directions the values stay, since no
        forces at all would balance best.
      states: `(n, nq + nv)`, raw.
      actions: `(n, nu)`, in actuator units.
      next_states: `(n, nq + nv)`: a physics step later.

    Raises:
      TypeError: the predictor is not an articulated one.
    """
    predictor = simulator.predictor
    if not isinstance(predictor, ArticulatedPredictor):
        raise TypeError(f"an articulated predictor is needed, which has masses, not a {type(predictor).__name__}.")
    transitions = Transitions(simulator, predictor, [part.double() for part in (states, actions, next_states)])
    triangles = _triangles(simulator, predictor, parameters, transitions)
    counts = transitions.usable.sum(0).tolist()
    seen = [0] * simulator.facts.nv
    for each, count in zip(transitions.balances, counts, strict=True):
        for dof in each.dofs:
            seen[dof] = max(seen[dof], count)
    triangles = [torch.cat([part[:, :-1] @ told.mT @ told, part[:, -1:]], dim=-1) for part in triangles]
    # Where there are no more rows than they tell numbers, anything fits them, and nothing says how well they are met.
    spare = [
        count - int(torch.linalg.matrix_rank(triangle[:, :-1], rtol=_ROUNDING)) if count else 0
        for triangle, count in zip(triangles, counts, strict=True)
    ]
    step = known.new_zeros(len(parameters))
    found = Certainty(known[:0], step[:0], known)
    for _ in range(_WEIGHINGS):
        equations, residuals = [known[:0]], [step[:0]]
        for triangle, more in zip(triangles, spare, strict=True):
            if more > 0:
                rows, left = triangle[:, :-1], triangle[:, -1]
                noise = max(float((left + rows @ step).square().sum() / more) ** 0.5, _LEAST_NOISE)
                equations.append(rows / noise)
                residuals.append(left / noise)
        found = Certainty(torch.cat(equations), torch.cat(residuals), known, seen)
        step = found.step
    return found


def _triangles(
    simulator: NeuralSimulator,
    predictor: ArticulatedPredictor,
    parameters: MechanicalParameters,
    transitions: Transitions,
) -> list[Tensor]:
    """`[rows, residual]` of each balance, triangular, `(m, n + 1)`."""
    values = parameters.of(predictor.mechanics()) / parameters.scale
    rates = transitions.rates if predictor.implicit_timestep else transitions.rates - transitions.correction()
    triangles = [values.new_zeros(0, len(values) + 1) for _ in transitions.balances]
    for chunk in torch.arange(len(rates)).split(_CHUNK):
        rows = parameters.regressor(
            transitions.qpos[chunk], transitions.qvel[chunk], rates[chunk], transitions.damped[chunk],
            transitions.control[chunk],
        )  # fmt: skip
        every = torch.cat([rows, (rows @ values).unsqueeze(-1)], dim=-1)
        every = without_couplings(every, transitions.balances, predictor.joints.force_scale)
        for number, usable in enumerate(transitions.usable[chunk].unbind(-1)):
            triangles[number] = _triangular(torch.cat([triangles[number], every[usable, number]]))
    return triangles


def _triangular(rows: Tensor) -> Tensor:
    """Rows of the same Gram matrix, at most as many as there are columns that are not all zero."""
    present = rows.any(0)
    if len(rows) <= int(present.sum()):
        return rows
    triangle = torch.linalg.qr(rows[:, present], mode="r")[1]
    wide = rows.new_zeros(len(triangle), rows.shape[1])
    wide[:, present] = triangle
    return wide
