"""Rows of joints beyond their limits."""

from torch import Tensor, nn

from mosim.models.mosim.constraints.compliance import Compliance
from mosim.models.mosim.constraints.force_law import ForceLaw
from mosim.models.mosim.constraints.limit_motion import LimitMotion
from mosim.models.mosim.constraints.rows import Rows
from mosim.models.mosim.tree.mass_tree import InverseWeights
from mosim.models.statistics import Statistics
from mosim.robots import SystemFacts


class LimitRows(nn.Module):
    """Joints beyond their limits: one row each."""

    _response: Tensor

    def __init__(self, facts: SystemFacts, statistics: Statistics) -> None:
        super().__init__()
        self._motion = LimitMotion(facts, statistics.acceleration_std)
        response = statistics.acceleration_std[self._motion.dofs].square()
        self.register_buffer("_response", response, persistent=False)
        self.size, self._size = self._motion.size, facts.nv
        self.compliance = Compliance(self.size)

    def weights(self, inverse: InverseWeights) -> Tensor:
        """`W` over that before training, `(limits,)`, by MuJoCo's rule."""
        return self._response / inverse.dofs[self._motion.dofs]

    def acting(self, qpos: Tensor) -> tuple[Tensor, Tensor]:
        """Which limits act: of each the index in the batch, and which limit it is, `(n,)`."""
        reached = self._motion(qpos, qpos.new_zeros(len(qpos), self._size))
        return reached.sample, reached.which

    def forward(self, qpos: Tensor, qvel: Tensor) -> Rows:
        """The rows of a batch of states."""
        sample, which, depth, jacobian, speed = self._motion(qpos, qvel)
        numbers = self.compliance(sample, which)
        stiffness, target = numbers.at(depth)
        target = target - numbers.damping * speed
        stiffness = stiffness / self._response[which]
        return Rows(sample, jacobian.unsqueeze(1), target.unsqueeze(1), ForceLaw(stiffness.unsqueeze(1)))
