"""What the networks see of a state: standardised, periodic where the system is, blind to what does not matter."""

import torch
from torch import Tensor, nn

from mosim.dynamics.configuration_space import ConfigurationSpace
from mosim.dynamics.statistics import Statistics
from mosim.systems import SystemFacts

LIMIT_SCALE = 0.05
"""Depth in a joint limit, in radians or metres, that the networks see as 1."""


class PositionInputs(nn.Module):
    """Positions as network inputs.

    Slide joints are standardised; hinges are their sine and cosine, and the standardised angle too where the joint is
    limited; orientations are rotation matrices. Coordinates that no force depends on are left out.
    """

    _raw: Tensor
    _periodic: Tensor
    _mean: Tensor
    _std: Tensor
    _lower: Tensor
    _upper: Tensor

    def __init__(self, facts: SystemFacts, statistics: Statistics) -> None:
        super().__init__()
        self._space = ConfigurationSpace(facts)
        free = [joint.qpos_address + axis for joint in facts.joints if joint.kind == "free" for axis in range(3)]
        slides = [joint.qpos_address for joint in facts.joints if joint.kind == "slide"]
        hinges = [joint for joint in facts.joints if joint.kind == "hinge"]
        raw = free + slides + [joint.qpos_address for joint in hinges if joint.limited]
        raw = sorted(set(raw) - set(facts.cyclic))
        periodic = sorted({joint.qpos_address for joint in hinges} - set(facts.cyclic))
        self.register_buffer("_raw", torch.tensor(raw, dtype=torch.long), persistent=False)
        self.register_buffer("_periodic", torch.tensor(periodic, dtype=torch.long), persistent=False)
        self.register_buffer("_mean", statistics.qpos_mean[raw].clone(), persistent=False)
        self.register_buffer("_std", statistics.qpos_std[raw].clone(), persistent=False)
        self.register_buffer("_lower", statistics.qpos_lower[raw].clone(), persistent=False)
        self.register_buffer("_upper", statistics.qpos_upper[raw].clone(), persistent=False)
        rotations = sum(joint.kind in ("free", "ball") for joint in facts.joints)
        self.size = len(raw) + 2 * len(periodic) + 9 * rotations
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
            parts += self._space.rotations(qpos)
        return torch.cat(parts, dim=-1) if parts else torch.zeros_like(qpos[..., :1])


class LimitDepth(nn.Module):
    """How deep each limited joint stands in its limit, and whether it does: where MuJoCo's constraint forces begin."""

    _index: Tensor
    _lower: Tensor
    _upper: Tensor

    def __init__(self, facts: SystemFacts) -> None:
        super().__init__()
        limited = [joint for joint in facts.joints if joint.limited and joint.kind in ("slide", "hinge")]
        self.register_buffer(
            "_index", torch.tensor([j.qpos_address for j in limited], dtype=torch.long), persistent=False
        )
        self.register_buffer("_lower", torch.tensor([j.lower for j in limited]), persistent=False)
        self.register_buffer("_upper", torch.tensor([j.upper for j in limited]), persistent=False)
        self.size = 2 * len(limited)

    def forward(self, qpos: Tensor) -> Tensor:
        """Maps `qpos` of shape `(..., nq)` to `(..., 2 limited joints)`: signed depths, negative at lower limits."""
        angles = qpos.index_select(-1, self._index)
        depth = torch.relu(angles - self._upper) - torch.relu(self._lower - angles)
        return torch.cat([depth / LIMIT_SCALE, torch.sign(depth)], dim=-1)
