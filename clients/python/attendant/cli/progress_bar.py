"""A line on a terminal that says how far a run is and how long it will take."""

import shutil
import sys
import time
from collections.abc import Callable
from typing import TextIO

from attendant.cli.formats.unit import Unit

_DRAW_EVERY_S = 0.1
_BAR_COLUMNS = 24
_ERASE = "\r\x1b[K"


class ProgressBar:
    """Counts units and draws, at most ten times a second."""

    def __init__(
        self,
        stream: TextIO,
        total_bytes: int | None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`total_bytes` are the input's; None where nobody knows: no share and no end is told."""
        self._stream = stream
        self._total = total_bytes
        self._clock = clock
        self._started_s = clock()
        self._drawn_s = -_DRAW_EVERY_S
        self._skipped = self._bytes = self._texts = 0

    def skip(self, unit: Unit) -> None:
        """Counts a unit that an earlier run has written."""
        self._skipped += len(unit.source.encode())

    def advance(self, unit: Unit) -> None:
        """Counts a unit that is written."""
        self._bytes += len(unit.source.encode())
        self._texts += unit.text is not None
        if self._clock() - self._drawn_s >= _DRAW_EVERY_S:
            self._drawn_s = self._clock()
            columns = shutil.get_terminal_size().columns
            self._stream.write(_ERASE + self.line()[: columns - 1])
            self._stream.flush()

    def line(self) -> str:
        """Returns what is drawn."""
        passed_s = max(self._clock() - self._started_s, 1e-9)
        counts = f"{self._texts:,} texts, {self._texts / passed_s:,.1f}/s"
        if not self._total:
            return f"{counts}, {_duration(passed_s)}"
        share = min((self._skipped + self._bytes) / self._total, 1.0)
        bar = ("#" * round(share * _BAR_COLUMNS)).ljust(_BAR_COLUMNS, ".")
        left = max(self._total - self._skipped - self._bytes, 0)
        left_s = left * passed_s / self._bytes if self._bytes else 0.0
        return f"{share:4.0%} [{bar}] {counts}, {_duration(left_s)} left"

    def close(self) -> None:
        """Leaves the terminal as it was."""
        if self._drawn_s >= 0:
            self._stream.write(_ERASE)
            self._stream.flush()


def make_progress_bar(total_bytes: int | None, is_output_elsewhere: bool) -> ProgressBar | None:
    """Returns a bar on standard error if that is a terminal, and translations go elsewhere."""
    if sys.stderr is None or not sys.stderr.isatty():
        return None
    if not is_output_elsewhere and sys.stdout.isatty():
        return None
    return ProgressBar(sys.stderr, total_bytes)


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
