"""The folder of a training run: its identity, and its checkpoints."""

from pathlib import Path

from torch import Tensor

from mosim.core.errors import MismatchError, MosimError
from mosim.core.run_identity import RUN_FILE, check_identity, keep_identity
from mosim.models import LearnedModel
from mosim.training import checkpoint as checkpoints
from mosim.training.data import TrainingData
from mosim.training.progress import TrainingProgress
from mosim.training.recipe import Recipe, run_identity

_KEPT_CHECKPOINTS = 2
"""The newest ones; those at the ends of stages are kept beside them."""


class RunFolder:
    """Keeps the checkpoints of one training, each of which it can go on from.

    Attributes:
      last: the newest checkpoint that the folder had at first; None where a new training begins.
    """

    def __init__(
        self,
        out: Path,
        system: str,
        recipe: Recipe,
        data: TrainingData,
        *,
        weights: Path | None,
        resume: bool,
        writes: bool,
    ) -> None:
        """Opens the folder `out`, which need not exist; nothing is written before the first checkpoint.

        Args:
          out: the folder of the run.
          system: what `mosim.tasks.load_system` takes.
          recipe: of the training.
          data: likewise.
          weights: a checkpoint whose weights are the first ones; None where the recipe's seed gives them.
          resume: whether it may hold this very run already.
          writes: whether this process is the one that writes.

        Raises:
          MosimError: it holds a run and `resume` is false, or checkpoints of an unknown run.
          MismatchError: it holds another run; says what differs.
        """
        self._out, self._folder, self._writes = out, out / "checkpoints", writes
        self._system, self._recipe, self._data = system, recipe, data
        self._first = None if weights is None else checkpoints.read_checkpoint(weights)
        self._identity = run_identity(recipe, data.dataset_id, self._first and self._first.id)
        self._identified = writes and check_identity(out, self._identity, resume=resume)
        existing = sorted(self._folder.glob("step-*"))
        if existing and writes and not self._identified:
            raise MosimError(
                f"{out} has checkpoints of an unknown run, since it has no {RUN_FILE}; give another folder."
            )
        self.last = existing[-1] if existing else None

    def path(self, name: str) -> Path:
        """Of a checkpoint by its name."""
        return self._folder / name

    def save(
        self, model: LearnedModel, training: dict[str, Tensor], progress: TrainingProgress, finished: bool
    ) -> None:
        """Writes a checkpoint, unless another process is the one that writes.

        Args:
          model: the simulator.
          training: optimiser and random state, by name.
          progress: how far the training is.
          finished: whether that is its end.
        """
        if not self._writes:
            return
        if not self._identified:  # Only now: a run without a checkpoint leaves nothing that blocks another one.
            keep_identity(self._out, self._identity)
            self._identified = True
        checkpoints.save_checkpoint(
            self._folder,
            progress.name,
            model,
            training,
            system=self._system,
            recipe=self._recipe.model_dump(mode="json"),
            dataset_id=self._data.dataset_id,
            cursor=progress.as_json(finished),
        )
        checkpoints.keep_last(self._folder, _KEPT_CHECKPOINTS, always=set(progress.stage_ends))

    def new_model(self) -> LearnedModel:
        """The simulator that a new training begins with.

        Raises:
          MismatchError: the weights to begin with are of another system or model.
        """
        if self._first is None:
            return self._recipe.model.build(self._data.facts, self._data.statistics)
        if wrong := self._data.facts.differences(self._first.facts):
            raise MismatchError(f"training cannot begin with the weights of {self._first.path}: {'; '.join(wrong)}.")
        return checkpoints.load_weights(self._first, self._recipe.model, data=self._data.statistics)

    def weights(self, name: str) -> LearnedModel:
        """The simulator of a checkpoint of this run."""
        return checkpoints.load_weights(checkpoints.read_checkpoint(self.path(name)))

    def restore(self, path: Path) -> tuple[LearnedModel, TrainingProgress, dict[str, Tensor]]:
        """Reads a checkpoint to go on from: this run's last one, or one of another run.

        Of another run, parts that no stage has trained yet begin as this run's recipe and seed have them.

        Returns:
          The model, how far its training is, and the optimiser and random state.

        Raises:
          MismatchError: it is of another system, dataset or model.
        """
        checkpoint = checkpoints.read_checkpoint(path)
        wrong = self._data.facts.differences(checkpoint.facts)
        if checkpoint.dataset_id != self._data.dataset_id:
            wrong.append(f"the dataset is {self._data.dataset_id} instead of {checkpoint.dataset_id}")
        if wrong:
            raise MismatchError(f"{checkpoint.path} cannot be resumed: {'; '.join(wrong)}.")
        progress = TrainingProgress.of_json(checkpoint.cursor)
        training = checkpoints.load_training(checkpoint)
        if path == self.last:
            return checkpoints.load_weights(checkpoint), progress, training
        progress.stage_ends = []
        behind = self._recipe.stages[: progress.stage + (progress.cursor.step > 0)]
        trained = {part for stage in behind for part in stage.learns}
        return checkpoints.load_weights(checkpoint, self._recipe.model, trained), progress, training
