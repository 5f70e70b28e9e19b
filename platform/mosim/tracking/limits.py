"""What MLflow accepts, and what a user reads: names of some characters, texts of some length."""

import re
from collections.abc import Mapping
from typing import Any

from rich.text import Text

MAX_NAME_LENGTH = 250
MAX_PARAMETER_LENGTH = 6000
MAX_TAG_LENGTH = 8000
MAX_DESCRIPTION_LENGTH = 5000
MAX_REASON_LENGTH = 200
MAX_METRICS_PER_CALL = 1000
MAX_PARAMETERS_PER_CALL = 100

_CUT_MARK = "..."
_FOREIGN = r"[^\w.\- :/]+"


def fitting_name(name: str) -> str:
    """A name that MLflow accepts: `mse/root[3]` becomes `mse/root_3`."""
    return re.sub(_FOREIGN, "_", re.sub(f"{_FOREIGN}$", "", name, flags=re.ASCII), flags=re.ASCII)[:MAX_NAME_LENGTH]


def fitting_model_name(name: str) -> str:
    """A name that MLflow's model registry accepts: as `fitting_name`, and without `/` and `:`."""
    return re.sub("[/:]", "-", fitting_name(name))


def shortened(text: str, length: int) -> str:
    """The text, cut to `length` characters, with a mark where it was cut."""
    return text if len(text) <= length else text[: length - len(_CUT_MARK)] + _CUT_MARK


def plain(text: str) -> str:
    """The text without a terminal's colours, which the traces in Ray's errors have."""
    return Text.from_ansi(text).plain


def reason(error: BaseException) -> str:
    """What is at the bottom of an error, in a short line without colours: `[Errno 111] Connection refused`."""
    while deeper := error.__cause__ or error.__context__:
        error = deeper
    return shortened(plain(str(error)).strip().partition("\n")[0] or type(error).__name__, MAX_REASON_LENGTH)


def flattened(values: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested mappings, and lists of mappings, as one of strings: `{"stages": [{"steps": 3}]}` is `stages.0.steps`."""
    flat: dict[str, str] = {}
    for key, value in values.items():
        name = f"{prefix}{key}"
        if isinstance(value, (list, tuple)) and any(isinstance(item, Mapping) for item in value):
            value = dict(enumerate(value))
        if isinstance(value, Mapping) and value:
            flat |= flattened(value, f"{name}.")
        else:
            flat[fitting_name(name)] = shortened(str(value), MAX_PARAMETER_LENGTH)
    return flat
