"""`mosim compare`: the runs of an experiment side by side, as one page."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro
from pydantic import Field

from mosim.cli.parsing import CommandOptions, parse
from mosim.core.console import console, progress_bar
from mosim.core.errors import MosimError
from mosim.tracking import Tracker, absolute_uri, default_tracking_uri, import_mlflow, store_errors, without_password

if TYPE_CHECKING:
    from mosim_analysis import Results

PAGE, PAPER_FOLDER = "index.html", "paper"

_SQLITE = "sqlite:///"


class Options(CommandOptions):
    """Show the runs of an experiment side by side.

    Writes OUT/index.html, one file that needs neither a server nor a network: which is best at which horizon and
    whether seeds could have done it, horizon curves with intervals over seeds, errors by dimension, losses, errors
    against samples, time and speed, what matters in a sweep, zero-shot returns, and the parameters that differ. Runs
    that failed, still run or lack results are told.

      mosim compare --experiment mosim --out report
      mosim compare --experiment mosim --group-by model.structure --out report --paper
      mosim compare --experiment mosim --runs "sweep search" --out report --watch
    """

    experiment: str = Field(default="mosim", description="MLflow's experiment.")
    runs: tuple[str, ...] = Field(
        default=(),
        description="Only these: ids, or the beginnings of ids, or names; a study or a sweep stands for its runs.",
    )
    group_by: Annotated[str | None, tyro.conf.arg(metavar="NAME")] = Field(
        default=None,
        description="A parameter or tag, such as model.structure or stages.0.learning_rate. By default the variants of "
        "a study, the trials of a sweep, and otherwise runs that differ in nothing but the seed are a group.",
    )
    tracking_uri: Annotated[str | None, tyro.conf.arg(metavar="URI")] = Field(
        default=None, description="MLflow's store. By default MLFLOW_TRACKING_URI, or ./mlflow.db."
    )
    out: Path = Field(default=Path("report"), description="Folder for the page.")
    paper: Annotated[bool, tyro.conf.FlagCreatePairsOff] = Field(
        default=False, description="Write the figures for a paper too: OUT/paper/*.pdf and *.png, as wide as a column."
    )
    watch: Annotated[bool, tyro.conf.FlagCreatePairsOff] = Field(
        default=False, description="Rewrite the page as runs report, until Ctrl-C; an open page loads itself anew."
    )
    every: float = Field(default=10.0, gt=0, description="With --watch: seconds between two looks.")
    log: Annotated[bool, tyro.conf.FlagCreatePairsOff] = Field(
        default=False, description="Log the page to MLflow too, as an artifact of a run `compare` of the experiment."
    )


def main(arguments: Sequence[str]) -> None:
    """Runs the command."""
    options = parse(Options, "compare", arguments)
    uri = default_tracking_uri() if options.tracking_uri is None else absolute_uri(options.tracking_uri)
    if uri.startswith(_SQLITE) and not Path(uri.removeprefix(_SQLITE)).is_file():
        raise MosimError(f"there is no store at {uri}; --tracking-uri says where the runs are.")
    import_mlflow()
    # Here, since the help should wait neither for MLflow nor for plotly.
    from mosim_analysis import AnalysisError

    try:
        _compare(options, uri)
    except AnalysisError as error:
        raise MosimError(str(error)) from None


def _compare(options: Options, uri: str) -> None:
    from mosim_analysis import page, watch, write_whole

    source, path = without_password(uri), options.out / PAGE
    read = _reader(options, uri)
    results = read()
    if options.watch:
        console.print(f"watching {source}, every {options.every:g} s; Ctrl-C ends it")
        watch(
            read,
            path,
            experiment=options.experiment,
            source=source,
            seconds=options.every,
            tell=lambda line: console.print(line),
        )
        results = read()
    else:
        write_whole(path, page(results, experiment=options.experiment, source=source))
    if options.paper:
        _write_paper(results, options.out)
    if options.log:
        _log(options, uri, path)
    _print(results, path)


def _reader(options: Options, uri: str) -> Callable[[], "Results"]:
    """Reads the experiment, each time as it is then; what has ended is read once."""
    from mosim_analysis import Store, read_results

    with store_errors(uri, "cannot be opened"):
        store = Store(uri)

    def read() -> "Results":
        with progress_bar() as progress, store_errors(uri, "cannot be read"):
            bar = progress.add_task("read", total=None, status="")
            return read_results(
                store,
                options.experiment,
                only=options.runs,
                group_by=options.group_by,
                on_progress=lambda done, total: progress.update(bar, completed=done, total=total),
            )

    return read


def _write_paper(results: "Results", out: Path) -> None:
    from mosim_analysis.paper import write_figures

    written = write_figures(results, out / PAPER_FOLDER)
    console.print(f"figures  {out / PAPER_FOLDER}, {len(written)} files")


def _log(options: Options, uri: str, path: Path) -> None:
    tags = {"phase": "compare"}
    with (
        Tracker.open(options.out, options.experiment, uri) as tracker,
        tracker.run("compare", tags=tags, description="The page of mosim compare, among the artifacts.") as run,
    ):
        run.log_artifact(path)


def _print(results: "Results", path: Path) -> None:
    runs = results.runs[~results.runs["baselines"]]
    failed = int(runs["status"].isin(["FAILED", "KILLED"]).sum())
    said = f", {failed} of them failed" if failed else ""
    console.print(f"page     {path}, {len(runs)} runs in {runs['group'].nunique()} groups{said}")
