"""What a fluid does to the bodies that move through it."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from mosim.geometry import Placement, Skeleton, TreeMotion, buffer, cross_product, index_buffer
from mosim.models.mosim.remembered import remembered
from mosim.models.mosim.tree.drag_places import (
    NUMBERS,
    SLIDES,
    TURNS,
    VISCOUS_SLIDE,
    VISCOUS_TURN,
    drag_places,
    first_alike,
)
from mosim.models.statistics import Statistics

PLACE = 16
"""Numbers by which compiled C knows a place (tree_dynamics.h)."""

_QUADRATIC, _VISCOUS = np.eye(NUMBERS, 6), np.zeros((NUMBERS, 6))
_VISCOUS[VISCOUS_TURN, TURNS] = _VISCOUS[VISCOUS_SLIDE, SLIDES] = 1.0

_DRAG = 1e-3
"""Before training, as a share of the force that accelerates as the data do, at the velocity that they have."""


class FluidDrag(nn.Module):
    """Forces of a fluid, linear in up to `NUMBERS` numbers of each place at which they act.

    Those of MuJoCo's inertia boxes ("Fluid forces" in its documentation): against each turn and slide of a body through
    the fluid, in the frame of its inertia, acts one force in proportion to its velocity, the same about or along all
    axes, and one in proportion to the square of its velocity, which differs by axis. Which frame that is of those that
    `drag_places` suggests, their numbers say, none of which is negative. The ellipsoids that MuJoCo knows besides
    (`fluidshape`) are not modelled. Implicit integrators take these forces as they take all others but damping, at the
    beginning of a step; MuJoCo's take them at its end.

    Attributes:
      places: where drag acts.
      owners: `(places,)`: of each, which of the links that carry bodies it is on.
      acting: `(numbers,)`: which of the `NUMBERS` of all places, counted in rows, are learned: the others would do what
        an earlier one does.
      strength_scale: `(numbers,)`, in SI units.
      log_strength: `(numbers,)`, in units of it.
      drawing: `(places, PLACE)`: rotation, position, link and wind, as compiled C reads them.
    """

    owners: Tensor
    acting: Tensor
    strength_scale: Tensor
    drawing: Tensor
    _frames: Tensor
    _moved: Tensor
    _wind: Tensor
    _quadratic: Tensor
    _viscous: Tensor

    def __init__(
        self,
        skeleton: Skeleton,
        motion: TreeMotion,
        wind: Sequence[float],
        positions: Tensor,
        force: Tensor,
        statistics: Statistics,
    ) -> None:
        """Places drag on a skeleton.

        Args:
          skeleton: of the robot.
          motion: of its links.
          wind: the fluid's velocity in the world's frame, metres a second.
          positions: `(nq,)`: in which forces are compared with their scale.
          force: `(nv,)`: that scale; its precision is that of the forces.
          statistics: of the data.
        """
        super().__init__()
        self.places = tuple(drag_places(skeleton))
        owners = [motion.carriers.index(place.link) for place in self.places]
        index_buffer(self, "owners", owners)
        first = first_alike(self.places).flatten()
        index_buffer(self, "acting", np.flatnonzero(first == np.arange(len(first))).tolist())
        poses = np.stack([place.pose for place in self.places])
        drawn = [poses[:, :3, :3].reshape(-1, 9), poses[:, :3, 3], np.array([[place.link] for place in self.places])]
        buffer(self, "drawing", np.hstack([*drawn, np.tile(wind, (len(poses), 1))]), force.dtype)
        buffer(self, "_frames", poses, force.dtype)
        buffer(self, "_moved", motion.moves[owners].numpy(), force.dtype)
        buffer(self, "_wind", wind, force.dtype)
        buffer(self, "_quadratic", _QUADRATIC, force.dtype)
        buffer(self, "_viscous", _VISCOUS, force.dtype)
        scale = self._scale(motion(positions), force, statistics.velocity_std.to(force))
        buffer(self, "strength_scale", scale.flatten()[self.acting].numpy(), force.dtype)
        self.log_strength = nn.Parameter(torch.full((len(self.acting),), _DRAG).log())

    @remembered
    def strength(self) -> Tensor:
        """`(numbers,)`: drag in N m s2 of turns and N s2/m2 of slides, viscosity in N m s and N s/m."""
        return self.log_strength.to(self.strength_scale.dtype).exp() * self.strength_scale

    @remembered
    def strengths(self) -> Tensor:
        """The same of all places, `(places, NUMBERS)`: zero of those that are not learned."""
        every = self.strength_scale.new_zeros(len(self.places) * NUMBERS)
        return every.index_copy(0, self.acting, self.strength).view(-1, NUMBERS)

    @property
    def links(self) -> Tensor:
        """Of each number, `(numbers,)`, which of the links that carry bodies it is of."""
        return self.owners[self.acting // NUMBERS]

    def forward(self, placement: Placement, qvel: Tensor) -> Tensor:
        """The forces against each degree of freedom, `(..., nv)`.

        Args:
          placement: of the carriers.
          qvel: `(..., nv)`.
        """
        frames = self._placed(placement)
        velocity = self._velocity(frames, placement, qvel)
        strength = self.strengths
        force = (strength @ self._quadratic) * velocity.abs() * velocity + (strength @ self._viscous) * velocity
        return self._on_joints(frames, placement, force.unsqueeze(-2)).squeeze(-1)

    def columns(self, placement: Placement, qvel: Tensor) -> Tensor:
        """The same of one unit of each number, `(..., nv, numbers)`."""
        frames = self._placed(placement)
        velocity = self._velocity(frames, placement, qvel).unsqueeze(-2)
        force = self._quadratic * velocity.abs() * velocity + self._viscous * velocity
        return self._on_joints(frames, placement, force).index_select(-1, self.acting)

    def _placed(self, placement: Placement) -> Tensor:
        """Frames of the places about the middle of their trees, `(..., places, 4, 4)`."""
        return placement.frames.index_select(-3, self.owners) @ self._frames

    def _velocity(self, frames: Tensor, placement: Placement, qvel: Tensor) -> Tensor:
        """Of places through the fluid, `(..., places, 6)`: turning and sliding along their own axes."""
        turning, origin = (self._moved @ (qvel.unsqueeze(-1) * placement.screws)).unflatten(-1, (2, 3)).unbind(-2)
        sliding = origin + cross_product(turning, frames[..., :3, 3]) - self._wind
        along = torch.stack([turning, sliding], dim=-2) @ frames[..., :3, :3]
        return along.flatten(-2)

    def _on_joints(self, frames: Tensor, placement: Placement, force: Tensor) -> Tensor:
        """What forces at places, `(..., places, m, 6)`, along their axes, do at joints, `(..., nv, places' m)`.

        Where `m` is 1, those of all places are added up: `(..., nv, 1)`.
        """
        turned = force.unflatten(-1, (2, 3)) @ frames[..., None, :3, :3].mT
        torque, push = turned.unbind(-2)
        torque = torque + cross_product(frames[..., None, :3, 3].expand_as(push), push)
        wrench = torch.cat([torque, push], dim=-1)
        if force.shape[-2] == 1:
            return ((self._moved.mT @ wrench.squeeze(-2)) * placement.screws).sum(-1, keepdim=True)
        each = torch.einsum("...pmk,...jk->...jpm", wrench, placement.screws) * self._moved.mT.unsqueeze(-1)
        return each.flatten(-2)

    def _scale(self, rest: Placement, force: Tensor, speed: Tensor) -> Tensor:
        """Numbers that make a force of its scale at the joint where that is reached first, `(places, NUMBERS)`."""
        frames, each = self._placed(rest), []
        by_axis = self._on_joints(frames, rest, torch.eye(6).to(force).expand(len(frames), 6, 6))
        for axes in by_axis.abs().square().unflatten(-1, (len(frames), 2, 3)).sum(-1).unbind(-1):  # (nv, places)
            arms = axes.sqrt()
            velocity = ((speed.square() @ axes) / 3).sqrt()
            reach = torch.where(arms > 0, force.unsqueeze(-1) / arms, torch.inf).amin(0)
            each += [reach / velocity.square(), reach / velocity]
        turn, viscous_turn, slide, viscous_slide = each
        scale = torch.stack([*[turn] * 3, *[slide] * 3, viscous_turn, viscous_slide], dim=-1)
        return torch.where(scale.isfinite(), scale, 1.0)
