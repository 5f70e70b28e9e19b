"""`mosim`: one command for each arrow of the design, and `mosim run` for all of them."""

import importlib
import os
import signal
import sys
from collections.abc import Sequence

from mosim.core.errors import MosimError, UnknownNameError

COMMANDS = {
    "run": "Run all steps, from a MuJoCo task to a policy trained only in its neural simulator.",
    "learn": "Learn a task in rounds of data, simulator and policy, with every true step counted.",
    "systems": "List every system and task.",
    "collect": "Collect trajectories of a task or an MJCF file with Ray actors.",
    "import": "Import trajectories from an .npz file, or from a robot's log.",
    "train": "Train a neural simulator from trajectories, in stages.",
    "evaluate": "Measure a simulator's horizon error on held-out trajectories.",
    "zero-shot": "Train a policy in a simulator alone, and evaluate it in the true task.",
    "plan": "Search actions in a simulator at every step, and evaluate this planner in the true task.",
    "export": "Write a policy as an ONNX file, for programs without mosim and torch.",
    "study": "Train and evaluate variants of recipes on several systems, as defined in a YAML file.",
    "leaderboard": "Measure predictions that were made without mosim, as its own are measured.",
    "sweep": "Search hyperparameters with Ray Tune, on this machine or on a cluster.",
    "compare": "Compare the runs of an experiment, in one page that needs no server.",
    "show": "Render a simulator's prediction below the true motion, with the growing error.",
    "identify": "Print a simulator's masses, joints and motors as MJCF attributes, and write them to an MJCF file.",
    "data": "Summarise a dataset, and warn of what usually hurts training.",
    "ui": "Open the MLflow UI for the store in which runs are tracked.",
    "sync": "Send to MLflow what its server has missed.",
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
        _print(
            f"mosim {name}: interrupted; finished work is kept. Run the same command again to continue, with --resume "
            "if it has that flag.",
            sys.stderr,
        )
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
            "Learn robot dynamics from trajectories, train policies in the simulator, evaluate them in the true task.",
            "",
            *lines,
            "",
            "mosim COMMAND --help explains a command. Start with: mosim run reacher-easy",
        ]
    )


def _print(text: str, file=None) -> None:
    (file or sys.stdout).write(text + "\n")
