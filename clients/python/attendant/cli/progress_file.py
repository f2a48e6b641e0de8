"""The small file beside an output that says how much of it is whole, as long as a run is not over.

It is replaced at once, and only after what it tells of has reached the disk: however a run ends,
the two fit together.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from attendant.cli.outcome import CommandError, ExitCode

SUFFIX = ".attendant-progress"


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run has come."""

    settings: Mapping[str, Any]
    """What decides what it writes, besides its input."""

    units: int
    """Units that are written."""

    sha256: str
    """Of those units, as they were read."""

    output_bytes: int
    """Bytes that were written for them."""


class ProgressFile:
    """Where progress is kept."""

    def __init__(self, output: Path) -> None:
        self.path = Path(f"{output}{SUFFIX}")

    def load(self) -> Progress:
        """Reads it; raises OSError, and `CommandError` for a file that is none of ours."""
        try:
            return Progress(**json.loads(self.path.read_bytes()))
        except (ValueError, TypeError) as error:
            raise CommandError(f"{self.path}: cannot be understood", ExitCode.USAGE) from error

    def save(self, progress: Progress) -> None:
        """Replaces the file."""
        new = Path(f"{self.path}.new")
        with new.open("wb") as stream:
            stream.write(json.dumps(asdict(progress), ensure_ascii=False).encode())
            stream.flush()
            os.fsync(stream.fileno())
        new.replace(self.path)
        self._sync_folder()

    def remove(self) -> None:
        """Says that the run is over."""
        self.path.unlink()
        self._sync_folder()

    def check(self, progress: Progress, settings: Mapping[str, Any]) -> None:
        """Raises `CommandError` if a run with `settings` would not write the same."""
        for name in {**progress.settings, **settings}:
            old, new = progress.settings.get(name), settings.get(name)
            if old != new:
                found = (
                    f"{name} was {json.dumps(old)} in the run that broke off, {json.dumps(new)} now"
                )
                raise CommandError(f"{self.path}: {found}", ExitCode.USAGE)

    def _sync_folder(self) -> None:
        if os.name != "posix":
            return  # others cannot open a folder
        folder = os.open(self.path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
