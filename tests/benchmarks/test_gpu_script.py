"""`make gpu` without a GPU: it says so and writes nothing, and its parts work on the CPU."""

import csv
import json
import shutil
import subprocess
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

ROOT = Path(__file__).parent.parent.parent

WITHOUT_GPU = pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import gpu  # pyright: ignore[reportMissingImports]

    return gpu


def rows_in(file: Path) -> list[dict[str, str]]:
    with file.open() as opened:
        return list(csv.DictReader(opened))


@pytest.mark.skipif(shutil.which("nvidia-smi") is not None, reason="there is a GPU")
def test_make_says_that_there_is_no_gpu_before_anything_is_installed(tmp_path: Path) -> None:
    shutil.copy(ROOT / "Makefile", tmp_path)
    done = subprocess.run(["make", "gpu"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "make gpu needs an NVIDIA GPU, and nvidia-smi finds none here." in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["Makefile"]


@WITHOUT_GPU
def test_without_cuda_it_ends_with_a_sentence_and_writes_nothing(
    script: types.ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        script.main(out=tmp_path / "gpu.csv")
    assert end.value.code == 2
    [sentence] = capsys.readouterr().err.splitlines()
    assert "sees no CUDA device here" in sentence
    assert not list(tmp_path.iterdir())


def test_an_unknown_part_is_told_with_those_that_there_are(
    script: types.ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        script.main(device="cpu", parts=("rolout",), out=tmp_path / "gpu.csv")
    assert end.value.code == 2
    assert "unknown part 'rolout'; there are: tests, rollout reacher-easy, " in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_part_that_takes_too_long_is_ended_and_is_a_row(
    script: types.ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(script.LIMITS, "training", 0.01)
    [row] = script._measured("training", "cpu", 0, quick=False)
    assert row["what"] == "training"
    assert row["error"].startswith("it took more than 0.01 s")


def test_what_fails_is_a_row_that_stops_nothing_and_makes_the_exit_code_1(
    script: types.ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def measured(part: str, device: str, seed: int, quick: bool) -> list[dict[str, Any]]:
        if part == "training":
            return [{"what": part, "device": device, "error": "it broke"}]
        return [{"what": part, "device": device, "rate": 3.0, "unit": "steps/s"}]

    monkeypatch.setattr(script, "_measured", measured)
    with pytest.raises(SystemExit) as end:
        script.main(device="cpu", parts=("tests", "training", "PPO"), out=tmp_path / "gpu.csv", seed=4)
    assert end.value.code == 1
    rows = rows_in(tmp_path / "gpu.csv")
    assert [(row["what"], row["rate"], row["error"]) for row in rows] == [
        ("tests", "3.0", ""),
        ("training", "", "it broke"),
        ("PPO", "3.0", ""),
    ]
    assert {row["seed"] for row in rows} == {"4"}
    assert [path.name for path in tmp_path.iterdir()] == ["gpu.csv"]


def test_a_figure_that_cannot_be_measured_does_not_stop_its_part(
    script: types.ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    parts = sys.modules["gpu_parts"]

    def figures(setting: Any) -> Iterator[Any]:
        del setting

        def fail() -> float:
            raise RuntimeError("out of\n memory")

        yield parts.Figure({"what": "a"}, fail)
        yield parts.Figure({"what": "b"}, lambda: 123456.0)

    monkeypatch.setitem(parts.PARTS, "two", figures)
    parts.main("two", tmp_path / "rows", "cpu")
    first, second = (json.loads(line) for line in (tmp_path / "rows").read_text().splitlines())
    assert first == {"what": "a", "error": "RuntimeError: out of memory"}
    assert second == {"what": "b", "rate": 123500.0}


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_every_part_works_on_the_cpu(tmp_path: Path) -> None:
    out = tmp_path / "gpu.csv"
    done = subprocess.run(
        [sys.executable, "benchmarks/gpu.py", "--device", "cpu", "--quick", "--out", str(out)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    rows = rows_in(out)
    levels, systems = ("tree", "geometry"), ("reacher-easy", "cheetah-run", "humanoid-walk")
    found = {(row["what"], row["system"], row["knowledge"], row["batch"]) for row in rows}
    assert found == {
        ("tests", "", "", ""),
        *(("rollout", system, level, batch) for system in systems for level in levels for batch in ("4", "16")),
        *(("training", system, level, batch) for system in systems for level in levels for batch in ("4", "8")),
        *(("PPO", "cheetah-run", level, "4") for level in levels),
    }
    assert len(found) == len(rows)
    for row in rows:
        assert not row["error"]
        assert float(row["rate"]) > 0 or row["what"] == "tests", "without a GPU its tests are skipped"
        assert all(row[column] for column in ("device", "unit", "seed", "hardware", "torch", "commit", "command"))
