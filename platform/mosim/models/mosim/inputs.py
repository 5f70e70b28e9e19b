"""What the networks see of a state: standardised, periodic where the system is, blind to what does not matter."""

import math

import torch
from torch import Tensor, nn

from mosim.geometry import ConfigurationSpace, ContactGaps, Kinematics
from mosim.models.statistics import Statistics
from mosim.robots import SystemFacts

LIMIT_SCALE = 0.05
"""Depth in a joint limit, in radians or metres, that the networks see as 1."""

GAP_SCALE = 0.02
"""Distance of a contact, in metres, that the networks see as 1."""

RAREST_CONTACT = 2e-3
"""Share of the training data in which a contact must be closed for the networks to see it."""


class PositionInputs(nn.Module):
    """Positions as network inputs.

    Slide joints are standardised; hinges are their sine and cosine, and the standardised angle too where the joint is
    limited; orientations are rotation matrices. Coordinates that no force depends on are left out.

    Limits and such coordinates are of the drawing. A part of the model that reads nothing else of it, neither
    constraints nor depths and contacts, is not told these either: it is shown every coordinate, and the angle of each
    hinge that makes no whole turn in the data. So what a predictor is shown does not depend on correctors.
    """

    _raw: Tensor
    _periodic: Tensor
    _mean: Tensor
    _std: Tensor
    _lower: Tensor
    _upper: Tensor

    def __init__(self, facts: SystemFacts, statistics: Statistics, drawing: bool, unconstrained: bool = False) -> None:
        """Chooses what is shown.

        Args:
          facts: of the system.
          statistics: of the data.
          drawing: whether the drawing is read; see `mosim.models.config.Knowledge`.
          unconstrained: for a network that need not know of contacts and limits, which so sees less. A free root whose
            heading does not matter then shows the vertical in its own frame instead of its orientation.
        """
        super().__init__()
        self._space = ConfigurationSpace(facts.joints)
        self._headless = unconstrained and facts.heading_symmetric
        cyclic = () if not drawing else facts.cyclic_unconstrained if unconstrained else facts.cyclic
        ranges = statistics.qpos_upper - statistics.qpos_lower
        free = [joint.qpos_address + axis for joint in facts.joints if joint.kind == "free" for axis in range(3)]
        slides = [joint.qpos_address for joint in facts.joints if joint.kind == "slide"]
        hinges = [joint for joint in facts.joints if joint.kind == "hinge"]
        raw = free + slides
        for joint in hinges:
            if joint.limited if drawing else ranges[joint.qpos_address] < 2 * math.pi:
                raw.append(joint.qpos_address)
        raw = sorted(set(raw) - set(cyclic))
        periodic = sorted({joint.qpos_address for joint in hinges} - set(cyclic))
        self.register_buffer("_raw", torch.tensor(raw, dtype=torch.long), persistent=False)
        self.register_buffer("_periodic", torch.tensor(periodic, dtype=torch.long), persistent=False)
        self.register_buffer("_mean", statistics.qpos_mean[raw].clone(), persistent=False)
        self.register_buffer("_std", statistics.qpos_std[raw].clone(), persistent=False)
        self.register_buffer("_lower", statistics.qpos_lower[raw].clone(), persistent=False)
        self.register_buffer("_upper", statistics.qpos_upper[raw].clone(), persistent=False)
        rotations = sum(joint.kind in ("free", "ball") for joint in facts.joints)
        self.size = len(raw) + 2 * len(periodic) + 9 * rotations - 6 * self._headless
        if not self.size:
            self.size = 1  # Nothing depends on any position; the networks still need an input.

    def forward(self, qpos: Tensor) -> Tensor:
        """Maps `qpos` of shape `(..., nq)` to `(..., size)`."""
        parts = []
        if self._raw.numel():
            raw = torch.clamp(qpos.index_select(-1, self._raw), self._lower, self._upper)
            parts.append((raw - self._mean) / self._std)
        if self._periodic.numel():
            angles = qpos.index_select(-1, self._periodic)
            parts += [torch.sin(angles), torch.cos(angles)]
        if not self._space.flat:
            rotations = self._space.rotations(qpos)
            # The last row of the root's matrix is the vertical in the root's frame.
            parts += [rotations[0][..., 6:], *rotations[1:]] if self._headless else rotations
        return torch.cat(parts, dim=-1) if parts else torch.zeros_like(qpos[..., :1])


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

    Only places that touch in the training data are looked at.
    """

    _kept: Tensor

    def __init__(self, facts: SystemFacts, statistics: Statistics) -> None:
        super().__init__()
        self.kinematics, self.gaps = Kinematics(facts.skeleton), ContactGaps(facts.skeleton)
        _indices(self, "_kept", (statistics.contact_share > RAREST_CONTACT).nonzero().flatten().tolist())
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
