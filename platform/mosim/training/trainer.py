"""The staged training of a neural simulator."""

import functools
import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor

from mosim.core.errors import DivergenceError, MosimError
from mosim.core.threads import single_threaded
from mosim.models import LearnedModel, Mean
from mosim.training import checkpoint as checkpoints
from mosim.training.compilation import Compiled
from mosim.training.data import TrainingData
from mosim.training.losses import mean_loss
from mosim.training.optimizers import OPTIMIZERS
from mosim.training.progress import TrainingProgress
from mosim.training.recipe import Recipe, StageConfig
from mosim.training.replicas import ALONE, Replicas
from mosim.training.report import Report
from mosim.training.run_folder import RunFolder
from mosim.training.stage import StageCursor, Stopwatch, learning_rate, progress, select_parts, stagnates
from mosim.training.validation import VALIDATION_HORIZON, VALIDATION_WINDOWS, Validation
from mosim.training.windows import WindowSampler

REPORT_STEPS = 100
"""Gradient steps between reports, and so the grain of checkpoints and of giving up."""

CHECKPOINT_SECONDS = 120.0
"""Wall clock between checkpoints within a stage."""

Loss = Callable[[LearnedModel, Tensor, Tensor, Mean], tuple[Tensor, Tensor]]
"""`LearnedModel.loss`, or a compiled form of it."""


def _loss(model: LearnedModel, states: Tensor, actions: Tensor, mean: Mean) -> tuple[Tensor, Tensor]:
    return model.loss(states, actions, mean)


def _mean_of(stage: StageConfig) -> Mean:
    return functools.partial(mean_loss, loss=stage.loss, huber_delta=stage.huber_delta)


