"""By how much all forces of a robot's trees are larger than before, which only contacts between trees tell."""

import torch
from torch import Tensor

from mosim.models.mosim.identification.force_balance import ForceBalance
from mosim.models.mosim.tree.articulated import ArticulatedPredictor, Mechanics


class TreeScales:
    """One factor a tree, of its masses and of all forces on its joints; none where there is one tree.

    Attributes:
      size: how many there are.
    """

    def __init__(self, predictor: ArticulatedPredictor) -> None:
        """`predictor` has the numbers that factors multiply."""
        with torch.no_grad():
            self._mechanics = Mechanics(*(part.detach().clone() for part in predictor.mechanics()))
        self._trees = predictor.tree.motion.trees
        self.size = int(self._trees.max()) + 1 if bool((self._trees > 0).any()) else 0
        self._of_links = self._trees[predictor.tree.motion.moves.to(torch.long).argmax(-1)]
        self._springs = predictor.joints.springs
        self._of_drag = None if predictor.fluid is None else self._of_links[predictor.fluid.links]
        servos = predictor.servos
        self._of_servos = None if servos is None else self._trees[servos.pulls.abs().argmax(-1)]
        self._of_tendons = (
            self._trees[predictor.joints.tendons.abs().argmax(-1)] if len(predictor.joints.tendons) else None
        )

    def assign(self, predictor: ArticulatedPredictor, logarithms: Tensor) -> None:
        """Gives a predictor the numbers times factors, whose logarithms, `(size,)`, are given."""
        if self.size:
            predictor.assign(self._scaled(logarithms))

    def derivatives(self, balance: ForceBalance, logarithms: Tensor) -> Tensor:
        """Those of the unknowns of a balance, `(unknowns, size)`."""
        at = logarithms.detach().requires_grad_()
        with torch.enable_grad():
            found = balance.unknowns_of(self._scaled(at))
            each = torch.eye(len(found)).to(found)
            return torch.autograd.grad(found, at, each, is_grads_batched=True)[0]

    def _scaled(self, logarithms: Tensor) -> Mechanics:
        mechanics, factors = self._mechanics, logarithms.exp()
        of_dofs = factors[self._trees]
        of_tendons = mechanics.tendon_stiffness if self._of_tendons is None else factors[self._of_tendons]
        return Mechanics(
            pseudo_inertia=mechanics.pseudo_inertia * factors[self._of_links, None, None],
            armature=mechanics.armature * of_dofs,
            damping=mechanics.damping * of_dofs,
            constant=mechanics.constant * of_dofs,
            stiffness=mechanics.stiffness * of_dofs[self._springs],
            gear=mechanics.gear * of_dofs.unsqueeze(-1),
            tendon_stiffness=mechanics.tendon_stiffness * of_tendons,
            tendon_damping=mechanics.tendon_damping * of_tendons,
            drag=mechanics.drag if self._of_drag is None else mechanics.drag * factors[self._of_drag],
            dry_friction=mechanics.dry_friction * of_dofs,
            servos=mechanics.servos if self._of_servos is None else mechanics.servos * factors[self._of_servos, None],
        )
