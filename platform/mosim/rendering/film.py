"""MP4 files that every browser plays."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from mosim.core.errors import MosimError
from mosim.core.files import atomic_path

FILM_SUFFIX = ".mp4"

_QUALITY = 20
"""x264's constant rate factor: 18 is hardly told from the original, 28 plainly is."""


def write_film(path: Path, frames: Iterable[np.ndarray], fps: float) -> int:
    """Writes frames as H.264 in an MP4 file, whole or not at all.

    Args:
      path: the file, whose name ends in `.mp4`.
      frames: `(height, width, 3)` uint8, all of one size; a row or column is added to sizes that are odd, which H.264
        does not take.
      fps: frames a second.

    Returns:
      How many frames were written.

    Raises:
      MosimError: the name is another, there are no frames, or ffmpeg cannot write the file.
    """
    require_film_name(path)
    try:
        with atomic_path(path) as aside:
            count = _encode(aside, frames, fps)
            if not count:
                raise MosimError(f"{path} cannot be written: there are no frames.")
    except (OSError, RuntimeError) as error:
        raise MosimError(f"{path} cannot be written: {_last_line(error)}") from None
    return count


def _encode(path: Path, frames: Iterable[np.ndarray], fps: float) -> int:
    import imageio_ffmpeg  # Here, since it looks for its program as it is imported.

    options: dict[str, Any] = {
        "fps": fps,
        "codec": "libx264",
        "pix_fmt_out": "yuv420p",
        "macro_block_size": 2,
        "quality": None,
        "output_params": ["-crf", str(_QUALITY), "-movflags", "+faststart"],
        "ffmpeg_log_level": "error",
    }
    count, writer = 0, None
    try:
        for frame in frames:
            even = np.pad(frame, ((0, frame.shape[0] % 2), (0, frame.shape[1] % 2), (0, 0)), mode="edge")
            if writer is None:
                writer = imageio_ffmpeg.write_frames(str(path), (even.shape[1], even.shape[0]), **options)
                writer.send(None)
            writer.send(np.ascontiguousarray(even))
            count += 1
    finally:
        if writer is not None:
            writer.close()
    return count


def require_film_name(path: Path) -> None:
    """Checks a film's name.

    Raises:
      MosimError: it does not end in `.mp4`.
    """
    if path.suffix.lower() != FILM_SUFFIX:
        raise MosimError(f"{path} is not a valid name for a video; give one that ends in {FILM_SUFFIX}.")


def frame_steps(steps: int, timestep: float, fps: float, speed: float = 1.0) -> np.ndarray:
    """Which physics steps the frames of a film show: 0 first, then the step nearest to each frame's moment.

    Args:
      steps: physics steps that there are.
      timestep: seconds of each.
      fps: frames a second.
      speed: seconds of motion in a second of film.
    """
    count = int(np.floor(steps * timestep * fps / speed + 1e-9)) + 1
    return np.minimum(np.round(np.arange(count) * speed / (fps * timestep)).astype(int), steps)


def _last_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[-1] if lines else type(error).__name__
