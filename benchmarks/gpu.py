"""What a machine with one NVIDIA GPU does with mosim: the tests that need one, and how fast simulators are there.

    make gpu                                          # sets up .venv first
    python benchmarks/gpu.py
    python benchmarks/gpu.py --device cpu --quick     # a test of this script, anywhere

| part | measures | at most |
| --- | --- | --- |
| tests | how many of the tests marked `gpu` pass | 120 s |
| rollout | physics steps a second of reacher, cheetah and humanoid at the levels tree and geometry, by batch; on the CPU at 1024 | 60 s each |
| training | samples a second of one-step training of the same | 90 s |
| PPO | control steps a second on cheetah-run, sampling and learning, simulator and policy on the GPU | 90 s |

Simulators have the shipped recipes' shapes and weights as they are before training, since the cost does not depend on
them. Writes benchmarks/results/gpu.csv after each part. What fails or takes too long is a row with its error, does not
stop the rest, and makes the exit code 1; without a CUDA device it is 2, and nothing is written.
"""  # noqa: E501 A table's rows are one line each.

import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Literal

import torch
import tyro
from common import RESULTS, origin, write_table
from gpu_parts import PARTS

from mosim.core.files import atomic_path

LIMITS = {"tests": 120.0, "rollout": 60.0, "training": 90.0, "PPO": 90.0}
"""Seconds, by the first word of a part."""

_QUICK_FACTOR = 5.0
"""By which quick parts may take longer: what is tested with them is not the machine."""

COLUMNS = ("what", "system", "knowledge", "batch", "device", "rate", "unit", "error", "seed")

EXIT_SOME_FAILED, EXIT_NO_GPU = 1, 2

_GRACE_SECONDS = 5.0
"""That a part has to end by itself after its time."""


def main(
    device: Literal["cuda", "cpu"] = "cuda",
    parts: tuple[str, ...] = tuple(PARTS),
    out: Path = RESULTS / "gpu.csv",
    seed: int = 0,
    quick: bool = False,
) -> None:
    """Measures every part, prints and saves.

    Args:
      device: what is measured.
      parts: which; all by default.
      out: the CSV.
      seed: of data, weights and trainings.
      quick: everything tiny, to see that it works; the figures mean nothing.
    """
    if device == "cuda" and not torch.cuda.is_available():
        print(
            f"torch {torch.__version__} sees no CUDA device here; --device cpu --quick tries the script without one.",
            file=sys.stderr,
        )
        sys.exit(EXIT_NO_GPU)
    if unknown := [part for part in parts if part not in PARTS]:
        print(f"unknown part {unknown[0]!r}; there are: {', '.join(PARTS)}.", file=sys.stderr)
        sys.exit(EXIT_NO_GPU)
    where, rows = origin(), []
    for part in parts:
        for row in _measured(part, device, seed, quick):
            rows.append({column: row.get(column, "") for column in COLUMNS} | {"seed": seed} | where)
            _print(rows[-1])
        with atomic_path(out) as aside:
            write_table(aside, rows)
    if failed := [row for row in rows if row["error"]]:
        print(f"{len(failed)} of {len(rows)} rows failed; see {out}", file=sys.stderr)
        sys.exit(EXIT_SOME_FAILED)


def _measured(part: str, device: str, seed: int, quick: bool) -> list[dict[str, Any]]:
    """The rows of a part that is run in a process of its own; the last is its failure where it did not end well."""
    what, _, system = part.partition(" ")
    limit = LIMITS[what] * (_QUICK_FACTOR if quick else 1.0)
    script = Path(__file__).with_name("gpu_parts.py")
    with tempfile.TemporaryDirectory() as folder:
        file, log = Path(folder) / "rows.jsonl", Path(folder) / "log"
        file.touch()
        command = [sys.executable, str(script), part, str(file), "--device", device, "--seed", str(seed)]
        with log.open("w") as said:
            process = subprocess.Popen(
                [*command, *(["--quick"] if quick else [])],
                stdout=said,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            error = _end(process, limit)
        rows = [json.loads(line) for line in file.read_text().splitlines()]
        if error or not rows:
            last = " ".join(log.read_text(errors="replace").split())[-500:]
            reason = f"{error or 'it measured nothing'}; it said last: {last}" if last else error
            rows.append({"what": what, "system": system, "device": device, "error": reason})
    return rows


def _end(process: subprocess.Popen, limit: float) -> str:
    """Waits for a part, and ends it with all that it has started after its time; returns why it failed, or nothing."""
    try:
        code = process.wait(limit)
    except subprocess.TimeoutExpired:
        for sign in (signal.SIGTERM, signal.SIGKILL):
            os.killpg(process.pid, sign)
            try:
                process.wait(_GRACE_SECONDS)
                break
            except subprocess.TimeoutExpired:
                continue
        return f"it took more than {limit:g} s"
    return f"it ended with exit code {code}" if code else ""


def _print(row: dict[str, Any]) -> None:
    names = ", ".join(str(row[column]) for column in ("what", "system", "knowledge", "batch", "device") if row[column])
    figure = row["error"] or f"{row['rate']:,.0f} {row['unit']}"
    print(f"{names}: {figure}", flush=True)


if __name__ == "__main__":
    tyro.cli(main)
