"""The page of an experiment that is still growing, rewritten as its runs report."""

import time
from collections.abc import Callable
from pathlib import Path

from mosim_analysis.results import Results
from mosim_analysis.web_page import page
from mosim_analysis.writing import write_whole


def watch(
    read: Callable[[], Results],
    path: Path,
    *,
    experiment: str,
    source: str,
    seconds: float,
    tell: Callable[[str], None],
) -> None:
    """Rewrites a page whenever there is news, until Ctrl-C; the last page that it leaves no longer loads itself anew.

    Args:
      read: reads the experiment.
      path: of the page.
      experiment: see `page`.
      source: see `page`.
      seconds: between two looks.
      tell: is told, in a line, of each page that is written.
    """
    seen: Results | None = None
    try:
        while True:
            results = read()
            if seen is None or _has_news(seen, results):
                html = page(results, experiment=experiment, source=source, refresh_seconds=max(1, round(seconds)))
                write_whole(path, html)
                tell(f"{path}: {_state(results)}")
            seen = results
            time.sleep(seconds)
    except KeyboardInterrupt:
        if seen is not None:
            write_whole(path, page(seen, experiment=experiment, source=source))


def _has_news(before: Results, now: Results) -> bool:
    frames = ("runs", "parameters", "curves", "dimensions", "training", "returns")
    return not all(getattr(before, frame).equals(getattr(now, frame)) for frame in frames)


def _state(results: Results) -> str:
    status = results.runs.loc[~results.runs["baselines"], "status"]
    counts = [f"{count} {str(name).lower()}" for name, count in status.value_counts().items()]
    return f"{len(status)} runs, {', '.join(counts)}"
