"""How actions are chosen while trajectories are collected."""

from collections.abc import Callable
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from mosim.core.errors import MosimError
from mosim.core.frozen import Frozen
from mosim.core.named_classes import load_name
from mosim.robots import SystemFacts

Policy = Callable[[np.ndarray], np.ndarray]
"""From a flat observation `(observation_size,)`, float64, to an action `(nu,)` in actuator units.

One that has an attribute `action_repeat` acts once in so many control steps, and its action is held meanwhile.
"""


Doubt = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""From a state `(state_size,)` and actions `(n, nu)` to how uncertain a simulator is of what follows each, `(n,)`."""


class PoissonBehaviour(Frozen):
    """Random actions, uniform in the control range, each held for a random number of physics steps."""

    kind: Literal["poisson"] = "poisson"
    mean_hold: float = Field(
        default=5.0,
        ge=1,
        description="Mean number of physics steps for which an action is held; the number is geometrically "
        "distributed.",
    )
    zero_probability: float = Field(default=0.1, ge=0, le=1, description="Fraction of the drawn actions that are zero.")


class PolicyBehaviour(Frozen):
    """A policy that acts on the task's own observation, once a control step or in as many as its `action_repeat`."""

    kind: Literal["policy"] = "policy"
    policy: str = Field(description="A Python callable as module:function, or the folder of a trained policy.")
    noise: float = Field(
        default=0.0,
        ge=0,
        description="Standard deviation of the noise added to actions, as a fraction of half the control range.",
    )
    simulator: str | None = Field(
        default=None,
        description="A simulator that has an uncertainty. Of `candidates` actions with noise, the one is taken whose "
        "outcome is the most uncertain in it. If omitted: the first.",
    )
    candidates: int = Field(default=16, ge=2, description="Actions with noise that the simulator compares.")


class ImportedBehaviour(Frozen):
    """Whatever chose the actions of trajectories that came from elsewhere."""

    kind: Literal["imported"] = "imported"
    file: str = Field(description="Name of the file that the trajectories came from.")
    sha256: str = Field(description="Checksum of that file.")
    log_map: str | None = Field(default=None, description="Name of the map, if the file is a log; else none.")
    log_map_sha256: str | None = Field(default=None, description="Checksum of the map.")


Behaviour = Annotated[PoissonBehaviour | PolicyBehaviour | ImportedBehaviour, Field(discriminator="kind")]


def poisson_actions(
    behaviour: PoissonBehaviour, facts: SystemFacts, steps: int, seed: np.random.SeedSequence
) -> np.ndarray:
    """Draws an episode's actions, of shape `(steps, nu)`; those of a shorter episode are a prefix of a longer one's.

    Where zero lies outside an actuator's range, the value nearest to it stands for zero.
    """
    holds_random, zeros_random, values_random = (np.random.default_rng(child) for child in seed.spawn(3))
    lower, upper = np.array(facts.control_lower), np.array(facts.control_upper)
    holds = holds_random.geometric(1 / behaviour.mean_hold, steps)
    drawn = int(np.searchsorted(np.cumsum(holds), steps)) + 1
    values = values_random.uniform(lower, upper, (drawn, facts.nu))
    values[zeros_random.random(drawn) < behaviour.zero_probability] = np.clip(0.0, lower, upper)
    return np.repeat(values, holds[:drawn], axis=0)[:steps]


def action_repeat_of(policy: Policy) -> int:
    """Control steps that each action of a policy is held.

    Raises:
      MosimError: its attribute `action_repeat` is no whole number of 1 or more.
    """
    repeat = getattr(policy, "action_repeat", 1)
    if isinstance(repeat, bool) or not isinstance(repeat, int) or repeat < 1:
        raise MosimError(f"the policy's action_repeat is {repeat!r}; it must be a whole number of 1 or more.")
    return repeat


def resolve_policy(reference: str) -> Policy:
    """Imports a policy given as `module:function`; modules of the working folder count too.

    Raises:
      MosimError: the reference is not of that form, the module does not import, or the name is not a callable in it.
    """
    function: Policy = load_name(reference, "a policy: a function of an observation")
    if not callable(function):
        raise MosimError(f"{reference!r} must be a policy: a function of an observation.")
    return function
