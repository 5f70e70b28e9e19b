"""A trained policy by itself: a plain torch module in a folder, without RLlib or Ray."""

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from pydantic import ValidationError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from mosim.core.arguments import Device, Location, checked
from mosim.core.errors import DamagedFileError, MosimError
from mosim.core.files import atomic_folder, read_json, write_json
from mosim.core.frozen import Frozen
from mosim.core.state_folder import verify_checksums, write_checksums
from mosim.core.threads import single_threaded

WEIGHTS_FILE = "policy.safetensors"
FACTS_FILE = "policy.json"


Activation = Literal["tanh", "relu", "elu", "silu"]

_ACTIVATIONS: dict[Activation, type[nn.Module]] = {
    "tanh": nn.Tanh,
    "relu": nn.ReLU,
    "elu": nn.ELU,
    "silu": nn.SiLU,
}


class ValueFacts(Frozen):
    """What the value function of a policy is, beside its weights.

    Attributes:
      networks: how many there are; the least of their values counts.
      hidden, activation, layer_norm: as of `PolicyFacts`.
      gamma: discount of the rewards per action.
      scale: of the networks' outputs, in rewards of the task.
    """

    networks: int = 1
    hidden: tuple[int, ...]
    activation: Activation = "tanh"
    layer_norm: bool = False
    gamma: float
    scale: float = 1.0


class PolicyFacts(Frozen):
    """What a policy is, beside its weights.

    Attributes:
      task: the task it was trained for.
      observation_size, action_size: widths.
      hidden: widths of the hidden layers.
      activation: after each hidden layer.
      squash: whether the last layer is followed by a tanh.
      layer_norm: whether each hidden layer's output is normalised before its activation.
      clip: largest magnitude of a filtered observation.
      action_repeat: control steps that each of its actions is to be held.
      value: what its value function is; None where it has none.
    """

    kind: Literal["gaussian-mlp"] = "gaussian-mlp"
    task: str
    observation_size: int
    action_size: int
    hidden: tuple[int, ...]
    clip: float
    action_repeat: int
    activation: Activation = "tanh"
    squash: bool = False
    layer_norm: bool = False
    value: ValueFacts | None = None


class Policy(nn.Module):
    """Observation filter, fully connected layers, and actions brought from [-1, 1] to the control range and clipped.

    Attributes:
      facts: what it is.
      values: the networks of its value function; none where it has none.
    """

    mean: Tensor
    deviation: Tensor
    lower: Tensor
    upper: Tensor

    def __init__(self, facts: PolicyFacts) -> None:
        super().__init__()
        self.facts = facts
        size, value = facts.observation_size, facts.value
        self.layers = fully_connected(size, facts.hidden, facts.action_size, facts.activation, facts.layer_norm)
        self.values = nn.ModuleList(
            fully_connected(size, value.hidden, 1, value.activation, value.layer_norm)
            for value in ([] if value is None else [value] * value.networks)
        )
        for name in ("mean", "deviation"):
            self.register_buffer(name, torch.ones(facts.observation_size, dtype=torch.float64))
        for name in ("lower", "upper"):
            self.register_buffer(name, torch.ones(facts.action_size))

    @single_threaded
    def forward(self, observation: Tensor) -> Tensor:
        """The most likely action: `(..., observation_size)` to `(..., action_size)`, float32, in actuator units."""
        return self.control(self.center(observation))

    def filtered(self, observation: Tensor) -> Tensor:
        """Observations as the layers take them: of their type, at most `facts.clip` in magnitude."""
        return ((observation - self.mean) / self.deviation).clamp(-self.facts.clip, self.facts.clip).to(self.lower)

    def center(self, observation: Tensor) -> Tensor:
        """What the last layer gives, `(..., action_size)`: the most likely action before `control`."""
        return self.layers(self.filtered(observation))

    def value(self, observation: Tensor) -> Tensor:
        """The discounted reward that is expected from here on, `(...,)`, in rewards of the task.

        Raises:
          MosimError: the policy has no value function.
        """
        if self.facts.value is None:
            raise MosimError(f"this policy for {self.facts.task} has no value function.")
        filtered = self.filtered(observation)
        values = torch.stack([network(filtered).squeeze(-1) for network in self.values])
        return self.facts.value.scale * values.amin(dim=0)

    def control(self, outputs: Tensor) -> Tensor:
        """Outputs of the last layer, with or without noise, in actuator units: squashed, or clipped to the range."""
        action = outputs.tanh() if self.facts.squash else outputs
        control = self.lower + (action + 1.0) * (self.upper - self.lower) / 2.0
        return control.clamp(self.lower, self.upper)

    @torch.no_grad()
    def act(self, observation: np.ndarray) -> np.ndarray:
        """As `forward`, for arrays."""
        return self(torch.as_tensor(np.asarray(observation), device=self.mean.device)).cpu().numpy()


def save_policy(policy: Policy, path: Path) -> None:
    """Writes a policy to the folder `path`, which must not exist; whole or not at all."""
    with atomic_folder(path) as aside:
        weights = {name: tensor.contiguous() for name, tensor in policy.state_dict().items()}
        save_file(weights, aside / WEIGHTS_FILE)
        write_json(aside / FACTS_FILE, policy.facts.model_dump(mode="json"))
        write_checksums(aside, WEIGHTS_FILE, FACTS_FILE)


@checked
def load_policy(path: Location, device: Device = "cpu") -> Policy:
    """Reads a policy; needs neither RLlib nor Ray, and unpickles nothing.

    Raises:
      MosimError: there is no policy in that folder, or no such device.
      DamagedFileError: a file is not what was written.
    """
    folder = Path(path)
    verify_checksums(folder, WEIGHTS_FILE, FACTS_FILE)
    try:
        facts = PolicyFacts.model_validate(read_json(folder / FACTS_FILE))
        policy = Policy(facts)
        policy.load_state_dict(load_file(folder / WEIGHTS_FILE))
    except (ValidationError, RuntimeError) as error:
        raise DamagedFileError(
            f"{folder} has no policy that this version of mosim can load: {_first_line(error)}"
        ) from None
    return policy.to(device).eval().requires_grad_(False)


def fully_connected(
    inputs: int, hidden: Sequence[int], outputs: int, activation: Activation, layer_norm: bool
) -> nn.Sequential:
    """Fully connected layers, the hidden ones with an activation, and normalised before it where asked for."""
    layers: list[nn.Module] = []
    for narrow, wide in itertools.pairwise((inputs, *hidden)):
        layers += [nn.Linear(narrow, wide), *([nn.LayerNorm(wide)] * layer_norm), _ACTIVATIONS[activation]()]
    return nn.Sequential(*layers, nn.Linear(hidden[-1] if hidden else inputs, outputs))


def activation_of(layer: nn.Module) -> Activation | None:
    """The name of a layer that is one of the activations of a `Policy`; else None."""
    return next((name for name, kind in _ACTIVATIONS.items() if type(layer) is kind), None)


def _first_line(error: Any) -> str:
    return str(error).splitlines()[0]
