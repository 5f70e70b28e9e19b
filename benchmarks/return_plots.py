"""Returns of several seeds: cells and rows of Markdown tables, and plots of one panel a task."""

import statistics
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import matplotlib as mpl

from mosim.core.files import atomic_path

mpl.use("Agg")

from matplotlib import pyplot as plt
from matplotlib.axes import Axes


def spread(returns: Sequence[float]) -> str:
    """The median, with the lowest and the highest where there are several; empty where there is none."""
    if not returns:
        return ""
    ends = f" ({min(returns):.0f} to {max(returns):.0f})" if len(returns) > 1 else ""
    return f"{statistics.median(returns):.0f}{ends}"


def print_markdown(table: Sequence[Sequence[str]], labels: int) -> None:
    """Prints a table whose first row is its head and whose first columns, `labels` of them, are words."""
    head, *rows = table
    rule = ["---"] * labels + ["---:"] * (len(head) - labels)
    print("", *(f"| {' | '.join(cells)} |" for cells in (head, rule, *rows)), sep="\n")


@contextmanager
def return_panels(path: Path, tasks: Sequence[str], ticks: Sequence[int], xlabel: str) -> Iterator[dict[str, Axes]]:
    """Gives a panel for each task, and writes the plot at the end.

    Args:
      path: the picture.
      tasks: the panels' titles.
      ticks: of the horizontal axis, which is logarithmic.
      xlabel: its label.
    """
    figure, panels = plt.subplots(1, len(tasks), figsize=(4.0 * len(tasks), 3.6), layout="constrained", squeeze=False)
    axes_of = dict(zip(tasks, panels[0], strict=True))
    yield axes_of
    for task, axes in axes_of.items():
        axes.set(xscale="log", xlabel=xlabel, ylabel="return in the true task", title=task)
        axes.set_xticks(ticks, [str(tick) for tick in ticks])
        axes.minorticks_off()
        axes.set_ylim(bottom=0)
        axes.grid(visible=True, alpha=0.3)
    handles, labels = panels[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=max(len(labels), 1), frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as aside:
        figure.savefig(aside, dpi=150)
    plt.close(figure)


def draw_points(axes: Axes, points: Mapping[int, Sequence[float]], colour: str, label: str) -> None:
    """Draws medians over seeds as a line, and each seed as a point; places without a seed are left out."""
    known = {place: returns for place, returns in points.items() if returns}
    axes.plot(list(known), [statistics.median(returns) for returns in known.values()], color=colour, label=label)
    for place, returns in known.items():
        axes.plot([place] * len(returns), returns, "o", color=colour, markersize=4)
