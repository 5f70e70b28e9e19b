"""Collecting with a progress bar; shared by `mosim collect` and `mosim run`."""

import time
from pathlib import Path

import numpy as np
import torch

from mosim.agents import load_policy
from mosim.core.console import progress_bar
from mosim.core.errors import MosimError
from mosim.data import Behaviour, Dataset, Policy, collect, resolve_policy
from mosim.training import load_simulator


def collect_trajectories(
    *,
    source: str,
    out: str | Path,
    episodes: int,
    steps: int,
    behaviour: Behaviour,
    workers: int,
    seed: int,
    label: str,
) -> tuple[Dataset, "EpisodeClock"]:
    """Collects a dataset, or what is missing of it; arguments are those of `mosim.data.collect`."""
    clock = EpisodeClock()
    with progress_bar() as progress:
        bar = progress.add_task(label, total=episodes, status="starting")

        def on_progress(done: int, total: int) -> None:
            clock.note(done)
            rate = clock.rate * steps
            progress.update(bar, completed=done, total=total, status=f"{rate:,.0f} physics steps/s" if rate else "")

        dataset = collect(
            source,
            out,
            episodes,
            steps,
            behaviour=behaviour,
            workers=workers,
            seed=seed,
            load_policy=load_any_policy,
            load_doubt=SimulatorDoubt,
            on_progress=on_progress,
        )
        progress.update(bar, completed=episodes)
    return dataset, clock


def load_any_policy(reference: str) -> Policy:
    """Resolves a policy: the folder of one that `mosim zero-shot` wrote, or `module:function`.

    Raises:
      MosimError: it is neither, or does not load, or it is a checkpoint of RLlib's own, which loads by running code.
    """
    folder = Path(reference)
    if not folder.is_dir():
        return resolve_policy(reference)
    if (folder / "rllib_checkpoint.json").exists() or list(folder.glob("*.pkl")):
        raise MosimError(
            f"{folder} is an RLlib checkpoint, which is pickled, so loading it could run any code. If you trust it, "
            "load it in your own function and give that as module:function."
        )
    return TrainedPolicy(folder)


class TrainedPolicy:
    """A policy that mosim trained, as `mosim.data.collect` takes it.

    Attributes:
      action_repeat: control steps that it was trained to hold an action.
    """

    def __init__(self, folder: Path) -> None:
        policy = load_policy(folder)
        self._act, self.action_repeat = policy.act, policy.facts.action_repeat

    def __call__(self, observation: np.ndarray) -> np.ndarray:
        """The action, `(nu,)`, in actuator units."""
        return self._act(observation)


class SimulatorDoubt:
    """How uncertain a simulator is of what follows an action, as `mosim.data.collect` takes it."""

    def __init__(self, path: str, held: int) -> None:
        """Loads it.

        Args:
          path: of a checkpoint or a training run.
          held: physics steps for which an action is held.

        Raises:
          MosimError: it does not load, or has no uncertainty.
        """
        self._model, self._held = load_simulator(path), held
        if not self._model.config.has_uncertainty:
            raise MosimError(f"the simulator in {path} has no uncertainty; train an ensemble.")

    @torch.no_grad()
    def __call__(self, state: np.ndarray, actions: np.ndarray) -> np.ndarray:
        """The uncertainty after each action from the same state, `(n,)`."""
        model = self._model
        states = torch.from_numpy(state).to(model.like).expand(len(actions), 1, -1)
        controls = torch.from_numpy(actions).to(model.like).unsqueeze(1)
        carry, _ = model.advance(model.init(states, controls[:, :0]), controls.expand(-1, self._held, -1))
        uncertainty = model.uncertainty(carry)
        assert uncertainty is not None  # noqa: S101 As the config says.
        return uncertainty.double().numpy()


class EpisodeClock:
    """Episodes a second, from when the first of them came, so without the start of Ray."""

    def __init__(self) -> None:
        self._notes: list[tuple[int, float]] = []

    def note(self, done: int) -> None:
        """Takes down how many episodes there are now."""
        self._notes.append((done, time.perf_counter()))

    @property
    def episodes(self) -> int:
        """Episodes collected since the start."""
        return self._notes[-1][0] - self._notes[0][0] if self._notes else 0

    @property
    def rate(self) -> float:
        """Episodes a second; 0 where there is nothing to divide."""
        if len(self._notes) < 3:
            return 0.0
        (first, started), (last, ended) = self._notes[1], self._notes[-1]
        return (last - first) / max(ended - started, 1e-9)
