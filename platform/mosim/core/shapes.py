"""The shapes that tensors have, by name: what annotations say, and what jaxtyping checks while tests run.

`*batch` is any number of leading dimensions, the same for all arguments of a call.
"""

from jaxtyping import Float
from torch import Tensor

State = Float[Tensor, "*batch state"]
"""`[qpos, qvel, act]`, raw, in SI units."""

States = Float[Tensor, "*batch horizon state"]
"""States after each of `horizon` physics steps."""

Action = Float[Tensor, "*batch nu"]
"""`ctrl`, in actuator units."""

Actions = Float[Tensor, "*batch horizon nu"]
"""One action a physics step."""

Motion = Float[Tensor, "*batch motion"]
"""`[qpos, qvel]`: a state without its activations."""

Controls = Float[Tensor, "*batch controls"]
"""`ctrl`, with the activations after it."""

History = Float[Tensor, "*batch known state"]
"""States that are known when a prediction begins, the last of them last."""

HistoryActions = Float[Tensor, "*batch between nu"]
"""The actions between them, one fewer."""

Qpos = Float[Tensor, "*batch nq"]
"""Positions, with unit quaternions."""

Qvel = Float[Tensor, "*batch nv"]
"""Velocities, and whatever else has an entry a degree of freedom."""

InverseInertia = Float[Tensor, "*batch nv nv"]
"""`M(q)`."""

Seen = Float[Tensor, "*batch seen"]
"""A state, or a state and an action, as networks see them."""

Window = Float[Tensor, "batch states state"]
"""True states of a batch of windows: `horizon + 1` of them, the start included."""

WindowActions = Float[Tensor, "batch between nu"]
"""The actions between a window's states."""

Errors = Float[Tensor, "batch horizon errors"]
"""Position errors in the tangent space, then velocity errors: `2 nv` of them."""
