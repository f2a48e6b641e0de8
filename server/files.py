"""Reads files of a folder that somebody else has filled."""

from __future__ import annotations

from pathlib import Path

from server.errors import PackageError

MAX_MANIFEST_BYTES = 16 << 20
"""A thousand times what one has."""


def read_inside(folder: Path, path: str, max_bytes: int | None = None) -> bytes:
    """The bytes of the file `path` of `folder`, at most `max_bytes`.

    Raises PackageError naming the file for one that is missing, no plain file, too large, or not
    inside the folder, by `..`, by a link, or by an absolute path.
    """
    found = folder / path
    try:
        real = found.resolve()
        if not real.is_relative_to(folder.resolve()):
            raise PackageError(f"{found}: it is not inside the package")
        if real.exists() and not real.is_file():
            raise PackageError(f"{found}: it is no plain file")
        if max_bytes is not None and real.stat().st_size > max_bytes:
            raise PackageError(f"{found}: it has more than {max_bytes} bytes")
        return real.read_bytes()
    except OSError as error:
        raise PackageError(f"{found}: {error.strerror}") from error
    except (ValueError, RuntimeError) as error:  # a name with a zero byte; a circle of links
        raise PackageError(f"{folder}: no file can be called {path!r}") from error
