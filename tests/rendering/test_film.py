"""Films read again, and the strip under them."""

from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest

from mosim.core.errors import MosimError
from mosim.rendering import Strip, StripLine, contact_sheet, frame_steps, label, write_film, write_sheet


def frames(count: int, height: int = 48, width: int = 64) -> list[np.ndarray]:
    """Grey frames, each lighter than the one before."""
    return [np.full((height, width, 3), 20 + 10 * index, np.uint8) for index in range(count)]


def test_a_film_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "film.mp4"
    assert write_film(path, iter(frames(10)), fps=12.5) == 10
    reader = imageio_ffmpeg.read_frames(str(path))
    told = next(reader)
    assert isinstance(told, dict)
    assert (told["size"], told["codec"], told["fps"]) == ((64, 48), "h264", 12.5)
    assert "yuv420p" in told["pix_fmt"]
    read = [np.frombuffer(frame, np.uint8).mean() for frame in reader if isinstance(frame, bytes)]
    assert read == pytest.approx([20 + 10 * index for index in range(10)], abs=3)
    assert [file.name for file in path.parent.iterdir()] == ["film.mp4"]


def test_odd_sizes_are_made_even(tmp_path: Path) -> None:
    write_film(tmp_path / "film.mp4", frames(2, 33, 47), fps=25)
    told = next(imageio_ffmpeg.read_frames(str(tmp_path / "film.mp4")))
    assert isinstance(told, dict)
    assert told["size"] == (48, 34)


def test_a_film_that_fails_leaves_the_one_before(tmp_path: Path) -> None:
    path = tmp_path / "film.mp4"
    write_film(path, frames(2), fps=25)
    before = path.read_bytes()

    def failing():
        yield from frames(3)
        raise ValueError("the third frame")

    with pytest.raises(ValueError, match="the third frame"):
        write_film(path, failing(), fps=25)
    with pytest.raises(MosimError, match="there are no frames"):
        write_film(path, [], fps=25)
    assert path.read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 1


def test_mistaken_places_are_told(tmp_path: Path) -> None:
    with pytest.raises(MosimError, match=r"film\.gif is not a valid name for a video"):
        write_film(tmp_path / "film.gif", frames(1), fps=25)
    with pytest.raises(MosimError, match=r"sheet\.jpg is not a valid name for a contact sheet"):
        write_sheet(tmp_path / "sheet.jpg", frames(1)[0])
    (tmp_path / "file").write_text("")
    with pytest.raises(MosimError, match="cannot be written"):
        write_film(tmp_path / "file" / "film.mp4", frames(1), fps=25)


@pytest.mark.parametrize(
    ("steps", "timestep", "fps", "speed", "expected"),
    [
        (10, 0.02, 25, 1.0, [0, 2, 4, 6, 8, 10]),
        (8, 0.005, 25, 1.0, [0, 8]),
        (4, 0.02, 25, 0.5, [0, 1, 2, 3, 4]),
        (5, 0.02, 30, 1.0, [0, 2, 3, 5]),
        (1, 0.002, 25, 1.0, [0]),
    ],
)
def test_frames_show_the_nearest_steps(
    steps: int, timestep: float, fps: float, speed: float, expected: list[int]
) -> None:
    assert frame_steps(steps, timestep, fps, speed).tolist() == expected


RED = {"color": "#ff0000", "label": "error", "linewidth": 3.0}


class TestStrip:
    times = 0.1 * np.arange(1, 41)

    def red(self, picture: np.ndarray) -> np.ndarray:
        return (picture[..., 0] > 200) & (picture[..., 1] < 80) & (picture[..., 2] < 80)

    def line_at(self, strip: Strip, picture: np.ndarray, time: float) -> float:
        """Where the line is at a time: pixels from the top."""
        column = round(strip.place(time, 1.0)[0])
        rows = np.flatnonzero(self.red(picture)[:, column])
        return float(rows.mean())

    def test_the_line_stands_where_its_values_are(self) -> None:
        values = 10.0 ** np.linspace(-6, 1, 40)
        strip = Strip(320, 200, self.times, [StripLine(values, RED)], "title")
        whole = strip.at(4.0)
        assert whole.shape == (200, 320, 3)
        for index in (5, 20, 30):
            _, down = strip.place(self.times[index], values[index])
            assert self.line_at(strip, whole, self.times[index]) == pytest.approx(down, abs=2)
        per_decade = strip.place(0, 1e-5)[1] - strip.place(0, 1e-4)[1]
        assert strip.place(0, 1e-4)[1] - strip.place(0, 1e-3)[1] == pytest.approx(per_decade), "the axis is logarithmic"

    def test_it_is_drawn_up_to_the_moment(self) -> None:
        strip = Strip(320, 200, self.times, [StripLine(np.full(40, 0.1), RED)], "title", figure="")
        reach = [np.flatnonzero(self.red(strip.at(time)).any(axis=0)).max(initial=0) for time in (0.0, 1.0, 2.0, 4.0)]
        assert reach == sorted(reach)
        dot = 8
        for time, far in zip((1.0, 2.0, 4.0), reach[1:], strict=True):
            assert far == pytest.approx(strip.place(time, 0.1)[0], abs=dot)

    def test_what_is_not_finite_is_left_out(self) -> None:
        values = np.where(np.arange(40) < 20, 0.1, np.inf)
        strip = Strip(320, 200, self.times, [StripLine(values, RED)], "title")
        assert self.red(strip.at(4.0)).any()
        nothing = Strip(320, 200, self.times, [StripLine(np.full(40, np.nan), RED)], "title")
        assert not self.red(nothing.at(4.0)).any()


def test_words_are_written_into_the_corners() -> None:
    picture = np.full((60, 200, 3), 128, np.uint8)
    left, right = picture.copy(), picture.copy()
    label(left, "true physics", 12)
    label(right, "1.00 s", 12, right=True)
    assert np.argwhere(left != picture)[:, 1].max() < 120
    assert np.argwhere(right != picture)[:, 1].min() > 120
    assert left.max() > 240
    tiny = np.full((8, 10, 3), 128, np.uint8)
    label(tiny, "too long for this", 12)


def test_a_contact_sheet_holds_each_picture(tmp_path: Path) -> None:
    from PIL import Image

    rows = [frames(3), [255 - frame for frame in frames(3)]]
    sheet = contact_sheet(rows, ("true", "predicted"), ("0 s", "1 s", "2 s"), ("a", "b", "c"), 12, "#0072B2")
    write_sheet(tmp_path / "sheet.png", sheet)
    with Image.open(tmp_path / "sheet.png") as image:
        read = np.asarray(image)
    np.testing.assert_array_equal(read, sheet)
    for pictures in rows:
        for picture in pictures:
            level = picture[0, 0, 0]
            assert (sheet == level).all(axis=-1).sum() >= picture.shape[0] * picture.shape[1]
