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
    """Compare the runs of an experiment in one web page.

    Writes OUT/index.html, one file that needs neither a server nor a network. It shows which runs are best at each
    horizon and whether the difference is larger than the spread over seeds, horizon curves with confidence intervals
    over seeds, errors by dimension, losses, errors against samples, time and speed, the importance of a sweep's
    settings, zero-shot returns, and the parameters that differ. It also lists runs that failed, are still running or
    lack results.

      mosim compare --experiment mosim --out report
      mosim compare --experiment mosim --group-by model.structure --out report --paper
      mosim compare --experiment mosim --runs "sweep search" --out report --watch
    """

    experiment: str = Field(default="mosim", description="Name of the MLflow experiment.")
    runs: tuple[str, ...] = Field(
        default=(),
        description="Compare only these runs, given by id, beginning of an id, or name; a study or a sweep selects "
        "all of its runs.",
    )
    group_by: Annotated[str | None, tyro.conf.arg(metavar="NAME")] = Field(
        default=None,
        description="Parameter or tag to group runs by, such as model.structure or stages.0.learning_rate. By default, "
        "a group is a variant of a study, the trials of a sweep, or otherwise runs that differ only in the seed.",
    )
    tracking_uri: Annotated[str | None, tyro.conf.arg(metavar="URI")] = Field(
        default=None, description="MLflow tracking URI. If omitted: MLFLOW_TRACKING_URI, or ./mlflow.db."
    )
    out: Path = Field(default=Path("report"), description="Output folder of the page.")
    paper: Annotated[bool, tyro.conf.FlagCreatePairsOff] = Field(
        default=False, description="Also write figures for a paper, one column wide: OUT/paper/*.pdf and *.png."
    )
    watch: Annotated[bool, tyro.conf.FlagCreatePairsOff] = Field(
        default=False, description="Update the page as runs report results, until Ctrl-C; an open page reloads itself."
    )
    every: float = Field(default=10.0, gt=0, description="With --watch: seconds between two updates.")
    log: Annotated[bool, tyro.conf.FlagCreatePairsOff] = Field(
        default=False,
        description="Also log the page to MLflow, as an artifact of a run named compare in the same experiment.",
    )


def main(arguments: Sequence[str]) -> None:
    """Runs the command."""
    options = parse(Options, "compare", arguments)
    uri = default_tracking_uri() if options.tracking_uri is None else absolute_uri(options.tracking_uri)
    if uri.startswith(_SQLITE) and not Path(uri.removeprefix(_SQLITE)).is_file():
        raise MosimError(f"there is no MLflow store at {uri}; give the store of the runs with --tracking-uri.")
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
        console.print(f"watching {source} every {options.every:g} s; press Ctrl-C to stop")
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
        tracker.run("compare", tags=tags, description="The page that mosim compare wrote; see the artifacts.") as run,
    ):
        run.log_artifact(path)


def _print(results: "Results", path: Path) -> None:
    runs = results.runs[~results.runs["baselines"]]
    failed = int(runs["status"].isin(["FAILED", "KILLED"]).sum())
    said = f", {failed} of them failed" if failed else ""
    console.print(f"page     {path}, {len(runs)} runs in {runs['group'].nunique()} groups{said}")
