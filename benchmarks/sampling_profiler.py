"""Where a thread's wall time goes, by looking at its stack some hundred times a second."""

import sys
import threading
import time
import traceback
from collections import Counter, defaultdict
from collections.abc import Sequence
from types import FrameType, TracebackType

_INTERVAL = 0.003
"""Seconds between two looks."""

_REST = "the rest"

Part = tuple[str, str, tuple[str, ...]]
"""Its name, what the path of its files contains, and its functions, or none for all in these files."""


class SamplingProfiler:
    """Looks at the stack of the thread that enters it, from another thread, until it is left.

    A look belongs to the first part that any function of the stack is in. The work itself is left as it is, so
    functions that are called often look no slower than they are, as they do under cProfile.

    Attributes:
      samples: how often it has looked.
    """

    def __init__(self, parts: Sequence[Part]) -> None:
        """Takes the parts, the first of which are asked first."""
        self._parts = parts
        self._looks: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self._watched = threading.get_ident()
        self._left = threading.Event()
        self._watcher = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "SamplingProfiler":
        self._watched = threading.get_ident()
        self._watcher.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._left.set()
        self._watcher.join()

    @property
    def samples(self) -> int:
        """How often it has looked."""
        return sum(looks.total() for looks in self._looks.values())

    def shares(self) -> dict[str, float]:
        """Share of each part, largest first; what is no part's last."""
        shares = {name: looks.total() / max(self.samples, 1) for name, looks in self._looks.items()}
        rest = shares.pop(_REST, 0.0)
        return dict(sorted(shares.items(), key=lambda item: -item[1])) | {_REST: rest}

    def mostly(self, name: str, count: int = 2) -> list[tuple[str, float]]:
        """The functions that most of a part was spent in, and their shares of it."""
        looks = self._looks[name]
        return [(where, found / looks.total()) for where, found in looks.most_common(count)]

    def _watch(self) -> None:
        while not self._left.is_set():
            if frame := sys._current_frames().get(self._watched):
                self._look(frame)
            time.sleep(_INTERVAL)

    def _look(self, innermost: FrameType) -> None:
        stack = [(frame.f_code.co_filename, frame.f_code.co_name) for frame, _ in traceback.walk_stack(innermost)]
        holding = (
            name
            for name, within, functions in self._parts
            if any(within in file and (not functions or function in functions) for file, function in stack)
        )
        self._looks[next(holding, _REST)][_place(innermost)] += 1


def _place(frame: FrameType) -> str:
    code = frame.f_code
    return f"{code.co_filename.rsplit('/', 1)[-1]}:{code.co_name}"
