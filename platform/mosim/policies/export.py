"""The policy that an RLlib algorithm has learned so far, as a plain torch module."""

from typing import Any

import torch
from ray.rllib.algorithms.algorithm import Algorithm
from ray.rllib.core import DEFAULT_MODULE_ID

from mosim.policies.observation_filter import CLIP, SMALL, ObservationFilter
from mosim.policies.policy import Policy, PolicyFacts
from mosim.policies.recipe import PolicyRecipe
from mosim.systems import Task

_ENCODER = "encoder.actor_encoder.net.mlp."
_HEAD = "pi.net.mlp.0."


def export_policy(algorithm: Algorithm, recipe: PolicyRecipe, task: Task) -> Policy:
    """Copies weights and observation filter out of an algorithm made of `recipe`."""
    policy = Policy(
        PolicyFacts(
            task=task.name,
            observation_size=task.observation_size,
            action_size=task.facts.nu,
            hidden=recipe.hidden,
            clip=CLIP,
            action_repeat=recipe.action_repeat,
        )
    )
    module = algorithm.get_module(DEFAULT_MODULE_ID)
    assert module is not None  # noqa: S101 RLlib types it so; an algorithm has one.
    weights = module.get_state()
    seen = observation_filter(algorithm).seen
    size = task.observation_size
    state = {
        "mean": torch.as_tensor(seen.mean).expand(size).clone(),
        "deviation": torch.as_tensor(seen.deviation).expand(size) + SMALL,
        "lower": torch.tensor(task.facts.control_lower, dtype=torch.float32),
        "upper": torch.tensor(task.facts.control_upper, dtype=torch.float32),
    }
    for layer in range(len(recipe.hidden) + 1):
        is_head = layer == len(recipe.hidden)
        for part in ("weight", "bias"):
            values = torch.as_tensor(weights[_HEAD + part if is_head else f"{_ENCODER}{2 * layer}.{part}"])
            # The head's second half, where it has one, is the noise.
            state[f"layers.{2 * layer}.{part}"] = values[: task.facts.nu].clone() if is_head else values.clone()
    policy.load_state_dict(state)
    return policy.eval().requires_grad_(False)


def observation_filter(algorithm: Algorithm) -> ObservationFilter:
    """The filter in front of an algorithm's module, with all that its env runners have seen."""
    runner: Any = algorithm.env_runner
    pipeline: Any = algorithm.env_to_module_connector if runner is None else runner._env_to_module
    return next(piece for piece in pipeline.connectors if isinstance(piece, ObservationFilter))
