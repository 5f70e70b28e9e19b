"""The leaderboard's tables and plots show what its CSV says, with entries from elsewhere."""

import types
from pathlib import Path

import pandas as pd
import pytest

from mosim.core.configuration import read_yaml_model
from mosim.experiments.study import COLUMNS, Study, plan_study, read_study

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import leaderboard  # pyright: ignore[reportMissingImports]

    return leaderboard


def test_a_system_has_a_picture_and_a_table_in_the_order_of_errors(
    script: types.ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    horizons = (1, 16, 100, 1000)
    rows: list[dict[str, object]] = [
        {"system": "cheetah-run", "model": name, "horizon": horizon, "mse": scale * horizon}
        for name, scale in (("persistence", 1.0), ("chaos-floor", 1e-12))
        for horizon in horizons
    ]
    rows += [
        {
            "system": "cheetah-run", "model": "mosim", "variant": f"{entry}, {count} episodes", "knowledge": level,
            "episodes": count, "seed": seed, "horizon": horizon, "mse": scale * horizon / count * (1 + seed),
            "parameters": 1234, "train_seconds": 90.0, "rollout_steps_per_second": 5000.0,
        }
        for entry, level, scale in (("GRU", "arrays", 2.0), ("mosim tree", "tree", 1e-6))
        for count in (10, 100)
        for seed in (0, 1, 2)
        for horizon in horizons
    ]  # fmt: skip
    theirs = [
        {"system": "cheetah-run", "model": "external", "variant": "theirs", "knowledge": "arrays", "horizon": horizon,
         "mse": 0.003 * horizon}
        for horizon in horizons
    ]  # fmt: skip
    path, entries = tmp_path / "leaderboard.csv", tmp_path / "entries.csv"
    for each, content in ((path, rows), (entries, theirs)):
        pd.DataFrame(content, columns=list(COLUMNS)).to_csv(each, index=False)
    script.main(path, entries, tmp_path / "docs")
    assert (tmp_path / "docs" / "cheetah-run.png").stat().st_size > 10_000
    table = [line.strip("| ").split(" | ") for line in capsys.readouterr().out.splitlines() if line]
    assert [row[0] for row in table[2:]] == ["mosim tree", "theirs", "GRU", "persistence", "chaos-floor"]
    assert table[0][:6] == ["cheetah-run", "level", "episodes", "seeds", "at 1", "at 16"]
    assert table[4][1:] == ["arrays", "100", "3", "0.04", "0.64", "4", "40", "1,234", "1.5", "5,000"]
    assert table[3][1:5] == ["arrays", "", "", "0.003"]


def test_all_models_of_level_arrays_have_as_many_weights() -> None:
    file = ROOT / "benchmarks" / "leaderboard.yaml"
    study = read_study(file)
    assert isinstance(study, Study)
    for variant in study.variants:
        if "tree" not in variant.name and "geometry" not in variant.name:
            assert variant.set == {"model.parameters": 200000}, variant.name
    small = study.model_copy(update={"systems": study.systems[:1], "seeds": (0,), "episodes": (300,)})
    plan = plan_study(small, file)
    levels = {run.variant.name.split(",")[0]: run.recipe.model.knowledge for run in plan.runs}
    assert levels.pop("mosim tree") == "tree"
    assert levels.pop("mosim geometry") == "geometry"
    assert set(levels.values()) == {"arrays"}
    assert len(levels) == 8
    assert read_yaml_model(file, Study) == study


def test_without_results_it_says_how_to_make_them(script: types.ModuleType, tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as end:
        script.main(tmp_path / "none.csv", tmp_path / "none.csv", tmp_path / "docs")
    assert "make it with: make leaderboard" in str(end.value)
