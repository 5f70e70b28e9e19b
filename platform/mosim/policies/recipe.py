"""How a policy is trained: a recipe per task, as YAML."""

from importlib import resources
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from mosim.configuration import read_yaml_model
from mosim.environments import StartKind
from mosim.systems import Frozen

_RECIPES = "recipes/policies"
_DEFAULT = "default.yaml"


class PolicyRecipe(Frozen):
    """Settings of an RLlib algorithm and of how its policy is judged; a control step is the unit of all durations."""

    algorithm: Literal["PPO"] = Field(default="PPO", description="RLlib's algorithm.")
    control_steps: int = Field(default=2_000_000, ge=1, description="Control steps to train for, over all envs.")
    seed: int = Field(default=0, ge=0, lt=2**31, description="Seed of weights, exploration and training episodes.")

    action_repeat: int = Field(default=2, ge=1, description="Control steps that each action is held.")
    start: StartKind = Field(
        default="initial",
        description="Where training episodes start: in the task's own initial states, in states of the data that the "
        "simulator was trained on, or in each of them half of the time.",
    )
    horizon: int | None = Field(
        default=None,
        ge=1,
        description="Control steps after which a training episode is cut, as if it went on; by default the task's own "
        "time limit.",
    )
    num_envs: int = Field(default=64, ge=1, description="Environments stepped as one batch.")
    num_env_runners: int = Field(
        default=0, ge=0, description="Ray actors that sample, sharing the envs; 0 samples in the trainer's own process."
    )
    fragment: int = Field(default=64, ge=1, description="Actions that each env takes between two updates.")

    minibatch: int = Field(default=512, ge=2, description="Actions in a minibatch.")
    epochs: int = Field(default=10, ge=1, description="Passes over what was sampled, an update.")
    learning_rate: float = Field(default=3e-4, gt=0, description="Adam's step size at the start.")
    final_learning_rate: float = Field(default=3e-4, ge=0, description="Adam's step size at the end, linearly.")
    gradient_clip: float | None = Field(default=0.5, gt=0, description="Largest norm of a gradient.")
    gamma: float = Field(default=0.97, gt=0, le=1, description="Discount an action.")
    gae_lambda: float = Field(default=0.95, ge=0, le=1, description="Decay of generalised advantage estimation.")
    clip: float = Field(default=0.2, gt=0, description="How far PPO moves an action's probability, as a ratio less 1.")
    entropy: float = Field(default=0.0, ge=0, description="Weight of the entropy bonus at the start.")
    entropy_until: float = Field(
        default=1.0,
        gt=0,
        le=1,
        description="Share of the training in which the entropy bonus fades to nothing, linearly.",
    )
    value_weight: float = Field(default=0.5, ge=0, description="Weight of the value loss.")
    hidden: tuple[int, ...] = Field(default=(64, 64), description="Widths of the hidden layers, for policy and value.")
    free_log_std: bool = Field(default=False, description="Exploration noise of the same size in all states.")

    judge_every: int = Field(
        default=200_000, ge=1, description="Control steps between two judgements of the policy in the true task."
    )
    judge_episodes: int = Field(default=20, ge=1, description="Episodes of a judgement.")
    checkpoint_every: int = Field(default=200_000, ge=1, description="Control steps between two checkpoints.")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.minibatch > self.num_envs * self.fragment:
            raise ValueError("minibatch must be at most num_envs * fragment, the actions of an update")
        if self.num_env_runners and self.num_envs % self.num_env_runners:
            raise ValueError("num_envs must be a multiple of num_env_runners, which share them")
        return self

    @property
    def batch(self) -> int:
        """Actions of an update."""
        return self.num_envs * self.fragment


def load_policy_recipe(task_name: str, file: Path | None = None) -> PolicyRecipe:
    """Reads the recipe in `file`, or else the one shipped for a task, or else the default one.

    Raises:
      MosimError: the file is missing or wrong; names the file, the key and what is allowed.
    """
    if file is not None:
        return read_yaml_model(file, PolicyRecipe)
    with resources.as_file(resources.files("mosim") / _RECIPES) as folder:
        shipped = folder / f"{task_name}.yaml"
        return read_yaml_model(shipped if shipped.is_file() else folder / _DEFAULT, PolicyRecipe)
