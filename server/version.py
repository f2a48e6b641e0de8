"""The version of what runs."""

from __future__ import annotations

from importlib import metadata

DISTRIBUTION = "attendant-house"


def server_version() -> str:
    """As installed; "unknown" where the server runs from a folder without having been."""
    try:
        return metadata.version(DISTRIBUTION)
    except metadata.PackageNotFoundError:
        return "unknown"
