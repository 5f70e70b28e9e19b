"""What networks may see beside the state: depths in joint limits, and contacts."""

import torch
from torch import Tensor, nn

from mosim.geometry import ContactGaps, Kinematics
from mosim.models.statistics import Statistics
from mosim.robots import SystemFacts

LIMIT_SCALE = 0.05
"""Depth in a joint limit, in radians or metres, that the networks see as 1."""

GAP_SCALE = 0.02
"""Distance of a contact, in metres, that the networks see as 1."""

RAREST_CONTACT = 2e-3
"""Share of the training data in which a contact must be closed for the networks to see it."""


class LimitDepth(nn.Module):
    """How deep each limited joint stands in its limit, whether it does, and how fast it moves while it does.

    There MuJoCo's constraint forces begin, with a jump that depends on the velocity.
    """

    _qpos: Tensor
    _dofs: Tensor
    _lower: Tensor
    _upper: Tensor

    def __init__(self, facts: SystemFacts, statistics: Statistics) -> None:
        super().__init__()
        del statistics
        limited = [joint for joint in facts.joints if joint.limited and joint.kind in ("slide", "hinge")]
        _indices(self, "_qpos", [joint.qpos_address for joint in limited])
        _indices(self, "_dofs", [joint.dof_address for joint in limited])
        self.register_buffer("_lower", torch.tensor([j.lower for j in limited]), persistent=False)
        self.register_buffer("_upper", torch.tensor([j.upper for j in limited]), persistent=False)
        self.size = 3 * len(limited)

    def forward(self, qpos: Tensor, qvel: Tensor, velocity: Tensor) -> Tensor:
        """Maps positions, raw velocities and standardised ones to `(..., size)`; a lower limit's depth is negative."""
        angles = qpos.index_select(-1, self._qpos)
        depth = torch.relu(angles - self._upper) - torch.relu(self._lower - angles)
        inside = torch.sign(depth)
        return torch.cat([depth / LIMIT_SCALE, inside, inside.abs() * velocity.index_select(-1, self._dofs)], dim=-1)


class Contacts(nn.Module):
    """How far collision shapes are from the floor and from one another, and how they move where they touch.

    Only places that touch in the training data are looked at, of `ContactGaps` alone.
    """

    _kept: Tensor

    def __init__(self, facts: SystemFacts, statistics: Statistics) -> None:
        super().__init__()
        self.kinematics, self.gaps = Kinematics(facts.skeleton), ContactGaps(facts.skeleton)
        shares = statistics.contact_share[: self.gaps.size]
        _indices(self, "_kept", (shares > RAREST_CONTACT).nonzero().flatten().tolist())
        self.size = 6 * self._kept.numel()

    def forward(self, qpos: Tensor, qvel: Tensor, velocity: Tensor) -> Tensor:
        """Maps positions and velocities to `(..., size)`."""
        del velocity
        poses, velocities = self.kinematics(qpos, qvel)
        gaps = self.gaps(poses)
        distance = gaps.distance.index_select(-1, self._kept)
        position = gaps.position.index_select(-2, self._kept)
        normal = gaps.normal.index_select(-2, self._kept)
        closing = torch.zeros_like(position)
        for sign, links in ((1, self.gaps.first[self._kept]), (-1, self.gaps.second[self._kept])):
            arm = position - poses.position.index_select(-2, links)
            spin = velocities.angular.index_select(-2, links)
            closing = closing + sign * (velocities.linear.index_select(-2, links) + torch.linalg.cross(spin, arm))
        along = (closing * normal).sum(-1)
        touches = (distance < 0).to(distance)
        return torch.cat(
            [
                torch.clamp(distance / GAP_SCALE, -3.0, 3.0),
                touches,
                touches * along,
                (touches.unsqueeze(-1) * (closing - along.unsqueeze(-1) * normal)).flatten(-2),
            ],
            dim=-1,
        )


def _indices(module: nn.Module, name: str, values: list[int]) -> None:
    module.register_buffer(name, torch.tensor(values, dtype=torch.long), persistent=False)
