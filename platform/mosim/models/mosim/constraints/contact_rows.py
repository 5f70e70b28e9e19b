"""Rows of contacts: the edges of friction pyramids."""

import torch
from torch import Tensor, nn

from mosim.geometry import Pair
from mosim.models.mosim.constraints.compliance import Compliance, Impedances
from mosim.models.mosim.constraints.contact_motion import ClosedContacts, ContactMotion
from mosim.models.mosim.constraints.force_law import CONE, ForceLaw
from mosim.models.mosim.constraints.rows import Rows
from mosim.models.mosim.tree.mass_tree import InverseWeights
from mosim.models.statistics import Statistics
from mosim.robots import SystemFacts


class ContactRows(nn.Module):
    """The deepest contacts: of each the rows of a cone, or the edges of a friction pyramid, four, in a plane three."""

    _response: Tensor
    _sides: Tensor
    _share: Tensor

    def __init__(self, facts: SystemFacts, statistics: Statistics, most: int) -> None:
        super().__init__()
        self._elliptic = facts.skeleton.elliptic
        self._motion = ContactMotion(facts, statistics.acceleration_std, most)
        # A gap that never opens wide enough to be seen moving has no response, nor has a pair of solids; they are given
        # the median.
        seen = statistics.contact_response
        median = seen.median() if len(seen) else seen.new_ones(())
        response = torch.cat([seen, seen.new_zeros(self._motion.size - len(seen))])
        response = torch.where(response > 0, response, median.clamp_min(1e-6))
        self.register_buffer("_response", response, persistent=False)
        # An edge is the normal and a share of each direction of friction. A planar robot's motion knows but one
        # direction of friction, so two of its edges are the normal alone: one of twice the stiffness.
        self.planar = self._motion.planar
        sides = [[1.0], [-1.0], [0.0]] if self.planar else [[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]]
        self.register_buffer("_sides", torch.tensor(sides), persistent=False)
        self.register_buffer("_share", torch.tensor([1.0, 1.0, 2.0] if self.planar else [1.0] * 4), persistent=False)
        self.size, self._size = (CONE if self._elliptic else len(sides)) * most, facts.nv
        self.compliance = Compliance(self._motion.size)

    @property
    def pairs(self) -> tuple[Pair, ...]:
        """Of which two shapes the contact at each place is."""
        return self._motion.pairs

    @property
    def friction(self) -> Tensor:
        """1 at places whose contacts have friction, else 0, `(places,)`."""
        return self._motion.friction

    def weights(self, inverse: InverseWeights) -> Tensor:
        """`W` over that before training, `(places,)`, by MuJoCo's rule."""
        motion = self._motion
        return self._response / (inverse.links[motion.first] + inverse.links[motion.second])

    def acting(self, qpos: Tensor) -> tuple[Tensor, Tensor]:
        """Which contacts are closed: of each the index in the batch, and at which place it is, `(n,)`."""
        closed = self._motion(qpos, qpos.new_zeros(len(qpos), self._size))
        return closed.sample, closed.which

    def forward(self, qpos: Tensor, qvel: Tensor) -> Rows:
        """The rows of a batch of states."""
        closed = self._motion(qpos, qvel)
        numbers = self.compliance(closed.sample, closed.which)
        return self._cones(closed, numbers) if self._elliptic else self._pyramids(closed, numbers)

    def _pyramids(self, closed: ClosedContacts, numbers: Impedances) -> Rows:
        sample, which, distance, jacobian, speed = closed
        friction = (self._motion.friction[which] * numbers.friction).unsqueeze(-1)
        jacobian = jacobian[:, :1] + friction.unsqueeze(-1) * (self._sides @ jacobian[:, 1:])
        speed = speed[:, :1] + friction * (speed[:, 1:] @ self._sides.mT)
        stiffness, target = numbers.at(-distance)
        target = target.unsqueeze(-1) - numbers.damping.unsqueeze(-1) * speed
        stiffness = (stiffness / self._response[which]).unsqueeze(-1) / _pyramid(friction) * self._share
        return Rows(sample, jacobian, target, ForceLaw(stiffness))

    def _cones(self, closed: ClosedContacts, numbers: Impedances) -> Rows:
        """The normal and two directions of friction, so scaled that all have one stiffness, see `ForceLaw`.

        Friction is softer than the normal by the square of itself over `impratio`, and wants no speed, however deep the
        contact is (MuJoCo, documentation, "Computation", "Impedance").
        """
        sample, which, distance, jacobian, speed = closed
        rubs = self._motion.friction[which]
        friction = rubs * numbers.friction
        cone = friction / numbers.ratio.sqrt()
        # Without friction there is no cone, and its other rows are zero.
        normal = torch.where(rubs > 0, cone, 1.0)
        scale = torch.stack([normal, friction, friction], dim=-1)
        stiffness, target = numbers.at(-distance)
        wanted = torch.stack([target, torch.zeros_like(target), torch.zeros_like(target)], dim=-1)
        wanted = scale * (wanted - numbers.damping.unsqueeze(-1) * speed)
        stiffness = (stiffness / self._response[which] / normal.square()).unsqueeze(-1).expand_as(wanted)
        heads = torch.stack([cone, torch.zeros_like(cone), torch.zeros_like(cone)], dim=-1)
        return Rows(sample, scale.unsqueeze(-1) * jacobian, wanted, ForceLaw(stiffness, cone=heads))


def _pyramid(friction: Tensor) -> Tensor:
    """By how much softer than the normal alone MuJoCo makes the edges of a friction pyramid, of its shape."""
    square = friction.square()
    return torch.where(friction > 0, 2 * square * (1 + square), 4.0)
