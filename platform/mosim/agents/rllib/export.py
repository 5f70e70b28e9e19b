"""The policy that an RLlib algorithm has learned so far, as a plain torch module."""

from typing import Any

import torch
from ray.rllib.algorithms.algorithm import Algorithm
from ray.rllib.core import DEFAULT_MODULE_ID
from ray.rllib.core.distribution.torch.torch_distribution import TorchDiagGaussian, TorchSquashedGaussian
from torch import nn

from mosim.agents.moments import CLIP, SMALL
from mosim.agents.policy import Policy, PolicyFacts, ValueFacts, activation_of
from mosim.agents.rllib.observation_filter import observation_filter
from mosim.agents.rllib.recipe import RLlibRecipe
from mosim.core.errors import MosimError
from mosim.tasks import Task

_PARTS = ("weight", "bias")


def export_policy(algorithm: Algorithm, recipe: RLlibRecipe, task: Task) -> Policy:
    """Copies weights and observation filter out of an algorithm made of `recipe`, and its value function if it has one.

    Raises:
      MosimError: its actor is none of fully connected layers that gives a Gaussian.
    """
    module: Any = algorithm.get_module(DEFAULT_MODULE_ID)
    layers = _actor(module)
    linear, between = layers[::2], {activation_of(layer) for layer in layers[1::2]}
    distribution = module.get_inference_action_dist_cls()
    fits = all(isinstance(layer, nn.Linear) for layer in linear) and len(layers) % 2
    if not fits or len(between) != 1 or not issubclass(distribution, TorchDiagGaussian | TorchSquashedGaussian):
        raise MosimError(
            f"the policy of {recipe.algorithm} cannot be exported: its actor must consist of fully connected layers "
            "that all have the same activation (tanh, relu, elu or silu), and must output a Gaussian or a squashed "
            "Gaussian."
        )
    size, actions = task.observation_size, task.facts.nu
    facts: dict[str, Any] = {"activation": between.pop(), "squash": issubclass(distribution, TorchSquashedGaussian)}
    critic = _critic(algorithm)
    if critic:
        facts["value"] = ValueFacts(
            hidden=_hidden(critic), activation=activation_of(critic[1]) or "tanh", gamma=recipe.gamma
        )
    policy = Policy(
        PolicyFacts(
            task=task.name,
            observation_size=size,
            action_size=actions,
            hidden=_hidden(layers),
            clip=CLIP,
            action_repeat=recipe.action_repeat,
            **facts,
        )
    )
    seen = observation_filter(algorithm).seen
    state = {
        "mean": torch.as_tensor(seen.mean).expand(size).clone(),
        "deviation": torch.as_tensor(seen.deviation).expand(size) + SMALL,
        "lower": torch.tensor(task.facts.control_lower, dtype=torch.float32),
        "upper": torch.tensor(task.facts.control_upper, dtype=torch.float32),
    }
    for place, layer in enumerate(linear):
        for part in _PARTS:
            values = getattr(layer, part).detach().cpu().clone()
            # The head's second half, where it has one, is the noise.
            state[f"layers.{2 * place}.{part}"] = values[:actions] if layer is linear[-1] else values
    for place, layer in enumerate(critic[::2]):
        state |= {f"values.0.{2 * place}.{part}": getattr(layer, part).detach().cpu().clone() for part in _PARTS}
    policy.load_state_dict(state)
    return policy.eval().requires_grad_(False)


def _hidden(layers: list[Any]) -> tuple[int, ...]:
    """Widths of the hidden ones of fully connected layers with activations between them."""
    return tuple(layer.out_features for layer in layers[:-1:2])


def _critic(algorithm: Algorithm) -> list[Any]:
    """The layers of a value function of observations as RLlib's default modules have it; none of another one."""
    group: Any = algorithm.learner_group
    module: Any = next(iter(group.foreach_learner(lambda learner: learner.module[DEFAULT_MODULE_ID]))).get()
    try:
        layers = [*module.encoder.critic_encoder.net.mlp, *module.vf.net.mlp]
    except (AttributeError, TypeError):
        return []
    kinds = {type(layer) for layer in layers[1::2]}
    fits = len(layers) % 2 and len(kinds) == 1 and activation_of(layers[1])
    return layers if fits and all(isinstance(layer, nn.Linear) for layer in layers[::2]) else []


def _actor(module: Any) -> list[Any]:
    """The layers of an actor as RLlib's default modules have them; none of another one's."""
    encoder = getattr(module, "pi_encoder", None) or getattr(getattr(module, "encoder", None), "actor_encoder", None)
    try:
        return [*encoder.net.mlp, *module.pi.net.mlp]  # pyright: ignore[reportOptionalMemberAccess]
    except (AttributeError, TypeError):
        return []
