"""The recipe of the short-horizon actor-critic."""

from pydantic import Field, model_validator

from mosim.agents.gradients.reward_gradient import require_reward_gradient
from mosim.agents.learner import PolicyLearner, TrainingSetup
from mosim.agents.policy import Activation
from mosim.agents.recipe import PolicyRecipe
from mosim.models import DynamicsModel
from mosim.tasks import Task


class SHACRecipe(PolicyRecipe):
    """SHAC: gradients through the simulator over short windows, with a value function at their end (arXiv 2204.07137).

    Needs a task whose reward has a gradient.
    """

    algorithm: str = Field(default="SHAC", description=PolicyRecipe.model_fields["algorithm"].description)
    control_steps: int = Field(default=4_000_000, ge=1, description="Control steps to train for, summed over all envs.")
    rollout_fragment_length: int = Field(
        default=16, ge=1, description="Actions of a window, which gradients flow through; there is one update a window."
    )
    gamma: float = Field(default=0.99, gt=0, le=1, description="Discount factor per action.")
    num_envs: int = Field(default=128, ge=1, description="Number of environments, stepped as one batch.")
    hidden: tuple[int, ...] = Field(
        default=(128, 64), min_length=1, description="Widths of the hidden layers of the policy and the critics."
    )
    activation: Activation = Field(default="elu", description="Activation of the hidden layers.")
    layer_norm: bool = Field(default=True, description="Whether each hidden layer is normalised (layer norm).")

    learning_rate: float = Field(default=2e-3, gt=0, description="Adam's initial learning rate for the policy.")
    final_learning_rate: float = Field(
        default=2e-4, ge=0, description="Adam's final learning rate for the policy; the rate changes linearly."
    )
    betas: tuple[float, float] = Field(default=(0.7, 0.95), description="Adam's decay rates, for all networks.")
    grad_clip: float = Field(default=1.0, gt=0, description="Maximum norm of the gradients of a network.")
    kl_limit: float = Field(
        default=0.08,
        gt=0,
        description="Maximum mean KL divergence between the policies before and after an update, by the change of "
        "their mean actions; a longer step is shortened to it.",
    )
    spread_clip: float = Field(
        default=1.0,
        gt=0,
        description="Maximum norm of an env's gradient by its state, and by its action, at every action; in units of "
        "the median over the envs at the end of the window, before it grows. Larger ones are clipped to it.",
    )
    spread_cut: float = Field(
        default=1000.0,
        gt=0,
        description="Norm of such a gradient, in the same unit, beyond which it is set to zero, as that of a very "
        "stiff contact: the window of that env is cut there.",
    )
    initial_std: float = Field(default=0.4, gt=0, description="Initial standard deviation of actions, before the tanh.")
    final_std: float | None = Field(
        default=None,
        gt=0,
        description="Final standard deviation, which the initial one changes to geometrically. If omitted: it is "
        "learned.",
    )

    critic_learning_rate: float = Field(default=2e-3, gt=0, description="Adam's learning rate for the critics.")
    num_critics: int = Field(default=2, ge=1, description="Number of value functions; the least is the value.")
    critic_epochs: int = Field(default=8, ge=1, description="Passes of the critics over each window.")
    minibatch_size: int = Field(default=256, ge=1, description="Actions per minibatch of the critics.")
    td_lambda: float = Field(default=0.95, ge=0, le=1, description="Lambda of the critics' targets, TD(lambda).")
    tau: float = Field(
        default=0.6,
        gt=0,
        le=1,
        description="Fraction by which the target critics move towards the critics after each window.",
    )

    @model_validator(mode="after")
    def _clip_is_below_cut(self) -> "SHACRecipe":
        if self.spread_clip > self.spread_cut:
            raise ValueError(f"spread_clip is {self.spread_clip}; it must be at most spread_cut, {self.spread_cut}")
        if not all(0 <= beta < 1 for beta in self.betas):
            raise ValueError(f"betas are {self.betas}; each must be at least 0 and below 1")
        return self

    def check_setup(self, task: Task, dynamics: DynamicsModel) -> None:
        """See `PolicyRecipe`."""
        require_reward_gradient(task, dynamics, "algorithm shac", "use ppo or sac")

    def learner(self, setup: TrainingSetup) -> PolicyLearner:
        """See `PolicyRecipe`."""
        from mosim.agents.gradients.learner import SHACLearner

        return SHACLearner(self, setup)
