"""Files that are whole or absent."""

import uuid
from contextlib import suppress
from pathlib import Path

from mosim_analysis.errors import AnalysisError


def write_whole(path: Path, content: str | bytes) -> None:
    """Writes a file aside and renames it, so that whoever reads it never sees a part.

    Raises:
      AnalysisError: `path` is a link, a device or anything else that is neither a regular file nor new.
    """
    if path.is_symlink() or (path.exists() and not path.is_file()):
        raise AnalysisError(f"{path} cannot be written: it is not a regular file; give another path.")
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{uuid.uuid4().hex[:8]}{path.suffix}")
    try:
        aside.write_bytes(content.encode() if isinstance(content, str) else content)
        aside.replace(path)
    finally:
        with suppress(OSError):
            aside.unlink()
