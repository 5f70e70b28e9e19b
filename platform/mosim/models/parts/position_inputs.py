"""Positions as networks see them: standardised, periodic where the system is, blind to what does not matter."""

import math

import torch
from torch import Tensor, nn

from mosim.geometry import ConfigurationSpace
from mosim.models.statistics import Statistics
from mosim.robots import SystemFacts


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

    def __init__(
        self,
        facts: SystemFacts,
        statistics: Statistics,
        drawing: bool,
        unconstrained: bool = False,
        own_frame: bool = False,
    ) -> None:
        """Chooses what is shown.

        Args:
          facts: of the system.
          statistics: of the data.
          drawing: whether the drawing is read; see `mosim.models.config.Knowledge`.
          unconstrained: for a network that need not know of contacts and limits, which so sees less. A free root whose
            heading does not matter then shows the vertical in its own frame instead of its orientation.
          own_frame: whether a free root is taken to move alike wherever it stands and whichever way it faces; if so, it
            shows that vertical and its height alone, and `turned_in` and `turned_out` turn its linear velocities.
        """
        super().__init__()
        self._space = ConfigurationSpace(facts.joints)
        self._own_frame = own_frame and bool(facts.joints) and facts.joints[0].kind == "free"
        self._headless = self._own_frame or (unconstrained and facts.heading_symmetric)
        cyclic = () if not drawing else facts.cyclic_unconstrained if unconstrained else facts.cyclic
        if self._own_frame:
            cyclic = (*cyclic, 0, 1)
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

    def turned_in(self, qpos: Tensor, velocity: Tensor) -> Tensor:
        """Velocities `(..., nv)`, with a root's linear ones in its own frame where `own_frame` says so."""
        if not self._own_frame:
            return velocity
        return turn_root(self._space.rotations(qpos)[0].unflatten(-1, (3, 3)).mT, velocity)

    def turned_out(self, qpos: Tensor, velocity: Tensor) -> Tensor:
        """The reverse of `turned_in`."""
        if not self._own_frame:
            return velocity
        return turn_root(self._space.rotations(qpos)[0].unflatten(-1, (3, 3)), velocity)


def turn_root(rotation: Tensor, vector: Tensor) -> Tensor:
    """Turns the first three of `(..., nv)`, a free root's linear velocity or acceleration, by `(..., 3, 3)`."""
    return torch.cat([(rotation @ vector[..., :3, None]).squeeze(-1), vector[..., 3:]], dim=-1)
