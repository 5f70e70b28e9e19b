"""The training of a simulator as data: the model's shape and the list of stages."""

from typing import Any, Literal

from pydantic import Field, model_validator

from mosim.core.frozen import Frozen
from mosim.models import AnyModelConfig, NeuralSimulatorConfig

Schedule = Literal["cosine", "constant"]

Loss = Literal["mse", "huber"]

OptimizerName = Literal["soap", "adam", "least_squares"]


class StageConfig(Frozen):
    """One stage of training. It lasts `steps` or, if that is not given, `minutes`; least_squares needs neither."""

    name: str = Field(description="Name of the stage in progress bars, logs and errors.")
    learns: tuple[str, ...] = Field(
        description="Parts to train: predictor (all of it), constraints (only the predictor's contacts and limits), "
        "corrector/0, corrector/1, ... A corrector is inactive until a stage names it.",
    )
    steps: int | None = Field(default=None, ge=1, description="Number of gradient steps.")
    minutes: float | None = Field(default=None, gt=0, description="Wall-clock minutes, if steps is not given.")
    optimizer: OptimizerName = Field(
        default="soap",
        description="adam; soap, which is Adam in the eigenbasis of the gradients' covariances and more accurate; or "
        "least_squares, which fits the masses, forces, contacts and limits of an articulated predictor "
        "to single steps, in seconds to minutes. Of the other settings, least_squares uses only name and "
        "learns.",
    )
    learning_rate: float = Field(default=3e-3, gt=0, description="Peak learning rate.")
    schedule: Schedule = Field(default="cosine", description="Schedule of the learning rate after the warm-up.")
    final_learning_rate: float = Field(
        default=0.001, gt=0, le=1, description="Final learning rate of the cosine schedule, as a fraction of the peak."
    )
    warmup_steps: int = Field(
        default=200, ge=0, description="Steps of linear warm-up; every stage starts with a new optimiser."
    )
    batch_size: int = Field(default=1024, ge=1, description="Windows per batch.")
    horizon: int = Field(
        default=1, ge=1, description="Length of the rollouts in the loss, in physics steps; 1 is one-step training."
    )
    loss: Loss = Field(
        default="huber",
        description="Loss function of the state error, which is in units of a step's standard deviation.",
    )
    huber_delta: float = Field(
        default=1.0, gt=0, description="Error above which the Huber loss is linear instead of quadratic."
    )
    gradient_clip: float = Field(
        default=1.0, gt=0, description="Maximum norm of the gradient; larger gradients are clipped."
    )
    patience: float = Field(
        default=0.4,
        gt=0,
        description="Fraction of the stage within which the loss must fall; otherwise the stage ends early. 1 or "
        "more: never.",
    )

    undo: bool = Field(
        default=False,
        description="Undo this stage if it is not the first and increases the horizon error at 16 on the validation "
        "episodes: the geometric mean of its mean and its median over starts.",
    )
    skip_below: float | None = Field(
        default=None,
        gt=0,
        description="Skip this stage if it is not the first and the horizon error at 16 on the validation episodes is "
        "below this fraction of that of persistence.",
    )

    @model_validator(mode="after")
    def _lasts(self) -> "StageConfig":
        if self.steps is None and self.minutes is None and not self.solves:
            raise ValueError(f"stage {self.name!r} needs steps or minutes")
        if not self.learns:
            raise ValueError(f"stage {self.name!r} trains nothing: learns is empty")
        return self

    @property
    def solves(self) -> bool:
        """Whether it solves for its numbers, instead of taking gradient steps."""
        return self.optimizer == "least_squares"


class Recipe(Frozen):
    """A simulator's model and how it is trained."""

    model: AnyModelConfig = Field(default=NeuralSimulatorConfig(), description="Architecture of the model.")
    stages: tuple[StageConfig, ...] = Field(min_length=1, description="Training stages, in order.")
    seed: int = Field(default=0, ge=0, description="Random seed of the initial weights and of the batches.")
    episodes: int | None = Field(
        default=None, ge=1, description="Train only on the first N episodes of the data. If omitted: on all."
    )
    newest_weight: float = Field(
        default=1.0,
        gt=0,
        description="Probability of a window of the newest dataset relative to one of the others, if the data are the "
        "datasets of several rounds, as in mosim learn. Least squares weighs all alike.",
    )
    validation_fraction: float = Field(
        default=0.05,
        gt=0,
        lt=1,
        description="Fraction of these episodes, at least one and never all, held out from training to measure the "
        "horizon error. A single episode is used for both.",
    )

    @model_validator(mode="after")
    def _parts_exist(self) -> "Recipe":
        known = self.model.part_names
        for stage in self.stages:
            if odd := sorted(set(stage.learns) - set(known)):
                raise ValueError(f"stage {stage.name!r} learns {', '.join(odd)}; available: {', '.join(known)}")
        return self

    @model_validator(mode="after")
    def _parts_can_be_solved_for(self) -> "Recipe":
        solvable = self.model.solvable_parts
        for stage in self.stages if solvable else ():
            if stage.solves and (odd := sorted(set(stage.learns) - set(solvable))):
                raise ValueError(
                    f"stage {stage.name!r}: least_squares can train only {' and '.join(solvable)}, not {', '.join(odd)}"
                )
        if not solvable and (solving := [stage for stage in self.stages if stage.solves]):
            raise ValueError(
                f"stage {solving[0].name!r}: least_squares fits masses, which the model {self.model.structure} does "
                "not have; use the predictor articulated, or the optimizer soap"
            )
        return self

    def within(self, minutes: float) -> "Recipe":
        """The same stages fitted into a wall-clock budget, each keeping its share; least_squares takes what it takes.

        A share is a stage's minutes where every stage gives them alone; else its network calls, `steps * batch_size *
        horizon`.

        Raises:
          ValueError: stages give steps and minutes in a mixture that has no common measure.
        """
        stepping = [stage for stage in self.stages if not stage.solves]
        if all(stage.steps is None for stage in stepping):
            shares = [stage.minutes or 0.0 for stage in self.stages]
        elif all(stage.steps is not None for stage in stepping):
            shares = [float((stage.steps or 0) * stage.batch_size * stage.horizon) for stage in self.stages]
        else:
            raise ValueError("to fit a budget, the lengths of all stages must be in steps, or all in minutes")
        total = sum(shares)
        stages = tuple(
            stage if stage.solves else stage.model_copy(update={"steps": None, "minutes": minutes * share / total})
            for stage, share in zip(self.stages, shares, strict=True)
        )
        return self.model_copy(update={"stages": stages})


def run_identity(recipe: Recipe, dataset_id: str, weights: str | None = None) -> dict[str, Any]:
    """What decides the weights of a training, for `mosim.core.run_identity`.

    Args:
      recipe: the model and the stages.
      dataset_id: of the training data, which covers their system.
      weights: the id of the checkpoint whose weights are the first ones; None where the recipe's seed gives them.
    """
    return {"recipe": recipe.model_dump(mode="json"), "dataset": dataset_id, "weights": weights}
