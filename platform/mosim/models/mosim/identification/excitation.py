"""The balance of forces in states of a robot's whole configuration space, and in those of one joint's motion alone."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from mosim.geometry import DOF_WIDTH, QPOS_WIDTH, JointFacts
from mosim.models.mosim.identification.free_rows import uncoupled, without_couplings
from mosim.models.mosim.identification.mechanical_parameters import MechanicalParameters
from mosim.models.mosim.neural_simulator import NeuralSimulator
from mosim.models.mosim.tree.articulated import ArticulatedPredictor

_STATES = 512
"""States of the whole configuration space."""

_OF_ONE = 64
"""States of one joint's motion."""

_CHUNK = 64

_SLIDE = 1.0
"""Metres that an unlimited slide, or the place of a free joint, is moved by (standard deviation)."""


class Excitation:
    """Random motion of a simulator with an articulated predictor; the same at every call.

    Positions are uniform within limits and all around without; velocities and controls are as large as in the data.
    """

    def __init__(self, simulator: NeuralSimulator, parameters: MechanicalParameters) -> None:
        """Raises TypeError where the predictor is another one."""
        if not isinstance(simulator.predictor, ArticulatedPredictor):
            raise TypeError(
                f"an articulated predictor is needed, which has masses, not a {type(simulator.predictor).__name__}."
            )
        self._simulator, self._predictor, self._parameters = simulator, simulator.predictor, parameters
        self._facts, self._like = simulator.facts.driven, parameters.scale
        self._balances = uncoupled(self._facts)

    @torch.no_grad()
    def everywhere(self) -> Tensor:
        """The triangular factor, `(n, n)` or less, of the rows in random states, over the root of their number.

        Accelerations are those of the simulator without contacts and limits, so that what changes no motion changes
        nothing here: the rows' null space is what cannot be told from motion.
        """
        random = torch.Generator().manual_seed(0)
        rows = self._like.new_zeros(0, len(self._parameters))
        for _ in range(_STATES // _CHUNK):
            qpos, qvel, control = self._random(_CHUNK, random)
            qacc = self._predictor.smooth_acceleration(qpos, qvel, self._simulator.scaled(control))
            damped = qvel + self._predictor.implicit_timestep * qacc
            more = self._regressor(qpos, qvel, qacc, damped, control)
            rows = torch.linalg.qr(torch.cat([rows, more.flatten(0, 1)]), mode="r")[1]
        return rows / (_STATES * len(self._balances)) ** 0.5

    @torch.no_grad()
    def alone(self) -> Iterator[tuple[str, Tensor]]:
        """By joint and actuator, what its random motion alone adds to the rows at rest: `(m, n)` rows."""
        still = self._like.new_zeros(1, self._facts.nv)
        rest = self._rest(1)
        none = self._like.new_zeros(1, self._facts.nu)
        at_rest = self._regressor(rest, still, still, still, none)
        acceleration = self._simulator.statistics.acceleration_std.to(self._like)
        for joint in self._facts.joints:
            random = torch.Generator().manual_seed(0)
            qpos, qvel, control = self._random(_OF_ONE, random)
            qacc = self._normal((_OF_ONE, self._facts.nv), random) * acceleration
            moved = torch.zeros(self._facts.nv, dtype=torch.bool)
            moved[joint.dof_address : joint.dof_address + DOF_WIDTH[joint.kind]] = True
            places = slice(joint.qpos_address, joint.qpos_address + QPOS_WIDTH[joint.kind])
            positions = self._rest(_OF_ONE)
            positions[:, places] = qpos[:, places]
            qvel, qacc = qvel * moved, qacc * moved
            rows = self._regressor(positions, qvel, qacc, qvel, torch.zeros_like(control))
            yield joint.name, (rows - at_rest).flatten(0, 1)
        for index in range(self._facts.nu):
            control = none.clone()
            control[0, index] = self._facts.control_upper[index]
            rows = self._regressor(rest, still, still, still, control)
            yield f"ctrl[{index}]", (rows - at_rest).flatten(0, 1)

    def _regressor(self, *state: Tensor) -> Tensor:
        rows = self._parameters.regressor(*state)
        return without_couplings(rows, self._balances, self._predictor.joints.force_scale)

    def _random(self, count: int, random: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        qpos = self._rest(count)
        for joint in self._facts.joints:
            width = QPOS_WIDTH[joint.kind]
            qpos[:, joint.qpos_address : joint.qpos_address + width] = self._positions(joint, count, random)
        speed = self._simulator.statistics.velocity_std.to(self._like)
        lower, upper = (
            self._like.new_tensor(bound) for bound in (self._facts.control_lower, self._facts.control_upper)
        )
        share = torch.rand(count, self._facts.nu, generator=random, dtype=self._like.dtype)
        return qpos, self._normal((count, self._facts.nv), random) * speed, lower + share * (upper - lower)

    def _positions(self, joint: JointFacts, count: int, random: torch.Generator) -> Tensor:
        if joint.kind in ("free", "ball"):
            values = self._normal((count, QPOS_WIDTH[joint.kind]), random)
            quaternion = torch.nn.functional.normalize(values[:, -4:], dim=-1)
            return torch.cat([_SLIDE * values[:, :-4], quaternion], dim=-1)
        unlimited = math.pi if joint.kind == "hinge" else _SLIDE
        lower, upper = (joint.lower, joint.upper) if joint.limited else (-unlimited, unlimited)
        return lower + (upper - lower) * torch.rand(count, 1, generator=random, dtype=self._like.dtype)

    def _rest(self, count: int) -> Tensor:
        """`qpos`, `(count, nq)`, with all joints at zero, or at the limit next to it."""
        qpos = self._like.new_zeros(count, self._facts.nq)
        for joint in self._facts.joints:
            if joint.kind in ("free", "ball"):
                qpos[:, joint.qpos_address + QPOS_WIDTH[joint.kind] - 4] = 1.0
            elif joint.limited:
                qpos[:, joint.qpos_address] = min(max(0.0, joint.lower), joint.upper)
        return qpos

    def _normal(self, shape: tuple[int, int], random: torch.Generator) -> Tensor:
        return torch.randn(shape, generator=random, dtype=self._like.dtype)
