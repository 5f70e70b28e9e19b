"""`mosim`: one command for each arrow of the design, and `mosim run` for all of them."""

import importlib
import os
import signal
import sys
from collections.abc import Sequence

from mosim.core.errors import MosimError, UnknownNameError

COMMANDS = {
    "run": "Everything, from a MuJoCo task to a policy trained only in its neural simulator.",
    "systems": "List every system and task.",
    "collect": "Collect trajectories of a task or an MJCF file with Ray actors.",
    "import": "Import trajectories from an .npz file.",
    "train": "Train a neural simulator from trajectories, in stages.",
    "evaluate": "Measure a simulator's horizon error on held-out trajectories.",
    "zero-shot": "Train a policy in a simulator alone, and evaluate it in the true task.",
    "study": "Train and measure variants of recipes on several systems, as one YAML file says.",
    "sweep": "Search the settings of a training with Ray Tune, on this machine or on a cluster.",
    "compare": "Show the runs of an experiment side by side, as one page that needs no server.",
    "show": "Film a simulator's prediction under the truth, with the growing error.",
    "identify": "Print masses, joints and motors of a simulator in MuJoCo's words, and write them as an MJCF file.",
    "data": "Tell what is in a dataset, and what in it tends to hurt training.",
    "ui": "Open MLflow's interface on the store that runs are tracked in.",
    "sync": "Send what a tracking server has missed.",
}

EXIT_MISTAKE = 2
EXIT_INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs one command and exits: 0 done, 2 a user's mistake, 130 interrupted, 1 a fault of mosim's."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    if not arguments or arguments[0] in ("-h", "--help"):
        _print(_overview())
        sys.exit(0 if arguments else EXIT_MISTAKE)
    if arguments[0] in ("-V", "--version"):
        from importlib.metadata import version

        _print(f"mosim {version('mosim')}")
        sys.exit(0)
    name = arguments[0]
    try:
        if name not in COMMANDS:
            raise UnknownNameError.among("command", name, COMMANDS)
        # Imported by name, so that `mosim --help` does not wait for Ray and torch.
        module = importlib.import_module(f"mosim.cli.{name.replace('-', '_')}_command")
        module.main(arguments[1:])
    except MosimError as error:
        _print(f"mosim {name}: {error}", sys.stderr)
        sys.exit(EXIT_MISTAKE)
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        _print(f"mosim {name}: interrupted; what was finished is kept, and --resume goes on from there.", sys.stderr)
        sys.exit(EXIT_INTERRUPTED)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


def _overview() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {summary}" for name, summary in COMMANDS.items()]
    return "\n".join(
        [
            "usage: mosim [-h] [--version] COMMAND ...",
            "",
            "Learn a robot's dynamics from trajectories, train policies inside, evaluate them in the true task.",
            "",
            *lines,
            "",
            "mosim COMMAND --help explains a command. Begin with: mosim run reacher-easy",
        ]
    )


def _print(text: str, file=None) -> None:
    (file or sys.stdout).write(text + "\n")
