"""The staged training of a neural simulator."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from mosim.dynamics import NeuralSimulator, Statistics
from mosim.errors import DivergenceError, MismatchError, MosimError
from mosim.systems import SystemFacts
from mosim.training import checkpoint as checkpoints
from mosim.training.compilation import Compiled
from mosim.training.losses import mean_loss, rollout_errors
from mosim.training.optimizers import OPTIMIZERS
from mosim.training.recipe import Recipe, StageConfig
from mosim.training.stage import StageCursor, Stopwatch, learning_rate, progress, select_parts, stagnates
from mosim.training.windows import Recording, WindowSampler
from mosim.trajectories import Trajectories

REPORT_STEPS = 100
"""Gradient steps between reports, and so the grain of checkpoints and of giving up."""

CHECKPOINT_SECONDS = 120.0
"""Wall clock between checkpoints within a stage."""

_VALIDATION_HORIZON = 16
_VALIDATION_WINDOWS = 256
_KEPT_CHECKPOINTS = 2


class Report(NamedTuple):
    """What training says of itself every `REPORT_STEPS` steps, and with `validation` at the end of a stage.

    Attributes:
      stage, stages: index of the stage, and how many there are.
      name: the stage's name.
      step: gradient steps since training began.
      progress: share of the stage done, 0 to 1.
      loss: mean loss since the last report.
      samples_per_second: physics steps of training data a second, over this report.
      learning_rate: of the last step.
      calls_per_step: calls of the networks for each predicted physics step: 1, or what the integrator takes.
      validation: horizon error at 16 steps on episodes kept from training, in raw units squared; None within a stage.
      note: a sentence where something ended early, else empty.
    """

    stage: int
    stages: int
    name: str
    step: int
    progress: float
    loss: float
    samples_per_second: float
    learning_rate: float
    calls_per_step: float
    validation: float | None = None
    note: str = ""


class Trainer:
    """Trains a simulator stage by stage, with checkpoints from which it goes on exactly.

    Attributes:
      model: the simulator.
    """

    def __init__(
        self,
        *,
        system: str,
        facts: SystemFacts,
        recipe: Recipe,
        trajectories: Trajectories,
        dataset_id: str,
        out: Path,
        device: str = "cpu",
        compile_steps: bool = False,
        resume: bool = False,
    ) -> None:
        """Prepares a run in the folder `out`, or the going on of one.

        `compile_steps` has torch.compile make one-step stages faster, where it works; it takes about a minute a stage,
        which does not count as the stage's. Rollout stages are left as they are: their loops compile too slowly.

        Raises:
          MosimError: `out` holds checkpoints already and `resume` is false.
          MismatchError: the checkpoint to resume from has another system, recipe or dataset; says which.
        """
        self._system, self._recipe, self._dataset_id = system, recipe, dataset_id
        self._folder = out / "checkpoints"
        self._device = torch.device(device)
        episodes = len(trajectories.offsets) - 1
        kept = max(1, round(recipe.validation_fraction * episodes))
        if kept >= episodes:
            raise MosimError(
                f"training needs at least 2 episodes, one of them for validation; the dataset has {episodes}."
            )
        self._compile = compile_steps
        self._errors: Callable[[NeuralSimulator, Tensor, Tensor], Tensor] = rollout_errors
        self._stage_index, self._cursor, self._total_steps = 0, StageCursor(), 0
        self._stage_ends: list[str] = []
        self._restored: dict[str, Tensor] = {}
        existing = sorted(self._folder.glob("step-*"))
        if existing and not resume:
            raise MosimError(f"{out} holds a training run already; --resume goes on with it, or choose another folder.")
        if existing:
            self.model = self._restore(checkpoints.read_checkpoint(existing[-1]), facts)
        else:
            torch.manual_seed(recipe.seed)
            self.model = NeuralSimulator(facts, recipe.model, _statistics(facts, trajectories))
        recording = Recording.on(self._device, trajectories)  # After the statistics, whose copies are gone again.
        self._training = WindowSampler(recording, range(episodes - kept), recipe.seed)
        self._validation = WindowSampler(recording, range(episodes - kept, episodes), recipe.seed)
        if self._restored:
            self._training.generator.set_state(self._restored["generator"])
        self.model.to(self._device)

    @property
    def finished(self) -> bool:
        """Whether every stage is done."""
        return self._stage_index >= len(self._recipe.stages)

    def run(self, on_report: Callable[[Report], None]) -> Path:
        """Trains what is left of the stages and returns the last checkpoint's path.

        Raises:
          DivergenceError: a loss is not finite; names system, stage, step and dimension.
        """
        while not self.finished:
            self._run_stage(self._recipe.stages[self._stage_index], on_report)
        return checkpoints.find_checkpoint(self._folder.parent)

    def _run_stage(self, stage: StageConfig, on_report: Callable[[Report], None]) -> None:
        learning = select_parts(self.model, self._recipe.stages, self._stage_index)
        optimizer = OPTIMIZERS[stage.optimizer](learning, stage.learning_rate)
        checkpoints.restore_optimizer(optimizer, self._restored)
        self._restored = {}
        self._errors = self._compile_errors(stage) if self._compile and stage.horizon == 1 else rollout_errors
        watch, unsaved_seconds, cursor = Stopwatch(), 0.0, self._cursor
        report = self._report(stage, math.nan, 0.0)
        while report.progress < 1:
            first_step, first_call = cursor.step, self.model.acceleration_calls
            loss = self._train_until_report(stage, optimizer, learning, watch)
            predicted = (cursor.step - first_step) * stage.horizon
            calls = (self.model.acceleration_calls - first_call) / predicted
            report = self._report(stage, loss, predicted * stage.batch_size / cursor.seconds_of_report, calls)
            if stagnates(stage, cursor, loss) and report.progress < 1:
                note = f"its loss, {loss:.3g}, has stopped falling"
                report = report._replace(note=f"stage {stage.name} ends early at {report.progress:.0%}: {note}.")
                break
            if report.progress < 1:  # The stage's last report, below, has the validation too.
                on_report(report)
            unsaved_seconds += cursor.seconds_of_report
            if unsaved_seconds > CHECKPOINT_SECONDS:
                self._save(optimizer)
                unsaved_seconds = 0.0
            watch.lap()  # What reports and checkpoints cost is not the stage's time.
        self._stage_index += 1
        self._cursor = StageCursor()
        self._save(None)
        on_report(report._replace(progress=1.0, validation=self._validate()))

    def _train_until_report(
        self, stage: StageConfig, optimizer: torch.optim.Optimizer, learning: list, watch: Stopwatch
    ) -> float:
        """Trains up to `REPORT_STEPS` steps; returns their mean loss."""
        total, steps, before = 0.0, 0, self._cursor.seconds
        while steps < REPORT_STEPS and progress(stage, self._cursor) < 1:
            total += self._train_step(stage, optimizer, learning)
            steps += 1
            self._cursor.step += 1
            self._cursor.seconds += watch.lap()
        self._total_steps += steps
        self._cursor.seconds_of_report = self._cursor.seconds - before
        return total / steps

    def _report(
        self, stage: StageConfig, loss: float, samples_per_second: float, calls_per_step: float = 0.0
    ) -> Report:
        return Report(
            stage=self._stage_index,
            stages=len(self._recipe.stages),
            name=stage.name,
            step=self._total_steps,
            progress=progress(stage, self._cursor),
            loss=loss,
            samples_per_second=samples_per_second,
            learning_rate=learning_rate(stage, self._cursor),
            calls_per_step=calls_per_step,
        )

    def _train_step(self, stage: StageConfig, optimizer: torch.optim.Optimizer, learning: list) -> float:
        rate = learning_rate(stage, self._cursor)
        for group in optimizer.param_groups:
            group["lr"] = rate
        states, actions = self._training.draw(stage.batch_size, stage.horizon)
        errors = self._errors(self.model, states, actions)
        loss = mean_loss(errors, stage.loss, stage.huber_delta)
        value = loss.item()
        if not value < float("inf"):
            raise DivergenceError(self._divergence(stage, errors))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(learning, stage.gradient_clip)
        if not torch.isfinite(norm):
            raise DivergenceError(self._divergence(stage, errors))
        optimizer.step()
        return value

    def _compile_errors(self, stage: StageConfig) -> Callable[[NeuralSimulator, Tensor, Tensor], Tensor]:
        """The errors of a stage's batches, compiled, and called once so that the compiler's time is not the stage's."""
        errors = Compiled(rollout_errors)
        states, actions = self._training.spread(stage.batch_size, stage.horizon)
        mean_loss(errors(self.model, states, actions), stage.loss, stage.huber_delta).backward()
        self.model.zero_grad(set_to_none=True)
        return errors

    def _divergence(self, stage: StageConfig, errors: Tensor) -> str:
        """Which step and dimension went first: the first that is not finite, else the one with the largest error."""
        facts = self.model.facts
        names = [f"qpos displacement {index}" for index in range(facts.nv)] + list(facts.state_names[facts.nq :])
        broken = ~torch.isfinite(errors).all(dim=0)
        step, dimension = (
            map(int, broken.nonzero()[0]) if broken.any() else (0, int(errors.abs().amax((0, 1)).argmax()))
        )
        where = f"{facts.name} diverged in stage {stage.name!r} at gradient step {self._cursor.step}"
        return (
            f"training of {where}: the loss or its gradient is not finite, first in {names[dimension]} at rollout step "
            f"{step + 1} of {stage.horizon}; the last checkpoint in {self._folder} is intact. Lower the stage's "
            f"learning_rate, gradient_clip or horizon."
        )

    @torch.no_grad()
    def _validate(self) -> float:
        states, actions = self._validation.spread(_VALIDATION_WINDOWS, _VALIDATION_HORIZON)
        return (self.model.rollout(states[:, 0], actions) - states[:, 1:]).square().mean().item()

    def _save(self, optimizer: torch.optim.Optimizer | None) -> None:
        """Writes a checkpoint; without an optimiser, between stages, since every stage starts its own afresh."""
        name = f"step-{self._total_steps:08d}-stage-{self._stage_index}"
        training = {"generator": self._training.generator.get_state()}
        if optimizer is None:
            self._stage_ends.append(name)
        else:
            training |= checkpoints.optimizer_tensors(optimizer)
        checkpoints.save_checkpoint(
            self._folder,
            name,
            self.model,
            training,
            system=self._system,
            recipe=self._recipe.model_dump(mode="json"),
            dataset_id=self._dataset_id,
            cursor={
                "stage": self._stage_index,
                "total_steps": self._total_steps,
                "stage_ends": self._stage_ends,
                "finished": self.finished,
                **self._cursor.as_json(),
            },
        )
        checkpoints.keep_last(self._folder, _KEPT_CHECKPOINTS, always=set(self._stage_ends))

    def _restore(self, checkpoint: checkpoints.Checkpoint, facts: SystemFacts) -> NeuralSimulator:
        wrong = facts.differences(checkpoint.facts)
        recipe = self._recipe.model_dump(mode="json")
        wrong += [f"the recipe's {key} differs" for key in recipe if recipe[key] != checkpoint.recipe.get(key)]
        if checkpoint.dataset_id != self._dataset_id:
            wrong.append(f"the dataset is {self._dataset_id} against {checkpoint.dataset_id}")
        if wrong:
            raise MismatchError(f"{checkpoint.path} cannot be resumed: {'; '.join(wrong)}.")
        cursor = dict(checkpoint.cursor)
        self._stage_index, self._total_steps = cursor.pop("stage"), cursor.pop("total_steps")
        self._stage_ends = cursor.pop("stage_ends")
        del cursor["finished"]
        self._cursor = StageCursor(**cursor)
        self._restored = checkpoints.load_training(checkpoint)
        return checkpoints.load_weights(checkpoint)


def _statistics(facts: SystemFacts, trajectories: Trajectories) -> Statistics:
    starts = trajectories.windows(1)
    starts = starts[:: max(1, len(starts) // Statistics.SAMPLE)]
    return Statistics.of(facts, trajectories.states[starts], trajectories.states[starts + 1])
