"""What MLflow accepts, and what a user reads: names of some characters, texts of some length."""

import hashlib
import re
from collections.abc import Mapping
from typing import Any

from mosim.core.console import plain

MAX_NAME_LENGTH = 250
MAX_PARAMETER_LENGTH = 6000
MAX_TAG_LENGTH = 8000
MAX_DESCRIPTION_LENGTH = 5000
MAX_REASON_LENGTH = 200
MAX_METRICS_PER_CALL = 1000
MAX_PARAMETERS_PER_CALL = 100

_CUT_MARK = "..."
_DIGEST_LENGTH = 8

_FOREIGN = re.compile(r"[^\w.\- /]")
"""What MLflow refuses in names, and the colon, which marks what stands for it."""

_INDEX = re.compile(r"\[([0-9]+)\]\Z")

_NOT_IN_KEYS = re.compile(r"[%/'\"`\\\x00-\x1f\x7f\ud800-\udfff]")
_NOT_IN_MODEL_NAMES = re.compile(r"[%/:?#'\"`\\\x00-\x1f\x7f\ud800-\udfff]")


def fitting_name(name: str) -> str:
    """A name of a metric, parameter or tag that MLflow accepts; other names stay other names.

    Letters of any script stay. An index at the end is marked by a colon, and any other character that MLflow refuses
    is given by its code point: `mse/root[3]` becomes `mse/root:3`, and `a?` becomes `a:3f:`.
    """
    index = _INDEX.search(name)
    stem = name[: index.start()] if index else name
    fitting = _FOREIGN.sub(lambda found: f":{ord(found[0]):x}:", stem) + (f":{index[1]}" if index else "")
    return _cut(fitting, name)


def fitting_model_name(name: str) -> str:
    """A name that MLflow's model registry, its URIs and its searches take; what they do not is percent-encoded."""
    return _cut(_percent_encoded(_NOT_IN_MODEL_NAMES, name), name)


def run_key(name: str, parent: str | None) -> str:
    """What tells a run from the others of its folder: its name after its parent's key, `run/train`.

    The text stays as it is but for what would end a name or a search's string, which is percent-encoded.
    """
    own = _percent_encoded(_NOT_IN_KEYS, name)
    return own if parent is None else f"{parent}/{own}"


def _percent_encoded(foreign: re.Pattern[str], text: str) -> str:
    return foreign.sub(lambda found: f"%{ord(found[0]):02X}", text)


def _cut(fitting: str, name: str) -> str:
    """Cuts what is too long, with a digest of the whole name in the place of its end."""
    if len(fitting) <= MAX_NAME_LENGTH:
        return fitting
    digest = hashlib.sha256(name.encode(errors="surrogatepass")).hexdigest()[:_DIGEST_LENGTH]
    return f"{fitting[: MAX_NAME_LENGTH - _DIGEST_LENGTH - 1]}-{digest}"


def shortened(text: str, length: int) -> str:
    """The text, cut to `length` characters, with a mark where it was cut."""
    return text if len(text) <= length else text[: length - len(_CUT_MARK)] + _CUT_MARK


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
