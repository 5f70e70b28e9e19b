"""The picture of errors by episodes shows what a study's CSV says."""

import types
from pathlib import Path

import pandas as pd
import pytest

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import episodes  # pyright: ignore[reportMissingImports]

    return episodes


@pytest.fixture
def results(tmp_path: Path) -> Path:
    rows: list[dict[str, object]] = [
        {"system": "cheetah-run", "model": "persistence", "horizon": horizon, "mse": 15.0} for horizon in (16, 100)
    ]
    rows += [
        {
            "system": "cheetah-run", "model": "mosim", "variant": f"{level}, {count}", "knowledge": level,
            "episodes": count, "seed": seed, "horizon": horizon, "mse": scale * horizon / count * (1 + seed),
        }
        for level, scale in (("tree", 1e-3), ("geometry", 1e-1))
        for count in (1, 10, 100)
        for seed in (0, 1, 2)
        for horizon in (1, 16, 100)
    ]  # fmt: skip
    rows[-1]["mse"] = float("inf")  # geometry, 100 episodes, seed 2, at 100.
    path = tmp_path / "episodes.csv"
    pd.DataFrame(rows).to_csv(path, index=False)
    return path


def test_a_system_has_a_picture_and_a_table_of_medians(
    script: types.ModuleType, results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script.main(results, tmp_path / "docs")
    assert [path.name for path in (tmp_path / "docs").iterdir()] == ["cheetah-run.png"]
    assert (tmp_path / "docs" / "cheetah-run.png").stat().st_size > 10_000
    table = [line.strip("| ").split(" | ") for line in capsys.readouterr().out.splitlines() if line]
    heads = [f"{level} at {horizon}" for level in ("tree", "geometry", "arrays") for horizon in (16, 100)]
    assert table[0] == ["cheetah-run", *heads]
    assert table[2] == ["1", "0.032", "0.2", "3.2", "20", "missing", "missing"]
    assert table[4][:2] == ["100", "3.2e-04"]
    assert table[4][4] == "0.2", "one of three that diverged leaves the median"


def test_lines_are_the_seeds_of_a_level(script: types.ModuleType, results: Path) -> None:
    rows = pd.read_csv(results)
    tree = script.errors(rows, "tree", 16)
    assert sorted(tree["episodes"]) == [1, 1, 1, 10, 10, 10, 100, 100, 100]
    assert tree.groupby("episodes")["mse"].median().to_dict() == pytest.approx({1: 0.032, 10: 0.0032, 100: 0.00032})
    assert script.persistence(rows, 100) == 15


def test_without_results_it_says_how_to_make_them(script: types.ModuleType, tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as end:
        script.main(tmp_path / "none.csv", tmp_path / "docs")
    assert "make it with: mosim study benchmarks/episodes.yaml" in str(end.value)
    assert not (tmp_path / "docs").exists()
