"""What actuators do: forces at the joints that are linear in the controls."""

import torch
from torch import Tensor, nn

from mosim.geometry import buffer
from mosim.models.mosim.remembered import remembered
from mosim.robots import SystemFacts


class Actuation(nn.Module):
    """`gear @ ctrl`: motors, wherever they act.

    Attributes:
      gear_share: `(nv, nu)`, in units of `scale`.
    """

    scale: Tensor
    _middle: Tensor
    _half_range: Tensor

    def __init__(self, facts: SystemFacts, force: Tensor) -> None:
        """`force`, `(nv,)`, is the scale of each degree of freedom's; its precision is that of the forces."""
        super().__init__()
        lower, upper = (torch.tensor(bound, dtype=force.dtype) for bound in (facts.control_lower, facts.control_upper))
        for name, values in (
            ("_middle", (lower + upper) / 2),
            ("_half_range", (upper - lower) / 2),
            ("scale", 2 * force.unsqueeze(-1) / (upper - lower)),
        ):
            buffer(self, name, values.numpy(), force.dtype)
        self.gear_share = nn.Parameter(torch.zeros(facts.nv, facts.nu))

    @remembered
    def gear(self) -> Tensor:
        """`(nv, nu)`: force of a unit of control."""
        return self.gear_share.to(self.scale.dtype) * self.scale

    @remembered
    def matrix(self) -> Tensor:
        """By which actions scaled to [-1, 1] make the forces but the next, `(nu, nv)`."""
        return self._half_range.unsqueeze(-1) * self.gear.mT

    @remembered
    def constant(self) -> Tensor:
        """The forces of actions that are zero, `(nv,)`."""
        return self.gear @ self._middle

    def forward(self, action: Tensor) -> Tensor:
        """The forces, `(..., nv)`, of actions scaled to [-1, 1], `(..., nu)`."""
        return action @ self.matrix + self.constant