class Trainer:
    """Trains a simulator stage by stage, with checkpoints from which it goes on exactly.

    On one of torch's threads, unless within `mosim.torch_threads`.

    Attributes:
      model: the simulator.
    """

    def __init__(
        self,
        *,
        system: str,
        recipe: Recipe,
        data: TrainingData,
        out: Path,
        device: str = "cpu",
        compile_steps: bool = False,
        resume: bool = False,
        start: Path | None = None,
        weights: Path | None = None,
        replicas: Replicas = ALONE,
    ) -> None:
        """Prepares a run in the folder `out`, or the going on of one.

        Args:
          system: what `mosim.tasks.load_system` takes.
          recipe: the model and the stages.
          data: trajectories of that system.
          out: folder of the run, whose `checkpoints` it writes.
          device: a torch device.
          compile_steps: has torch.compile make one-step stages faster, where it works; it takes about a minute a stage,
            which does not count as the stage's. Rollout stages are left as they are: their loops compile too slowly.
          resume: whether to go on with a run that `out` holds.
          start: a checkpoint of another run, where `out` holds none: it is gone on with under this recipe, as if the
            stages that it has behind it were this recipe's. Parts that these have not trained begin afresh.
          weights: a checkpoint whose weights training begins with, at the recipe's first stage; its data may be other
            ones. The scales of its networks stay, and the limits of its states become as wide as the data's.
          replicas: copies that train together, of which this is one; `out` is a folder that all of them see.

        Raises:
          MosimError: `out` holds a run already and `resume` is false, or there are more replicas than windows in a
            batch.
          MismatchError: `out` holds a run of another recipe or dataset, or a checkpoint to go on from or to begin with
            has another system, dataset or model; says what differs.
        """
        data = data.first(recipe.episodes)
        if small := [stage for stage in recipe.stages if stage.batch_size < replicas.count]:
            raise MosimError(
                f"stage {small[0].name!r} has batch_size {small[0].batch_size}, which is too small for "
                f"{replicas.count} workers."
            )
        self._recipe, self._data, self._replicas = recipe, data, replicas
        self._device, self._compile = torch.device(device), compile_steps
        self._loss: Loss = _loss
        self._optimizer: torch.optim.Optimizer | None = None
        self._run = RunFolder(out, system, recipe, data, weights=weights, resume=resume, writes=replicas.leads)
        torch.manual_seed(recipe.seed)
        begun = self._run.last or start
        if begun is None:
            self.model, self._progress = self._run.new_model(), TrainingProgress()
            self._restored: dict[str, Tensor] = {}
        else:
            self.model, self._progress, self._restored = self._run.restore(begun)
        rows = (*data.tensors(self._device), data.offsets)
        learned, watched = _shares(data.episodes, recipe.validation_fraction)
        self._training = WindowSampler(*rows, learned, recipe.seed, data.newest, recipe.newest_weight)
        self._validation = Validation(WindowSampler(*rows, watched, recipe.seed))
        if begun is None and weights is None:
            self.model.fit_scales(self._training)
        if self._restored:
            self._training.generator.set_state(self._restored["generator"])
        self.model.to(self._device)

    @property
    def finished(self) -> bool:
        """Whether every stage is done."""
        return self._progress.stage >= len(self._recipe.stages)

    @property
    def seconds(self) -> float:
        """Wall-clock seconds of gradient steps since training began, those before a resume included."""
        return self._progress.seconds

    @property
    def samples(self) -> int:
        """Physics steps of training data since training began, repetitions counted, those before a resume included."""
        if self.finished:
            return self._progress.stages_samples
        stage = self._recipe.stages[self._progress.stage]
        return self._progress.stages_samples + self._cursor.step * stage.batch_size * stage.horizon

    def run(self, on_report: Callable[[Report], None]) -> Path:
        """Trains what is left of the stages and returns the last checkpoint's path.

        Raises:
          DivergenceError: a loss is not finite; names system, stage, step and dimension.
        """
        for report in self.reports():
            on_report(report)
        return self._run.path(self._progress.name)

    def reports(self) -> Iterator[Report]:
        """Trains what is left of the stages, as far as it is asked to: up to the next report each time.

        Raises:
          DivergenceError: as `run`.
        """
        while not self.finished:
            yield from self._train_stage(self._recipe.stages[self._progress.stage])

    def save(self) -> Path:
        """Writes a checkpoint of where training stands, and returns its path."""
        self._save()
        return self._run.path(self._progress.name)

    def horizon_errors(self, horizons: Sequence[int]) -> dict[int, float]:
        """The horizon error, in raw units squared, on the episodes kept from training.

        Args:
          horizons: in physics steps, 1 or more; those longer than the episodes are measured as far as these go.
        """
        return self._validation.horizon_errors(self.model, horizons)

    @property
    def _cursor(self) -> StageCursor:
        """Where the stage stands."""
        return self._progress.cursor

    def _validation_error(self) -> float:
        return self.horizon_errors([VALIDATION_HORIZON])[VALIDATION_HORIZON]

    def _train_stage(self, stage: StageConfig) -> Iterator[Report]:
        learning = select_parts(self.model, self._recipe.stages, self._progress.stage)
        if not learning:
            note = f"stage {stage.name} is skipped: this system has no {' and no '.join(stage.learns)}."
            yield self._pass_over(stage, note)
            return
        if note := self._needless(stage):
            yield self._pass_over(stage, note)
            return
        if stage.solves:
            yield self._solve(stage)
            return
        self._optimizer = OPTIMIZERS[stage.optimizer](learning, stage.learning_rate)
        checkpoints.restore_optimizer(self._optimizer, self._restored)
        self._restored = {}
        self._loss = self._compile_loss(stage) if self._compile and stage.horizon == 1 else _loss
        if stage.undo and self._progress.stage_ends and self._cursor.validation is None:
            self._cursor.validation = self._validation.window_errors(self.model)
        watch, unsaved_seconds, cursor = Stopwatch(), 0.0, self._cursor
        report = self._report(stage, math.nan, 0.0)
        while report.progress < 1:
            first_step, first_call = cursor.step, self.model.nfe
            loss = self._train_until_report(stage, self._optimizer, learning, watch)
            predicted = (cursor.step - first_step) * stage.horizon
            calls = (self.model.nfe - first_call) / predicted
            report = self._report(stage, loss, predicted * stage.batch_size / cursor.seconds_of_report, calls)
            if stagnates(stage, cursor, loss) and report.progress < 1:
                note = f"its loss, {loss:.3g}, no longer falls"
                report = report._replace(note=f"stage {stage.name} ends early at {report.progress:.0%}: {note}.")
                break
            unsaved_seconds += cursor.seconds_of_report
            if report.progress < 1:  # The stage's last report, below, has the validation too.
                yield report
                if unsaved_seconds > CHECKPOINT_SECONDS:
                    self._save()
                    unsaved_seconds = 0.0
            watch.lap()  # What reports and checkpoints cost is not the stage's time.
        yield self._end_stage(report)

    def _needless(self, stage: StageConfig) -> str:
        """Why a stage that has not begun is skipped, where the simulator is exact enough without it."""
        if stage.skip_below is None or not self._progress.stage_ends or self._cursor.step:
            return ""
        error, unchanged = self._validation_error(), self._validation.persistence_error(self.model)
        if not error < stage.skip_below * unchanged:
            return ""
        return (
            f"stage {stage.name} is skipped: the horizon error at {VALIDATION_HORIZON}, {error:.3g}, is below "
            f"{stage.skip_below:g} of that of persistence."
        )

    def _pass_over(self, stage: StageConfig, note: str) -> Report:
        """Ends a stage in which nothing is trained."""
        self._restored = {}
        return self._end_stage(self._report(stage, math.nan, 0.0)._replace(note=note))

    @single_threaded
    def _solve(self, stage: StageConfig) -> Report:
        """Trains a stage that takes no gradient steps."""
        watch = Stopwatch()
        self._restored = {}
        found = self.model.solve(stage.learns, self._training, self._validation_error)
        self._cursor.seconds = watch.lap()
        states, actions = self._training.spread(VALIDATION_WINDOWS, self._window(stage))
        with torch.no_grad():
            loss = self.model.loss(states, actions, _mean_of(stage))[0].item()
        return self._end_stage(self._report(stage, loss, 0.0)._replace(found=found))

    def _end_stage(self, report: Report) -> Report:
        before, after = self._cursor.validation, self._validation.window_errors(self.model)
        if before is not None and not after.both <= before.both:
            self.model.load_state_dict(self._run.weights(self._progress.stage_ends[-1]).state_dict())
            change = (
                f"the horizon error at {VALIDATION_HORIZON} was {before.mean:.3g} before this stage and "
                f"{after.mean:.3g} after it, its median over starts {before.median:.3g} and {after.median:.3g}"
            )
            report = report._replace(note=f"stage {report.name} is undone: {change}.")
            after = before
        self._progress.end_stage(self.samples)
        self._optimizer = None
        self._save()
        return report._replace(
            progress=1.0, validation=after.mean, persistence=self._validation.persistence_error(self.model)
        )

    @single_threaded
    def _train_until_report(
        self, stage: StageConfig, optimizer: torch.optim.Optimizer, learning: list, watch: Stopwatch
    ) -> float:
        """Trains up to `REPORT_STEPS` steps; returns their mean loss."""
        total, steps, before = 0.0, 0, self._cursor.seconds
        while steps < REPORT_STEPS and progress(stage, self._cursor) < 1:
            loss, seconds = self._train_step(stage, optimizer, learning, watch)
            total += loss
            steps += 1
            self._cursor.step += 1
            self._cursor.seconds += seconds
        self._progress.total_steps += steps
        self._cursor.seconds_of_report = self._cursor.seconds - before
        return total / steps

    def _report(
        self, stage: StageConfig, loss: float, samples_per_second: float, calls_per_step: float = 0.0
    ) -> Report:
        return Report(
            stage=self._progress.stage,
            stages=len(self._recipe.stages),
            name=stage.name,
            step=self._progress.total_steps,
            progress=progress(stage, self._cursor),
            loss=loss,
            samples_per_second=samples_per_second,
            learning_rate=learning_rate(stage, self._cursor),
            calls_per_step=calls_per_step,
            samples=self.samples,
            seconds=self.seconds,
        )

    def _train_step(
        self, stage: StageConfig, optimizer: torch.optim.Optimizer, learning: list, watch: Stopwatch
    ) -> tuple[float, float]:
        """One gradient step; returns its loss and its seconds."""
        rate = learning_rate(stage, self._cursor)
        for group in optimizer.param_groups:
            group["lr"] = rate
        part = self._replicas.part(stage.batch_size)
        # Models that draw random numbers draw the same ones in a training that is resumed.
        torch.manual_seed(hash((self._recipe.seed, self._progress.stage, self._cursor.step)))
        states, actions = self._training.draw(stage.batch_size, self._window(stage), part)
        loss, errors = self._loss(self.model, states, actions, _mean_of(stage))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        share = (part.stop - part.start) / stage.batch_size
        # Only now is the loss looked at, when all replicas know that of the whole batch, and give up together.
        value, seconds = self._replicas.combine(learning, share, loss.item(), watch.lap())
        norm = torch.nn.utils.clip_grad_norm_(learning, stage.gradient_clip)
        if not (value < float("inf") and torch.isfinite(norm)):
            raise DivergenceError(self._divergence(stage, errors))
        optimizer.step()
        return value, seconds

    @single_threaded
    def _compile_loss(self, stage: StageConfig) -> Loss:
        """The loss of a stage's batches, compiled, and called once so that the compiler's time is not the stage's."""
        compiled = Compiled(_loss)
        states, actions = self._training.spread(stage.batch_size, self._window(stage))
        part = self._replicas.part(stage.batch_size)
        compiled(self.model, states[part], actions[part], _mean_of(stage))[0].backward()
        self.model.zero_grad(set_to_none=True)
        return compiled

    def _window(self, stage: StageConfig) -> int:
        """Physics steps of a window: those that are predicted, and those between the states that are known."""
        return stage.horizon + self.model.history - 1

    def _divergence(self, stage: StageConfig, errors: Tensor) -> str:
        """Which step and dimension went first: the first that is not finite, else the one with the largest error."""
        facts = self.model.facts
        names = [f"qpos displacement {index}" for index in range(facts.nv)] + list(facts.state_names[facts.layout.qvel])
        broken = ~torch.isfinite(errors).all(dim=0)
        step, dimension = (
            map(int, broken.nonzero()[0]) if broken.any() else (0, int(errors.abs().amax((0, 1)).argmax()))
        )
        where = f"{facts.name} diverged in stage {stage.name!r} at gradient step {self._cursor.step}"
        return (
            f"training of {where}: the loss or its gradient is not finite, first in {names[dimension]} at rollout "
            f"step {step + 1} of {stage.horizon}. Lower the stage's learning_rate, gradient_clip or horizon; earlier "
            "checkpoints are intact."
        )

    def _save(self) -> None:
        """Writes a checkpoint. Between stages it has no optimiser: each begins its own."""
        moments = self._restored if self._optimizer is None else checkpoints.optimizer_tensors(self._optimizer)
        training = moments | {"generator": self._training.generator.get_state()}
        self._run.save(self.model, training, self._progress, self.finished)


def _shares(episodes: int, validation_fraction: float) -> tuple[range, range]:
    """The episodes to train on, and those kept for validation: at least one each, and a single one for both."""
    kept = min(max(1, round(validation_fraction * episodes)), max(1, episodes - 1))
    return range(max(1, episodes - kept)), range(episodes - kept, episodes)
