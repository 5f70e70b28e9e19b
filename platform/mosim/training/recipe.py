"""The training of a simulator as data: the model's shape and the list of stages."""

from typing import Any, Literal

from pydantic import Field, model_validator

from mosim.core.frozen import Frozen
from mosim.models import AnyModelConfig, NeuralSimulatorConfig

Schedule = Literal["cosine", "constant"]

Loss = Literal["mse", "huber"]

OptimizerName = Literal["soap", "adam", "least_squares"]


class StageConfig(Frozen):
    """One phase of training. It lasts `steps`, or, if that is not given, `minutes`; least_squares ends by itself."""

    name: str = Field(description="Shown in progress, logs and errors.")
    learns: tuple[str, ...] = Field(
        description="Parts whose weights change: predictor, which is all of it; constraints, which are the predictor's "
        "contacts and limits alone; corrector/0, corrector/1, ... A corrector that no stage has named so far takes no "
        "part yet.",
    )
    steps: int | None = Field(default=None, ge=1, description="Gradient steps.")
    minutes: float | None = Field(default=None, gt=0, description="Wall-clock minutes, where steps is not given.")
    optimizer: OptimizerName = Field(
        default="soap",
        description="adam, or soap: Adam in the eigenbasis of the gradients' covariances, more exact. least_squares: "
        "finds the masses, forces, contacts and limits of an articulated predictor from single steps, in seconds to "
        "minutes; of the other settings it takes name and learns alone.",
    )
    learning_rate: float = Field(default=3e-3, gt=0, description="Peak rate of the optimiser.")
    schedule: Schedule = Field(default="cosine", description="How the rate goes on after the warm-up.")
    final_learning_rate: float = Field(
        default=0.001, gt=0, le=1, description="Where cosine ends, as a share of the peak."
    )
    warmup_steps: int = Field(
        default=200, ge=0, description="Steps of linear warm-up; every stage starts its optimiser afresh."
    )
    batch_size: int = Field(default=1024, ge=1, description="Windows in a batch.")
    horizon: int = Field(default=1, ge=1, description="Physics steps rolled out in the loss; 1 is one-step training.")
    loss: Loss = Field(default="huber", description="Of the state error in units of a step's standard deviation.")
    huber_delta: float = Field(default=1.0, gt=0, description="Where huber turns from square to linear.")
    gradient_clip: float = Field(default=1.0, gt=0, description="Largest norm of the gradient.")
    patience: float = Field(
        default=0.4,
        gt=0,
        description="Share of the stage over which the loss must fall, or it ends early; 1 or more: never.",
    )

    undo: bool = Field(
        default=False,
        description="Undo a stage after another where it makes the horizon error at 16 on validation episodes larger.",
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

    model: AnyModelConfig = Field(default=NeuralSimulatorConfig(), description="The model's shape.")
    stages: tuple[StageConfig, ...] = Field(min_length=1, description="In order.")
    seed: int = Field(default=0, ge=0, description="Of the first weights and of the batches.")
    episodes: int | None = Field(
        default=None, ge=1, description="Train on the first so many episodes of the data alone; on all by default."
    )
    validation_fraction: float = Field(
        default=0.05,
        gt=0,
        lt=1,
        description="Share of these episodes, at least one and never all, kept from training to watch the horizon "
        "error; a single episode is trained on and watched.",
    )

    @model_validator(mode="after")
    def _parts_exist(self) -> "Recipe":
        known = self.model.part_names
        for stage in self.stages:
            if odd := sorted(set(stage.learns) - set(known)):
                raise ValueError(f"stage {stage.name!r} learns {', '.join(odd)}; there are: {', '.join(known)}")
        return self

    @model_validator(mode="after")
    def _parts_can_be_solved_for(self) -> "Recipe":
        solvable = self.model.solvable_parts
        for stage in self.stages if solvable else ():
            if stage.solves and (odd := sorted(set(stage.learns) - set(solvable))):
                raise ValueError(
                    f"stage {stage.name!r}: least_squares trains {' and '.join(solvable)}, not {', '.join(odd)}"
                )
        if not solvable and (solving := [stage for stage in self.stages if stage.solves]):
            raise ValueError(
                f"stage {solving[0].name!r}: least_squares trains an articulated predictor, not the model "
                f"{self.model.structure}; use the optimizer soap or adam"
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
            raise ValueError("to fit a budget, every stage must be given in steps, or every stage in minutes")
        total = sum(shares)
        stages = tuple(
            stage if stage.solves else stage.model_copy(update={"steps": None, "minutes": minutes * share / total})
            for stage, share in zip(self.stages, shares, strict=True)
        )
        return self.model_copy(update={"stages": stages})


def run_identity(recipe: Recipe, dataset_id: str) -> dict[str, Any]:
    """What decides the weights of a training, for `mosim.core.run_identity`; the dataset's id covers its system."""
    return {"recipe": recipe.model_dump(mode="json"), "dataset": dataset_id}
