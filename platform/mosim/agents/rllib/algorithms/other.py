"""Any other algorithm that RLlib runs on its new API stack, by the name of its config class.

A recipe may come from somebody else's file, so that to read one never imports the module that it names; `check` and
`rllib_config` do.
"""

import importlib
import pkgutil
import re
from typing import Any, Self

from pydantic import Field, field_validator, model_validator

from mosim.agents.rllib.recipe import RLlibRecipe
from mosim.core.errors import MosimError

_RLLIB = "ray.rllib.algorithms."

_IN_A_MODULE = re.compile(r"(?:[^\W\d]\w*\.)*[^\W\d]\w*:[^\W\d]\w*")
"""`package.module:Class`."""


class OtherRecipe(RLlibRecipe):
    """Any other RLlib algorithm, by its config class; the settings are passed to the config's `training` method."""

    algorithm: str = Field(min_length=1, description=RLlibRecipe.model_fields["algorithm"].description)
    settings: dict[str, Any] = Field(
        default_factory=dict, description="Keyword arguments of the config's training method, such as lr 3e-4."
    )

    @field_validator("algorithm")
    @classmethod
    def _is_this_one(cls, value: str) -> str:
        if not _IN_A_MODULE.fullmatch(value):
            config_class(value)
        return value

    @model_validator(mode="after")
    def _settings_are_known(self) -> Self:
        if not self.names_module:
            self.rllib_config()
        return self

    def check(self) -> None:
        """See `PolicyRecipe`."""
        try:
            self.rllib_config()
        except ValueError as error:
            raise MosimError(f"algorithm {self.algorithm}: {error}.") from None

    def rllib_config(self) -> Any:
        """See `RLlibRecipe`."""
        config = config_class(self.algorithm)()
        try:
            config.training(**self.settings)
        except (TypeError, ValueError) as error:
            reason = " ".join(str(error).split())
            raise ValueError(f"settings do not fit {self.algorithm}: {reason}") from None
        # Networks of somebody else's, or described by the config itself, are left as they are.
        own = config.get_default_rl_module_spec().module_class.__module__.startswith(_RLLIB)
        return config.rl_module(model_config=self.model_config_of()) if own and not config._model_config else config


def config_class(name: str) -> Any:
    """The class that `name` stands for: RLlib's own by its bare name, another one as `package.module:Class`.

    Raises:
      ValueError: there is none; says what is allowed.
    """
    import ray.rllib.algorithms
    from ray.rllib.algorithms.algorithm_config import AlgorithmConfig

    own = {each.name for each in pkgutil.iter_modules(ray.rllib.algorithms.__path__) if each.ispkg}
    module, bare = "", name
    if _IN_A_MODULE.fullmatch(name):
        module, bare = name.split(":")
    elif (stem := name.removesuffix("Config").lower()) in own:
        module = _RLLIB + stem
    try:
        found = getattr(importlib.import_module(module), bare, None) if module else None
    except ImportError as error:
        raise ValueError(f"{name!r} cannot be imported: {error}") from None
    if not (isinstance(found, type) and issubclass(found, AlgorithmConfig)):
        raise ValueError(
            f"{name!r} is neither the name of an RLlib config class, such as MARWILConfig, nor a config class given "
            "as package.module:Class"
        )
    return found
