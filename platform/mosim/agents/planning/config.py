"""How a planner searches."""

from typing import Literal

from pydantic import Field, model_validator

from mosim.core.frozen import Frozen
from mosim.envs import Guards

PlannerKind = Literal["mppi", "icem", "gradient"]


class PlannerConfig(Frozen):
    """A planner: it improves a plan of actions in the simulator, takes the first action, and goes on from there."""

    planner: PlannerKind = Field(
        default="icem",
        description="mppi: mean of random plans, weighted by the exponential of their return (arXiv 1509.01149). icem: "
        "mean and deviation of the best of random plans, some of which are kept (arXiv 2008.06389). gradient: gradient "
        "ascent on plans, through the simulator; needs a task whose reward has a gradient.",
    )
    horizon: int = Field(default=16, ge=1, description="Actions of a plan.")
    action_repeat: int = Field(default=2, ge=1, description="Control steps that each action is held.")
    samples: int = Field(default=64, ge=2, description="Plans that are tried at a time; for gradient, 4 to 16 suffice.")
    iterations: int = Field(default=3, ge=1, description="Times that a plan is improved before an action is taken.")
    noise: float = Field(
        default=0.5, gt=0, description="Standard deviation of random actions at first, in halves of the control range."
    )
    correlation: float = Field(
        default=2.0,
        ge=0,
        description="Exponent of the noise's power spectrum over a plan's actions: 0 is white noise, 2 a random walk.",
    )
    temperature: float = Field(
        default=0.3, gt=0, description="mppi: difference in return, in standard deviations, that weighs e times more."
    )
    elites: int = Field(default=8, ge=1, description="icem: best plans that the next ones are drawn around.")
    kept: float = Field(default=0.3, ge=0, le=1, description="icem: share of the elites that is tried again.")
    learning_rate: float = Field(
        default=0.1, gt=0, description="gradient: step of Adam, in halves of the control range."
    )
    gamma: float = Field(default=0.99, gt=0, le=1, description="Discount of the reward per action.")
    guards: Guards = Guards()
    seed: int = Field(default=0, ge=0, description="Seed of the random plans.")

    @model_validator(mode="after")
    def _fits_together(self) -> "PlannerConfig":
        if self.planner == "icem" and self.elites > self.samples:
            raise ValueError(f"elites is {self.elites}; it must be at most samples, which is {self.samples}")
        return self
