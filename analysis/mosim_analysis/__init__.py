"""What comes of results: pictures, tables and words, from what MLflow holds of an experiment.

`read_results(Store(uri), experiment)` gives pandas frames; `mosim_analysis.figures` draws each of them for a screen,
`mosim_analysis.paper` for print, and `page` puts all of it into one HTML file. Nothing here needs mosim, torch or Ray.
"""

import importlib
from typing import TYPE_CHECKING, Any

from mosim_analysis.errors import AnalysisError

if TYPE_CHECKING:
    from mosim_analysis.results import Results, read_results
    from mosim_analysis.store import Store
    from mosim_analysis.watching import watch
    from mosim_analysis.web_page import page
    from mosim_analysis.writing import write_whole

__all__ = ["AnalysisError", "Results", "Store", "page", "read_results", "watch", "write_whole"]

_MODULES = {
    "Results": "results",
    "Store": "store",
    "page": "web_page",
    "read_results": "results",
    "watch": "watching",
    "write_whole": "writing",
}


def __getattr__(name: str) -> Any:
    # What only wants the names and colours should not wait for pandas and plotly.
    if name in _MODULES:
        return getattr(importlib.import_module(f"mosim_analysis.{_MODULES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
