"""Neural motion simulators: learn a robot's dynamics, train policies inside them, evaluate them in the true task.

`mosim.load(path)` reads a simulator, `mosim.load_policy(path)` a policy; `gymnasium.make("MoSim/<task>-v0",
checkpoint=path)` makes an environment. All of them compute on one of torch's threads, unless within `with
mosim.torch_threads(n):`. Importing this package registers the environments, and loads neither torch nor Ray.
"""

from typing import TYPE_CHECKING, Any

from mosim.registration import register_environments as _register_environments

if TYPE_CHECKING:
    from mosim.agents import load_policy
    from mosim.core.threads import torch_threads
    from mosim.training import load_simulator as load

__all__ = ["__version__", "load", "load_policy", "torch_threads"]

__version__ = "0.1.0"

_register_environments()


def __getattr__(name: str) -> Any:
    if name == "load":
        from mosim.training import load_simulator

        return load_simulator
    if name == "load_policy":
        from mosim.agents import load_policy

        return load_policy
    if name == "torch_threads":
        from mosim.core.threads import torch_threads

        return torch_threads
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
