"""Figures for papers, as files."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from mosim_analysis import Store, names, paper, read_results


@pytest.fixture(scope="module")
def written(everything: str, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return paper.write_figures(read_results(Store(everything), "mosim"), tmp_path_factory.mktemp("paper"))


def test_every_figure_is_a_pdf_and_a_png(written: list[Path]) -> None:
    stems = {
        "horizon", "dimensions", "loss", "error-over-samples", "error-over-seconds", "error-over-speed", "returns",
        "importance-search",
    }  # fmt: skip
    expected = {f"reacher-easy-{stem}.{kind}" for stem in stems for kind in ("pdf", "png")}
    assert {path.name for path in written} == expected


def test_pdfs_are_a_column_wide_and_their_fonts_are_embedded_as_truetype(written: list[Path]) -> None:
    for path in written:
        if path.suffix == ".pdf":
            content = path.read_bytes()
            [width] = re.findall(rb"/MediaBox \[ ?0 0 ([\d.]+) [\d.]+ ?\]", content)
            assert float(width) == pytest.approx(72 * paper.COLUMN_INCHES, abs=1)
            assert b"/FontFile2" in content, "TrueType, embedded"
            assert b"/Type3" not in content


def test_pngs_are_sharp_and_not_blank(written: list[Path]) -> None:
    for path in written:
        if path.suffix == ".png":
            image = np.asarray(Image.open(path).convert("RGB"))
            assert image.shape[1] == pytest.approx(300 * paper.COLUMN_INCHES, abs=3)
            assert 0.005 < (image.min(axis=2) < 200).mean() < 0.9, path.name


@pytest.fixture
def curves() -> pd.DataFrame:
    step = np.arange(1, 101)
    scales = (1e-6, 2e-6, 9e-6)
    runs = [pd.DataFrame({"step": step, "mse": scale * step, "run": str(scale)}) for scale in scales]
    return pd.concat(runs).assign(name="", group="a", sweep="", model="mosim")


def test_lines_have_the_page_s_colours_and_the_median_of_their_runs(curves: pd.DataFrame) -> None:
    [axes] = paper.horizon_curves(curves).axes
    [line] = axes.get_lines()
    assert line.get_color() == names.styles(["a"])["a"].colour
    np.testing.assert_allclose(np.asarray(line.get_ydata()), 2e-6 * np.asarray(line.get_xdata()))
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")


def test_the_same_frame_makes_the_same_pdf(curves: pd.DataFrame, tmp_path: Path) -> None:
    first, second = (paper.save(paper.horizon_curves(curves), tmp_path / name)[0].read_bytes() for name in "ab")
    assert first == second
