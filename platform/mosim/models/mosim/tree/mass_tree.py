"""A robot as a tree of masses on its drawing: inertia matrix and bias force, with the masses learned."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from mosim.geometry import Placement, TreeMotion, buffer, index_buffer, twist_matrices, wrenches
from mosim.models.mosim.remembered import remembered
from mosim.models.mosim.tree import spatial_inertia, tree_dynamics
from mosim.models.mosim.tree.drag_places import NUMBERS
from mosim.models.mosim.tree.drawing import drawing_of
from mosim.models.mosim.tree.fluid_drag import PLACE, FluidDrag
from mosim.models.mosim.tree.guessed_masses import guessed_pseudo_inertias
from mosim.robots import SystemFacts

SMALLEST_SHARE = 1e-12
"""Of a scale, below which a number that cannot be negative is as good as zero: logarithms have no zero."""

_ARMATURE = 1e-3
"""Armature before training, as a share of the inertia."""


class InverseWeights(NamedTuple):
    """How much units of force accelerate.

    Attributes:
      links: `(links + 1,)`: at a link's centre of mass, in the mean over directions, MuJoCo's `body_invweight0`; zero
        for the world, which comes last.
      dofs: `(nv,)`: along a degree of freedom, in the mean over a joint's linear or angular ones, `dof_invweight0`.
      inverse: `(nv, nv)`: the inverse of the inertia matrix.
    """

    links: Tensor
    dofs: Tensor
    inverse: Tensor


class MassTree(nn.Module):
    """Masses on the links that carry bodies, and the armature of each degree of freedom.

    The inertia matrix is that of composite rigid bodies, the bias force that of Newton and Euler's equations:
    Featherstone, "Rigid Body Dynamics Algorithms" (2008), tables 6.2 and 5.1, with the recursions over the tree written
    as sums over links. With MuJoCo's own masses they are MuJoCo's `mj_fullM` and `qfrc_bias`.

    Attributes:
      motion: of the links.
      gravity: `(3,)`, in metres a second squared.
      guess: `(carriers, 4, 4)`: upper triangular factors of the pseudo-inertias that shapes alone suggest.
      scale: `(nv,)`: inertia of each degree of freedom under that guess, at the joints' zeros.
      inertia: `(carriers, 10)`: see `spatial_inertia`, in units of the guess.
      log_armature: `(nv,)`, in units of `scale`.
    """

    guess: Tensor
    scale: Tensor
    gravity: Tensor
    _once: Tensor
    _reference: Tensor
    _of_joints: Tensor
    _layout: Tensor
    _drawing: Tensor
    _no_drag: Tensor
    _no_places: Tensor

    def __init__(self, facts: SystemFacts, dtype: torch.dtype = torch.float64) -> None:
        """`dtype` is the precision that everything is computed in; what is learned has torch's default one."""
        super().__init__()
        self.motion = TreeMotion(facts.skeleton, dtype)
        guess = torch.tensor(guessed_pseudo_inertias(facts.skeleton, self.motion.carriers), dtype=torch.float64)
        buffer(self, "guess", torch.linalg.cholesky(guess.flip(-1, -2)).flip(-1, -2).numpy(), dtype)
        buffer(self, "gravity", facts.gravity, dtype)
        buffer(self, "_once", self.motion.above.tril().numpy(), dtype)
        drawing = drawing_of(facts.skeleton, self.motion.carriers)
        index_buffer(self, "_layout", drawing.layout.tolist())
        buffer(self, "_drawing", drawing.numbers, dtype)
        buffer(self, "_no_drag", np.zeros((0, NUMBERS)), dtype)
        buffer(self, "_no_places", np.zeros((0, PLACE)), dtype)
        self.inertia = nn.Parameter(torch.zeros(len(self.motion.carriers), spatial_inertia.PARAMETERS))
        self.log_armature = nn.Parameter(torch.full((facts.nv,), _ARMATURE).log())
        reference, of_joints = np.zeros(facts.nq), np.eye(facts.nv)
        for link in facts.skeleton.links:
            quaternion = {"free": 3, "ball": 0}.get(link.kind)
            reference[link.qpos_address + (quaternion or 0)] = link.reference if quaternion is None else 1.0
            for triple in {"free": (0, 3), "ball": (0,)}.get(link.kind, ()):
                three = slice(link.dof_address + triple, link.dof_address + triple + 3)
                of_joints[three, three] = 1 / 3
        buffer(self, "_reference", reference, dtype)
        buffer(self, "_of_joints", of_joints, dtype)
        self._links = len(facts.skeleton.links)
        with torch.no_grad():
            placement = self.motion(self.guess.new_zeros(facts.nq))
            buffer(self, "scale", self._of_masses(placement, self.placed(placement)).diagonal().numpy(), dtype)

    @property
    def factors(self) -> Tensor:
        """Upper triangular factors `U`, `(carriers, 4, 4)`, of the pseudo-inertias `U U^T` in the links' own frames."""
        return self.guess @ spatial_inertia.factors(self.inertia.to(self.guess.dtype))

    @remembered
    def armature(self) -> Tensor:
        """Rotor inertia of each degree of freedom, `(nv,)`, in kilograms or kilogram square metres."""
        return self.log_armature.to(self.scale.dtype).exp() * self.scale

    @remembered
    def pseudo_inertia(self) -> Tensor:
        """In the links' own frames, `(carriers, 4, 4)`."""
        factors = self.factors
        return factors @ factors.mT

    def factor_and_bias(
        self,
        qpos: Tensor,
        qvel: Tensor,
        unit: Tensor,
        armature: Tensor | None = None,
        fluid: FluidDrag | None = None,
    ) -> tuple[Tensor, Tensor]:
        """The inverse inertia's factor, and the Coriolis, centrifugal and gravity forces, and a fluid's drag.

        On a CPU compiled C works them out, where it could be built.

        Args:
          qpos: `(..., nq)`.
          qvel: `(..., nv)`.
          unit: of accelerations, `(nv,)`.
          armature: added to that of each degree of freedom, `(nv,)`.
          fluid: that the tree moves through.

        Returns:
          The lower triangular `L`, `(..., nv, nv)`, with `L L^T` the inverse inertia in units of accelerations, of the
          positions' precision; and the bias force in SI units, `(..., nv)`, of the tree's.
        """
        added = self.armature if armature is None else self.armature + armature
        if tree_dynamics.takes(qpos, self._drawing):
            states = qpos.shape[:-1].numel()
            flat = qpos.reshape(states, qpos.shape[-1]), qvel.reshape(states, qvel.shape[-1])
            drag, places = (self._no_drag, self._no_places) if fluid is None else (fluid.strengths, fluid.drawing)
            learned = self.pseudo_inertia, added, drag
            drawing = places, self._layout, self._drawing
            lower, bias = tree_dynamics.factor_and_bias(*flat, *learned, self.gravity, unit, *drawing)
            return lower.reshape(*qvel.shape, qvel.shape[-1]), bias.reshape(qvel.shape)
        placement = self.motion(qpos.to(self.guess.dtype))
        placed = self.placed(placement)
        lower = inverse_factor(self._of_masses(placement, placed) + torch.diag(added)) / unit.unsqueeze(-1)
        qvel = qvel.to(self.guess.dtype)
        bias = self.bias(placement, qvel, placed)
        return lower.to(qpos), bias if fluid is None else bias + fluid(placement, qvel)

    def placed(self, placement: Placement) -> Tensor:
        """Pseudo-inertias about the tree's middle, `(..., carriers, 4, 4)`."""
        half = placement.frames @ self.factors
        return half @ half.mT

    def inertia_matrix(self, placement: Placement, placed: Tensor | None = None) -> Tensor:
        """The inertia matrix of the joint space, `(..., nv, nv)`; `placed` is `self.placed(placement)`."""
        placed = self.placed(placement) if placed is None else placed
        return self._of_masses(placement, placed) + torch.diag(self.armature)

    def _of_masses(self, placement: Placement, placed: Tensor) -> Tensor:
        composite = (self.motion.moves.mT @ placed.flatten(-2)).unflatten(-1, (4, 4))
        momenta = wrenches(twist_matrices(placement.screws) @ composite)
        # A degree of freedom meets those above it, and itself; those below it meet it.
        lower = (momenta @ placement.screws.mT) * self._once
        return lower + lower.tril(-1).mT

    def inertial_force(self, placement: Placement, accelerations: Tensor, placed: Tensor | None = None) -> Tensor:
        """What it takes to accelerate the masses, `(..., nv)`, armature aside.

        Args:
          placement: of the links.
          accelerations: of their places, see `TreeMotion.accelerations`.
          placed: `self.placed(placement)`.
        """
        placed = self.placed(placement) if placed is None else placed
        forces = self.motion.moves.mT @ wrenches(accelerations @ placed)
        return (forces * placement.screws).sum(-1)

    def bias(self, placement: Placement, qvel: Tensor, placed: Tensor | None = None) -> Tensor:
        """Coriolis, centrifugal and gravity forces, `(..., nv)`, as MuJoCo's `qfrc_bias`."""
        return self.inertial_force(placement, self.motion.accelerations(placement, qvel, self.gravity), placed)

    @torch.no_grad()
    def inverse_weights(self) -> InverseWeights:
        """By what MuJoCo weighs constraints, of these masses, with joints at their reference."""
        placement = self.motion(self._reference)
        inverse = torch.linalg.inv(self.inertia_matrix(placement))
        pseudo_inertia = self.factors @ self.factors.mT
        middle = placement.frames @ (pseudo_inertia[..., 3:] / pseudo_inertia[..., 3:, 3:])
        moved = (twist_matrices(placement.screws).unsqueeze(0) @ middle.unsqueeze(1)).squeeze(-1)
        moved = moved * self.motion.moves.unsqueeze(-1)
        links = inverse.new_zeros(self._links + 1)
        links[list(self.motion.carriers)] = torch.einsum("cid,ij,cjd->c", moved, inverse, moved) / 3
        return InverseWeights(links, self._of_joints @ inverse.diagonal(), inverse)


def inverse_factor(inertia: Tensor) -> Tensor:
    """The lower triangular `L`, `(..., n, n)`, with `L L^T` the inverse of positive definite matrices.

    Never raises, since a diverging state is not finite.
    """
    upper = torch.linalg.cholesky_ex(inertia.flip(-1, -2))[0].flip(-1, -2)
    identity = torch.eye(inertia.shape[-1], dtype=inertia.dtype, device=inertia.device)
    return torch.linalg.solve_triangular(upper, identity.expand_as(upper), upper=True).mT
