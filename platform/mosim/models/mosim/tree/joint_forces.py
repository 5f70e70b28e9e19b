"""Forces at the joints and along fixed tendons: damping, springs, and a constant push."""

import torch
from torch import Tensor, nn

from mosim.geometry import buffer, index_buffer, sum_matrix
from mosim.models.mosim.remembered import remembered
from mosim.models.statistics import Statistics
from mosim.robots import SystemFacts

_DAMPING = 1e-2
_STIFFNESS = 1e-3
_OF_TENDON = 1e-3
"""Before training, as a share of the force that accelerates as the data do, at the velocity and position that they
have."""


class JointForces(nn.Module):
    """`constant - damping * qvel - stiffness * qpos`, each of its own degree of freedom; the same along fixed tendons.

    A spring's reference is its constant over its stiffness. What has no position of one number, such as a free joint,
    has no spring. The constants of tendons, which only shift those of their joints, are part of these.

    Attributes:
      springs: the degrees of freedom that can have one, in the order of `log_stiffness`.
      tendons: `(tendons, nv)`: the coefficients of fixed tendons.
      log_damping: `(nv,)`, in units of `damping_scale`.
      log_stiffness: `(springs,)`, in units of `stiffness_scale`.
      constant_share: `(nv,)`, in units of `force_scale`.
      log_tendon_stiffness, log_tendon_damping: `(tendons,)`, in units of their scales.
    """

    springs: Tensor
    tendons: Tensor
    tendon_stiffness_scale: Tensor
    tendon_damping_scale: Tensor
    _tendon_lengths: Tensor
    force_scale: Tensor
    damping_scale: Tensor
    stiffness_scale: Tensor
    _qpos: Tensor
    _rows: Tensor
    _columns: Tensor

    def __init__(self, facts: SystemFacts, statistics: Statistics, inertia: Tensor) -> None:
        """`inertia`, `(nv,)`, is a first guess of each degree of freedom's; its precision is that of the forces."""
        super().__init__()
        plain = [joint for joint in facts.joints if joint.kind in ("hinge", "slide")]
        self._positions = facts.nq
        dofs = list(range(facts.nv))
        index_buffer(self, "springs", [joint.dof_address for joint in plain])
        index_buffer(self, "_qpos", [joint.qpos_address for joint in plain])
        index_buffer(self, "_rows", [*(joint.qpos_address for joint in plain), *(facts.nq + dof for dof in dofs)])
        index_buffer(self, "_columns", [*(joint.dof_address for joint in plain), *dofs])
        force = inertia * statistics.acceleration_std
        for name, scale in (
            ("force_scale", force),
            ("damping_scale", force / statistics.velocity_std),
            ("stiffness_scale", force[self.springs] / statistics.qpos_std[self._qpos]),
        ):
            buffer(self, name, scale.numpy(), inertia.dtype)
        of_tendons, links = facts.skeleton.tendons, facts.skeleton.links
        tendons = torch.from_numpy(sum_matrix(of_tendons, [link.dof_address for link in links], facts.nv)).to(inertia)
        lengths = torch.from_numpy(sum_matrix(of_tendons, [link.qpos_address for link in links], facts.nq)).to(inertia)
        # The pull that makes a force of its scale at the joint where that is reached first.
        pull = 1 / (tendons.abs() / force).amax(-1) if len(tendons) else force[:0]
        moved = (tendons.square() @ statistics.velocity_std.to(inertia).square()).sqrt()
        stretched = (lengths.square() @ statistics.qpos_std.to(inertia).square()).sqrt()
        for name, values in (
            ("tendons", tendons),
            ("_tendon_lengths", lengths),
            ("tendon_damping_scale", pull / moved),
            ("tendon_stiffness_scale", pull / stretched),
        ):
            buffer(self, name, values.numpy(), inertia.dtype)
        self.log_damping = nn.Parameter(torch.full((facts.nv,), _DAMPING).log())
        self.log_stiffness = nn.Parameter(torch.full((len(plain),), _STIFFNESS).log())
        self.constant_share = nn.Parameter(torch.zeros(facts.nv))
        self.log_tendon_stiffness = nn.Parameter(torch.full((len(tendons),), _OF_TENDON).log())
        self.log_tendon_damping = nn.Parameter(torch.full((len(tendons),), _OF_TENDON).log())

    @remembered
    def damping(self) -> Tensor:
        """`(nv,)`, in newton seconds a metre, or newton metre seconds."""
        return self.log_damping.to(self.damping_scale.dtype).exp() * self.damping_scale

    @remembered
    def stiffness(self) -> Tensor:
        """`(springs,)`, in newtons a metre, or newton metres."""
        return self.log_stiffness.to(self.stiffness_scale.dtype).exp() * self.stiffness_scale

    @remembered
    def constant(self) -> Tensor:
        """`(nv,)`, in newtons, or newton metres."""
        return self.constant_share.to(self.force_scale.dtype) * self.force_scale

    @remembered
    def tendon_stiffness(self) -> Tensor:
        """`(tendons,)`, in newtons a metre of a tendon whose length is in metres."""
        return self.log_tendon_stiffness.to(self.tendon_stiffness_scale.dtype).exp() * self.tendon_stiffness_scale

    @remembered
    def tendon_damping(self) -> Tensor:
        """`(tendons,)`, in newton seconds a metre likewise."""
        return self.log_tendon_damping.to(self.tendon_damping_scale.dtype).exp() * self.tendon_damping_scale

    def lengths(self, qpos: Tensor) -> Tensor:
        """Of tendons, `(..., tendons)`."""
        return qpos @ self._tendon_lengths.mT

    def coordinates(self, qpos: Tensor) -> Tensor:
        """The positions that springs see, `(..., springs)`."""
        return qpos.index_select(-1, self._qpos)

    @remembered
    def matrix(self) -> Tensor:
        """By which `[qpos, qvel]` make all forces but the constant ones, `(nq + nv, nv)`."""
        matrix = self.force_scale.new_zeros(self._positions + len(self.force_scale), len(self.force_scale))
        matrix = matrix.index_put((self._rows, self._columns), -torch.cat([self.stiffness, self.damping]))
        if not len(self.tendons):
            return matrix
        springs, dampers = self.tendon_stiffness.unsqueeze(-1), self.tendon_damping.unsqueeze(-1)
        pulls = self._tendon_lengths.mT @ (springs * self.tendons), self.tendons.mT @ (dampers * self.tendons)
        return matrix - torch.cat(pulls)
