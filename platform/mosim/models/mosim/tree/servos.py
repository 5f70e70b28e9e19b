"""Servos: forces along joints and fixed tendons, linear in control, length and speed, within limits."""

import torch
from torch import Tensor, nn

from mosim.geometry import WORLD, buffer, index_buffer
from mosim.models.mosim.remembered import remembered
from mosim.models.statistics import Statistics
from mosim.robots import ServoFacts, SystemFacts

GAIN, STIFFNESS, DAMPING, CONSTANT, LOWER, UPPER = range(6)
"""Places of a servo's numbers."""

NUMBERS = 6

NUMBER_NAMES = ("gain", "stiffness", "damping", "bias", "lower force limit", "upper force limit")


class Servos(nn.Module):
    """`clip(gain ctrl - stiffness length - damping speed + bias, lower, upper)` along each servo's transmission.

    MuJoCo's affine bias with a force range. Of an actuator that feels no length or no speed, that number is zero.

    Attributes:
      pulls: `(servos, nv)`: generalised force of a unit of force.
      share: `(servos, NUMBERS)`, in units of `scale`.
      felt: `(servos, NUMBERS)`: 1 where a number is one of the servo's, else 0.
      scale: `(servos, NUMBERS)`: how large each number is likely to be, as ranges and data suggest.
      implicit: seconds of a physics step whose end the damping sees; 0 where MuJoCo's integrator takes its start.
      coupled: `(nv, nv)`: 1 of degrees of freedom of which one moves the other, between which MuJoCo's step takes
        damping implicitly; other entries of its matrix it leaves out.
    """

    pulls: Tensor
    felt: Tensor
    scale: Tensor
    coupled: Tensor
    controls: Tensor
    _lengths: Tensor
    _middle: Tensor
    _half_range: Tensor
    _centre: Tensor
    _reach: Tensor

    def __init__(self, facts: SystemFacts, statistics: Statistics, force: Tensor) -> None:
        """`force`, `(nv,)`, is the scale of each degree of freedom's; its precision is that of the forces."""
        super().__init__()
        self.implicit = facts.timestep if facts.integrator in ("implicit", "implicitfast") else 0.0
        servos, joints = facts.servos, facts.joints
        pulls, lengths = force.new_zeros(len(servos), facts.nv), force.new_zeros(len(servos), facts.nq)
        for row, servo in enumerate(servos):
            for joint, coefficient in zip(servo.joints, servo.coefficients, strict=True):
                pulls[row, joints[joint].dof_address] = coefficient
                lengths[row, joints[joint].qpos_address] = coefficient
        lower, upper = (force.new_tensor(bound) for bound in (facts.control_lower, facts.control_upper))
        index_buffer(self, "controls", [servo.control for servo in servos])
        middle, half_range = ((upper + lower) / 2)[self.controls], ((upper - lower) / 2)[self.controls]
        pull = 1 / (pulls.abs() / force).amax(-1)
        moved = (pulls.square() @ statistics.velocity_std.to(force).square()).sqrt()
        each = zip(servos, middle.tolist(), half_range.tolist(), strict=True)
        centre, reach = zip(*(_setpoint(facts, servo, *at) for servo, *at in each), strict=True)
        reach = force.new_tensor(reach)
        none = torch.ones_like(pull)
        for name, values in (
            ("pulls", pulls),
            ("coupled", _coupled(facts).to(force)),
            ("_lengths", lengths),
            ("_middle", middle),
            ("_half_range", half_range),
            ("_centre", force.new_tensor(centre)),
            ("_reach", reach),
            ("felt", force.new_tensor([[1, servo.feels_length, servo.feels_speed, 1, 1, 1] for servo in servos])),
            ("scale", pull.unsqueeze(-1) * torch.stack([1 / half_range, 1 / reach, 1 / moved, none, none, none], -1)),
        ):
            buffer(self, name, values.numpy(), force.dtype)
        share = torch.zeros(len(servos), NUMBERS)
        share[:, LOWER], share[:, UPPER] = -1.0, 1.0
        self.share = nn.Parameter(share)

    @remembered
    def numbers(self) -> Tensor:
        """`(servos, NUMBERS)`, in newtons, or newton metres, and per unit of control, length and speed."""
        return self.share.to(self.scale) * self.scale * self.felt

    def controlled(self, action: Tensor) -> Tensor:
        """Controls of the servos, `(..., servos)`, of actions scaled to [-1, 1], `(..., nu)`."""
        return action.index_select(-1, self.controls).to(self.scale) * self._half_range + self._middle

    def forward(self, qpos: Tensor, qvel: Tensor, action: Tensor) -> Tensor:
        """Generalised forces, `(..., nv)`, double.

        Args:
          qpos: `(..., nq)`.
          qvel: `(..., nv)`.
          action: scaled to [-1, 1], `(..., nu)`.
        """
        asked = self._asked(qpos, qvel, self.controlled(action))
        lower, upper = self.numbers[:, LOWER], self.numbers[:, UPPER]
        return torch.minimum(torch.maximum(asked, lower), upper) @ self.pulls

    def implicit_damping(self, qpos: Tensor, qvel: Tensor, action: Tensor) -> Tensor:
        """`h C`, `(..., nv, nv)`, that MuJoCo's step takes implicitly: of servos within their limits.

        Arguments as above.
        """
        inside = self._regimes(self._asked(qpos, qvel, self.controlled(action))) == 0
        damping = self.implicit * self.numbers[:, DAMPING] * inside
        return (self.pulls.mT * damping.unsqueeze(-2)) @ self.pulls * self.coupled

    def columns(self, qpos: Tensor, qvel: Tensor, control: Tensor, lag: float | None = None) -> Tensor:
        """What each number multiplies in each servo's force, `(..., servos, NUMBERS)`.

        Args:
          qpos: `(..., nq)`.
          qvel: `(..., nv)`.
          control: `(..., nu)`, in actuator units.
          lag: None where forces are at a limit as the learned numbers have it. Before there are any, a force is at the
            limit on the side of the setpoint, see `miss`, and may also rise with control, length and speed.
        """
        control, speed = control.index_select(-1, self.controls).to(self.scale), self._speeds(qvel)
        if lag is not None:
            inside, below = torch.ones_like(speed), (self.miss(qpos, qvel, control, lag) < 0).to(speed)
            above = 1 - below
        else:
            side = self._regimes(self._asked(qpos, qvel, control))
            inside, below, above = ((side == value).to(speed) for value in (0, -1, 1))
        columns = [inside * control, -inside * self.lengths(qpos), -inside * speed, inside, below, above]
        return torch.stack(columns, dim=-1) * self.felt

    def generalised(self, columns: Tensor, gained: Tensor) -> Tensor:
        """What each number multiplies in generalised forces, `(..., nv, servos, NUMBERS)`.

        Args:
          columns: see above.
          gained: `(..., nv)`: by how much the velocity that implicit damping sees is more than that at the start.
        """
        forces = columns.unsqueeze(-3) * self.pulls.mT.unsqueeze(-1)
        if self.implicit:
            inside = (columns[..., CONSTANT] != 0).to(gained)
            more = self.pulls.mT * (self.coupled @ (self.pulls * gained.unsqueeze(-2)).mT)
            forces[..., DAMPING] -= more * (inside * self.felt[:, DAMPING]).unsqueeze(-2)
        return forces

    def miss(self, qpos: Tensor, qvel: Tensor, control: Tensor, lag: float) -> Tensor:
        """How far a setpoint is from what is felt, `(..., servos)`, in halves of the control's range.

        Before any number is learned: a control is taken for a length, or for a speed, in the same unit, unless its
        range lies elsewhere. With `lag`, in seconds, the length is what it will be after it at this speed.
        """
        setpoint, speed = (control - self._middle) / self._half_range, self._speeds(qvel)
        length, of_speed = self.felt[:, STIFFNESS], self.felt[:, DAMPING]
        ahead = self.lengths(qpos) + lag * of_speed * speed
        return (
            setpoint
            - length * (ahead - self._centre) / self._reach
            - (1 - length) * of_speed * speed / self._half_range
        )

    def lengths(self, qpos: Tensor) -> Tensor:
        """`(..., servos)`."""
        return qpos.to(self.scale) @ self._lengths.mT

    def _asked(self, qpos: Tensor, qvel: Tensor, control: Tensor) -> Tensor:
        """The forces before limits, `(..., servos)`."""
        gain, stiffness, damping, constant, *_ = self.numbers.unbind(-1)
        return gain * control - stiffness * self.lengths(qpos) - damping * self._speeds(qvel) + constant

    def _speeds(self, qvel: Tensor) -> Tensor:
        return qvel.to(self.scale) @ self.pulls.mT

    def _regimes(self, asked: Tensor) -> Tensor:
        """-1 where a force is at its lower limit, 1 at its upper one, 0 between."""
        upper = (asked >= self.numbers[:, UPPER]).to(torch.int8)
        return upper - (asked <= self.numbers[:, LOWER]).to(torch.int8)


def _coupled(facts: SystemFacts) -> Tensor:
    """See `Servos.coupled`."""
    links, coupled = facts.skeleton.links, torch.zeros(facts.nv, facts.nv)
    for number in range(len(links)):
        above = number
        while above != WORLD:
            rows, columns = (torch.tensor(facts.joints[each].dofs) for each in (number, above))
            coupled[rows.unsqueeze(-1), columns] = 1.0
            coupled[columns.unsqueeze(-1), rows] = 1.0
            above = links[above].parent
    return coupled


def _setpoint(facts: SystemFacts, servo: ServoFacts, middle: float, half_range: float) -> tuple[float, float]:
    """The length that the middle of a control's range stands for at first, and half of what the whole range does."""
    joints = [facts.joints[joint] for joint in servo.joints]
    if not all(joint.limited for joint in joints):
        return middle, half_range
    ends = [
        sorted((coefficient * joint.lower, coefficient * joint.upper))
        for joint, coefficient in zip(joints, servo.coefficients, strict=True)
    ]
    lower, upper = (sum(end) for end in zip(*ends, strict=True))
    width = upper - lower
    if lower - width < middle - half_range and middle + half_range < upper + width:
        return middle, half_range
    return (lower + upper) / 2, width / 2
