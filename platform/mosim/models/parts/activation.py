"""How actuators' internal states follow their controls."""

import torch
from torch import Tensor, nn

from mosim.geometry import buffer, index_buffer
from mosim.robots import SystemFacts

_DEGREE = 5
"""Of the polynomials by which the time constants of a muscle depend on its activation."""

_RIDGE = 1e-12
"""Of the squares of features: what data do not tell stays where it is."""


class ActivationDynamics(nn.Module):
    """The next activation, linear in features of control and activation, each actuator by itself.

    MuJoCo's integrator and filters are linear in both, so they are found to rounding. The rates of muscles depend on
    the activation (MuJoCo's documentation, 'Muscles': time constants of `tau_act (0.5 + 1.5 act)` upwards and
    `tau_deact / (0.5 + 1.5 act)` downwards); for these there is the distance to the control, each way by itself, times
    powers of the activation.

    Attributes:
      weights: `(na, features)`: change in a physics step, in units of the activation's range; found by `fit`.
    """

    weights: Tensor
    _controls: Tensor
    _lower: Tensor
    _upper: Tensor
    _limited: Tensor
    _control_lower: Tensor
    _control_upper: Tensor

    def __init__(self, facts: SystemFacts) -> None:
        super().__init__()
        activations = facts.activations
        index_buffer(self, "_controls", [each.actuator for each in activations])
        for name, values in (
            ("_lower", [each.lower for each in activations]),
            ("_upper", [each.upper for each in activations]),
            ("_control_lower", [facts.control_lower[each.actuator] for each in activations]),
            ("_control_upper", [facts.control_upper[each.actuator] for each in activations]),
        ):
            buffer(self, name, values, torch.float64)
        self.register_buffer("_limited", torch.tensor([each.limited for each in activations]), persistent=False)
        self.register_buffer("weights", torch.zeros(len(activations), 3 + 2 * (_DEGREE + 1), dtype=torch.float64))

    def forward(self, control: Tensor, act: Tensor) -> Tensor:
        """The activations after a physics step, `(..., na)`.

        Args:
          control: `(..., nu)`, in actuator units.
          act: `(..., na)`, before the step.
        """
        moved = (self._features(control, act) * self.weights).sum(-1) * (self._upper - self._lower)
        following = act.double() + moved
        kept = torch.minimum(torch.maximum(following, self._lower), self._upper)
        return torch.where(self._limited, kept, following).to(act)

    @torch.no_grad()
    def fit(self, control: Tensor, act: Tensor, next_act: Tensor) -> None:
        """Finds the weights by least squares.

        Args:
          control: `(n, nu)`, held during the step.
          act: `(n, na)`, before it.
          next_act: `(n, na)`, after it.
        """
        features = self._features(control.cpu(), act.cpu())
        change = (next_act.cpu().double() - act.cpu().double()) / (self._upper - self._lower)
        # A state that stands at its limit does not tell where it would have gone.
        inside = (next_act.cpu() > self._lower) & (next_act.cpu() < self._upper) | ~self._limited
        for index in range(len(self.weights)):
            rows = features[inside[:, index], index]
            ridge = _RIDGE**0.5 * rows.square().sum(0).clamp_min(1.0).sqrt().diag()
            right = torch.cat([change[inside[:, index], index], rows.new_zeros(len(ridge))])
            self.weights[index] = torch.linalg.lstsq(torch.cat([rows, ridge]), right, driver="gelsd").solution

    def _features(self, control: Tensor, act: Tensor) -> Tensor:
        """`(..., na, features)`."""
        own = control.double()[..., self._controls]
        own = torch.minimum(torch.maximum(own, self._control_lower), self._control_upper)
        width = self._upper - self._lower
        control_share, share = (own - self._lower) / width, (act.double() - self._lower) / width
        apart = control_share - share
        powers = torch.stack([share.clamp(0, 1) ** power for power in range(_DEGREE + 1)], dim=-1)
        plain = torch.stack([torch.ones_like(share), control_share, share], dim=-1)
        up, down = apart.clamp_min(0).unsqueeze(-1) * powers, apart.clamp_max(0).unsqueeze(-1) * powers
        return torch.cat([plain, up, down], dim=-1)
