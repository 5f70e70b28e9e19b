"""What motors do: forces at the joints that are linear in the controls."""

import torch
from torch import Tensor, nn

from mosim.geometry import buffer, index_buffer
from mosim.models.mosim.remembered import remembered
from mosim.robots import SystemFacts


class Actuation(nn.Module):
    """`gear @ ctrl`: motors, each acting where its transmission reaches; servos aside.

    Attributes:
      gear_share: `(nv, most)`, in units of `scale`: of the controls that act on a degree of freedom.
      controls: `(nv, most)`: which these are; of a degree of freedom that has fewer, the rest is 0 and does not act.
      acts: `(nv, most)`: 1 where one does, else 0.
      scale: `(nv, nu)`.
    """

    scale: Tensor
    controls: Tensor
    acts: Tensor
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
        others = sorted(set(range(facts.nu)) - {servo.control for servo in facts.servos})
        acting = [[control for control in others if dof in facts.actuated[control]] for dof in range(facts.nv)]
        most = max(map(len, acting))
        index_buffer(self, "controls", [each + [0] * (most - len(each)) for each in acting])
        counts = torch.tensor([len(each) for each in acting]).unsqueeze(-1)
        buffer(self, "acts", (torch.arange(most) < counts).numpy(), force.dtype)
        self.gear_share = nn.Parameter(torch.zeros(facts.nv, most))

    @remembered
    def gear(self) -> Tensor:
        """`(nv, nu)`: force of a unit of control."""
        return self.spread_out(self.gear_share.to(self.scale.dtype)) * self.scale

    def spread_out(self, acting: Tensor) -> Tensor:
        """Numbers of the controls that act, `(nv, most)`, as `(nv, nu)`: zero of the others."""
        return torch.zeros_like(self.scale).scatter_add(1, self.controls, acting * self.acts)

    def gathered(self, each: Tensor) -> Tensor:
        """The reverse: of `(..., nv, nu)`, those that act, `(..., nv, most)`."""
        return each.gather(-1, self.controls.expand(*each.shape[:-1], -1)) * self.acts

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
