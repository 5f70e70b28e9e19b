"""One open-loop prediction beside the truth, step by step."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch

from mosim.core.threads import single_threaded
from mosim.data import Episode
from mosim.evaluation.horizon import predict, running_mean, squared_errors
from mosim.evaluation.report import MODEL_NAME, baselines
from mosim.models import DynamicsModel
from mosim.robots import System, SystemFacts, require_fit


@dataclass(frozen=True, repr=False)
class Comparison:
    """A prediction, the truth, and baselines, from the same start under the same actions.

    Attributes:
      facts: the system.
      truth: `(steps + 1, nq + nv)`.
      predicted: likewise, the start included; not finite where the prediction did not stay finite.
      context: of the episode, `(context_size,)`.
      errors: by model, `(steps,)`: the mean squared error at each step alone, in raw units squared; infinite where
        a prediction is not finite.
      knowledge: of the simulator, see `DynamicsModel`.
    """

    facts: SystemFacts
    truth: np.ndarray
    predicted: np.ndarray
    context: np.ndarray
    errors: Mapping[str, np.ndarray]
    knowledge: str = ""

    def __repr__(self) -> str:
        return f"Comparison(system={self.facts.name!r}, steps={self.steps}, mse={self.horizon_errors()[-1]:.3g})"

    @property
    def steps(self) -> int:
        """Physics steps predicted."""
        return len(self.truth) - 1

    def horizon_errors(self, model: str = MODEL_NAME) -> np.ndarray:
        """The horizon error of every H, over steps 1..H: `(steps,)`."""
        return running_mean(self.errors[model])


@single_threaded
@torch.no_grad()
def compare(model: DynamicsModel, system: System, episode: Episode, device: str = "cpu", seed: int = 0) -> Comparison:
    """Predicts an episode open loop from its first state, by a simulator and by the baselines.

    Args:
      model: the simulator.
      system: the true system.
      episode: the truth; its actions are what each model is given.
      device: where the model is.
      seed: of the chaos floor's perturbation.

    Raises:
      MismatchError: the model is of another system; says which fact differs.
    """
    require_fit(model.facts, system.facts, "the simulator")
    truth = torch.from_numpy(episode.states[None])
    predictions = {
        name: predict(contender, truth[:, :1].to(place), episode.actions[None]).cpu()
        for name, contender, place in (
            (MODEL_NAME, model, device),
            *((name, baseline, "cpu") for name, baseline in baselines(system, seed=seed).items()),
        )
    }
    motion = system.facts.layout.motion
    errors = {
        name: squared_errors(each, truth[:, 1:])[0, :, motion].mean(-1).numpy() for name, each in predictions.items()
    }
    predicted = np.concatenate([episode.states[:1], predictions[MODEL_NAME][0].numpy()])
    return Comparison(system.facts, episode.states, predicted, episode.context, errors, model.knowledge)
