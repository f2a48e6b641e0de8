"""Where translations go: standard output, or a file that a broken run can be taken up in."""

import hashlib
import itertools
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Protocol, Self

from attendant.cli.formats.unit import Unit
from attendant.cli.outcome import CommandError, ExitCode
from attendant.cli.progress_file import Progress, ProgressFile

Numbered = tuple[int, Unit]
"""A unit, and the number of its text among those of the input."""

_SAVE_EVERY_S = 0.5


class OutputError(CommandError):
    """The output cannot be written; the message names the file."""

    def __init__(self, path: Path, problem: object) -> None:
        super().__init__(f"{path}: {problem}", ExitCode.USAGE)


class Output(Protocol):
    """Takes what is written, one unit after another. To be used in a `with` block."""

    def write(self, unit: Unit, text: str) -> None:
        """Writes what has become of the next unit."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...


class StandardOutput:
    """Standard output; each unit is there at once."""

    def write(self, unit: Unit, text: str) -> None:
        """Writes what has become of the next unit."""
        write_now(text)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass


def write_now(text: str) -> None:
    """Writes to standard output, in UTF-8 whatever the locale."""
    sys.stdout.buffer.write(text.encode())
    sys.stdout.buffer.flush()


class OutputFile:
    """A file. What is written is whole units, and half a second of them is lost at most."""

    def __init__(
        self,
        path: Path,
        settings: Mapping[str, Any],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Touches nothing yet; `settings` decide what is written, and JSON can say them."""
        self._path = path
        self._file = ProgressFile(path)
        self._settings = json.loads(json.dumps(settings))
        self._is_new = True
        self._stream: BinaryIO | None = None
        self._units = self._bytes = 0
        self._hash = hashlib.sha256()
        self._clock = clock
        self._saved_s = clock()

    def begin(self, overwrite: bool) -> None:
        """Begins anew; raises OutputError if the file is there and may not be overwritten."""
        self._check_place()
        if self._path.exists() and not overwrite:
            has_broken_off = self._file.path.exists()
            hint = "--resume goes on with it" if has_broken_off else "--overwrite replaces it"
            raise OutputError(self._path, f"is there already; {hint}")

    def resume(self, units: Iterator[Numbered], skipped: Callable[[Unit], None]) -> None:
        """Goes on where a run broke off, or begins where there was none; takes the units that are
        written already from `units`, and shows them to `skipped`.

        Raises CommandError if the run that broke off would have written something else.
        """
        self._check_place()
        if not self._path.exists() and not self._file.path.exists():
            return
        try:
            progress = self._file.load()
        except OSError as error:
            problem = "is there already, and is not what a broken run has left"
            raise OutputError(self._path, problem) from error
        self._file.check(progress, self._settings)
        self._skip(progress, units, skipped)
        self._check_size(progress.output_bytes)
        self._bytes, self._is_new = progress.output_bytes, False

    def _skip(
        self, progress: Progress, units: Iterator[Numbered], skipped: Callable[[Unit], None]
    ) -> None:
        for _, unit in itertools.islice(units, progress.units):
            self._count(unit)
            skipped(unit)
        if (self._units, self._hash.hexdigest()) != (progress.units, progress.sha256):
            problem = f"the first {progress.units} texts of the input are not those it was made of"
            raise OutputError(self._path, problem)

    def _check_place(self) -> None:
        if self._path.exists() and not self._path.is_file():
            raise OutputError(self._path, "is no file")
        if not self._path.parent.is_dir():
            raise OutputError(self._path, "there is no such folder")

    def _check_size(self, size: int) -> None:
        found = self._path.stat().st_size if self._path.exists() else 0
        if found < size:
            raise OutputError(self._path, f"has {found} bytes, {size} were written already")

    def write(self, unit: Unit, text: str) -> None:
        """Writes what has become of the next unit. Raises OutputError."""
        data = text.encode()
        try:
            stream = self._stream or self._open()
            stream.write(data)
            stream.flush()
            self._count(unit)
            self._bytes += len(data)
            if self._clock() - self._saved_s >= _SAVE_EVERY_S:
                self._save()
        except OSError as error:
            raise OutputError(self._path, error.strerror) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, exception_type: type[BaseException] | None, *_: object) -> None:
        if exception_type is not None:
            with suppress(OSError):  # what broke the run is to be told; the last state still holds
                if self._stream is not None:
                    self._save()
                    self._stream.close()
            return
        try:
            stream = self._stream or self._open()
            self._save()
            stream.close()
            self._file.remove()
        except OSError as error:
            raise OutputError(self._path, error.strerror) from error

    def _open(self) -> BinaryIO:
        """Opens the file when there is something to write: a run that cannot begin leaves none."""
        if self._is_new:
            self._save()  # before the file, so that no part of it is ever without
        self._stream = self._path.open("wb" if self._is_new or not self._bytes else "r+b")
        self._stream.truncate(self._bytes)
        self._stream.seek(self._bytes)
        return self._stream

    def _count(self, unit: Unit) -> None:
        self._units += 1
        self._hash.update(repr((unit.source, unit.text)).encode())

    def _save(self) -> None:
        """Lets what is written reach the disk, then tells of it."""
        if self._stream is not None:
            os.fsync(self._stream.fileno())
        digest = self._hash.hexdigest()
        self._file.save(Progress(self._settings, self._units, digest, self._bytes))
        self._saved_s = self._clock()
