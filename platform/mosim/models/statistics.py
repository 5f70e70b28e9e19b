"""The scales by which a simulator standardises what its networks see and say."""

from dataclasses import dataclass, fields, replace
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from mosim.core.threads import single_threaded
from mosim.geometry import ConfigurationSpace, ContactGaps, Jacobians, Kinematics, SolidContacts
from mosim.robots import SystemFacts

_SMALLEST_STD = 1e-4
"""Standard deviations below this are taken as a dimension that does not move, and divided by 1 instead."""

_CONTACT_SAMPLE = 20_000
"""States in which contacts are counted at most."""

_RESPONSE_BATCHES = 8
"""Batches of 256 states over which the response of contacts is averaged."""

_MOST_CONTACTS = 8
"""Contacts at one time that a simulator of no data reckons with."""

_MARGIN = 0.25
"""How far beyond what the data hold the networks are asked, as a share of the data's range."""


@dataclass(frozen=True)
class Statistics:
    """Means and standard deviations over a dataset.

    Attributes:
      SAMPLE: transitions that they are taken from at most.
      qpos_mean, qpos_std: of shape `(nq,)`.
      qpos_lower, qpos_upper: `(nq,)`: the range in the data, and a margin; networks see positions beyond it as at it.
      velocity_std: of shape `(nv,)`; velocities are scaled, not shifted, so that rest stays rest.
      displacement_std: `(nv,)`: of the change of position in a physics step, in the tangent space.
      acceleration_std: `(nv,)`: of the change of velocity in a physics step over its time.
      contact_share: `(gaps + solids,)`: share of the states in which each gap of `ContactGaps` is closed, and in which
        each pair of `SolidContacts` touches.
      contact_response: `(gaps,)`: squared speed, along the normal, of each gap under one acceleration_std in every
        degree of freedom; the scale of a contact's stiffness.
      most_contacts: `()`: gaps closed, and pairs that touch, at one time at most.
      velocity_limit, acceleration_limit: `(nv,)`: the largest in the data, and a margin; predictions stay within them,
        so that an error cannot feed on itself until it is not finite.
    """

    SAMPLE: ClassVar[int] = 100_000

    qpos_mean: Tensor
    qpos_std: Tensor
    qpos_lower: Tensor
    qpos_upper: Tensor
    velocity_std: Tensor
    displacement_std: Tensor
    acceleration_std: Tensor
    velocity_limit: Tensor
    acceleration_limit: Tensor
    contact_share: Tensor
    contact_response: Tensor
    most_contacts: Tensor

    @classmethod
    @single_threaded
    def of(cls, facts: SystemFacts, states: np.ndarray, next_states: np.ndarray) -> "Statistics":
        """Measures transitions `states -> next_states`, both of shape `(n, state_size)`."""
        chosen = slice(None, None, max(1, len(states) // cls.SAMPLE))
        space = ConfigurationSpace(facts.joints)
        qpos, qvel, _ = facts.layout.split(torch.from_numpy(np.asarray(states[chosen], np.float64)))
        next_qpos, next_qvel, _ = facts.layout.split(torch.from_numpy(np.asarray(next_states[chosen], np.float64)))
        acceleration = (next_qvel - qvel).div_(facts.timestep)
        acceleration_std = _isotropic(facts, _spread(acceleration))
        lower, upper = qpos.amin(0), qpos.amax(0)
        margin = _MARGIN * (upper - lower)
        return cls(
            qpos_mean=qpos.mean(0).float(),
            qpos_std=_spread(qpos - qpos.mean(0)),
            qpos_lower=(lower - margin).float(),
            qpos_upper=(upper + margin).float(),
            velocity_std=_isotropic(facts, _spread(qvel)),
            displacement_std=_isotropic(facts, _spread(space.difference(qpos, next_qpos))),
            acceleration_std=acceleration_std,
            velocity_limit=_limit(qvel),
            acceleration_limit=_limit(acceleration),
            **_contacts(facts, qpos, acceleration_std),
        )

    @classmethod
    def neutral(cls, facts: SystemFacts) -> "Statistics":
        """Neutral scales, for a simulator of no data: nothing is shifted, scaled or limited."""
        gaps, solids = ContactGaps(facts.skeleton).size, SolidContacts(facts.skeleton).size
        ones, unlimited = torch.ones(facts.nv), torch.full((facts.nv,), torch.inf)
        return cls(
            qpos_mean=torch.zeros(facts.nq),
            qpos_std=torch.ones(facts.nq),
            qpos_lower=torch.full((facts.nq,), -torch.inf),
            qpos_upper=torch.full((facts.nq,), torch.inf),
            velocity_std=ones,
            displacement_std=ones,
            acceleration_std=ones,
            velocity_limit=unlimited,
            acceleration_limit=unlimited,
            contact_share=torch.ones(gaps + solids),
            contact_response=torch.ones(gaps),
            most_contacts=torch.tensor(float(min(gaps + solids, _MOST_CONTACTS))),
        )

    def widened(self, other: "Statistics") -> "Statistics":
        """These scales, with limits as wide as the wider of both, for weights that go on with other data."""
        return replace(
            self,
            qpos_lower=torch.minimum(self.qpos_lower, other.qpos_lower),
            qpos_upper=torch.maximum(self.qpos_upper, other.qpos_upper),
            velocity_limit=torch.maximum(self.velocity_limit, other.velocity_limit),
            acceleration_limit=torch.maximum(self.acceleration_limit, other.acceleration_limit),
            most_contacts=torch.maximum(self.most_contacts, other.most_contacts),
        )

    def position_std(self, facts: SystemFacts) -> Tensor:
        """The standard deviation of positions by degree of freedom, `(nv,)`; a radian for orientations."""
        std = torch.ones(facts.nv)
        for joint in facts.joints:
            for axis in range({"free": 3, "ball": 0}.get(joint.kind, 1)):
                std[joint.dof_address + axis] = self.qpos_std[joint.qpos_address + axis]
        return std

    def tensors(self) -> dict[str, Tensor]:
        """The statistics by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


def _contacts(facts: SystemFacts, qpos: Tensor, acceleration_std: Tensor) -> dict[str, Tensor]:
    gaps, solids = ContactGaps(facts.skeleton), SolidContacts(facts.skeleton)
    kinematics, jacobians = Kinematics(facts.skeleton), Jacobians(facts.skeleton)
    moved = jacobians.moves[gaps.first] - jacobians.moves[gaps.second]
    closed, response = [torch.zeros(0, gaps.size + solids.size)], [torch.zeros(0, gaps.size)]
    looked_at = qpos[:: max(1, len(qpos) // _CONTACT_SAMPLE)].float()
    for part in looked_at.split(256) if closed[0].shape[1] else ():
        poses = kinematics.poses(part)
        gap = gaps(poses)
        touching = torch.zeros(len(part), solids.size)
        if solids.size:
            touching[solids.touching(poses)[:2]] = 1.0
        closed.append(torch.cat([(gap.distance < 0).float(), touching], dim=-1))
        if len(response) <= _RESPONSE_BATCHES:
            opening = (jacobians(poses, gap.position, moved) * gap.normal.unsqueeze(-2)).sum(-1)
            response.append((opening * acceleration_std).square().sum(-1))
    shut = torch.cat(closed)
    return {
        "contact_share": shut.sum(0) / max(1, len(shut)),
        "contact_response": torch.cat(response).sum(0) / max(1, sum(map(len, response))),
        "most_contacts": shut.sum(-1).amax(0) if len(shut) else torch.zeros(()),
    }


def _spread(values: Tensor) -> Tensor:
    std = values.square().mean(0).sqrt()
    return torch.where(std > _SMALLEST_STD, std, torch.ones_like(std)).float()


def _isotropic(facts: SystemFacts, std: Tensor) -> Tensor:
    """One standard deviation for the three linear directions of a free joint, so that turning them changes no units."""
    std = std.clone()
    for joint in facts.joints:
        if joint.kind == "free":
            linear = slice(joint.dof_address, joint.dof_address + 3)
            std[linear] = std[linear].square().mean().sqrt()
    return std


def _limit(values: Tensor) -> Tensor:
    largest = (1 + _MARGIN) * torch.maximum(values.amax(0), -values.amin(0))  # Without a copy, as abs would make.
    return torch.where(largest > _SMALLEST_STD, largest, torch.ones_like(largest)).float()
