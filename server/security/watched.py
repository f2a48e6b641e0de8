"""Files that are read again when they change, without a restart."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Generic, TypeVar

from server.errors import CredentialsError

logger = logging.getLogger(__name__)

T = TypeVar("T")
Signature = tuple[tuple[int, int, int] | None, ...]


class Watched(Generic[T]):
    """What was last read from `paths` and could be used.

    A change that cannot be used is warned of once, and what was read before stays.
    """

    def __init__(self, paths: Sequence[Path], read: Callable[[], T]) -> None:
        """Reads at once. `read` raises CredentialsError, and so does this."""
        self._paths = paths
        self._read = read
        # Looked at before it is read: a change in between is seen as one.
        self._signature = self._look()
        self.value = read()

    def refresh(self) -> bool:
        """Reads again if a file has changed; whether there is a new value."""
        signature = self._look()
        if signature == self._signature:
            return False
        self._signature = signature
        names = ", ".join(map(str, self._paths))
        try:
            self.value = self._read()
        except CredentialsError as error:
            logger.warning("%s changed and cannot be used, the old stays: %s", names, error)
            return False
        logger.info("%s changed and was read again", names)
        return True

    def _look(self) -> Signature:
        return tuple(_signature(path) for path in self._paths)


def _signature(path: Path) -> tuple[int, int, int] | None:
    """Changes when the file does; of what a link points to, for that is how mounted secrets
    change.
    """
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size


def read_bytes(path: Path, max_bytes: int) -> bytes:
    """The content of a file of credentials. Raises CredentialsError naming it."""
    try:
        with path.open("rb") as file:
            content = file.read(max_bytes + 1)
    except OSError as error:
        raise CredentialsError(f"{path}: {error.strerror}") from error
    if len(content) > max_bytes:
        raise CredentialsError(f"{path}: it has more than {max_bytes} bytes")
    return content
