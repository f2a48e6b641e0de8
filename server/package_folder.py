"""Which packages lie in a folder, NAME/VERSION/, and whether one has changed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from server.errors import PackageError
from server.package import MANIFEST_FILE


@dataclass(frozen=True)
class FoundPackage:
    """A package on disk: unread, and perhaps still being copied."""

    name: str
    version: str
    folder: Path
    fingerprint: tuple[tuple[str, int, int], ...]
    """Path, size and time of change of each of its files."""

    @property
    def label(self) -> str:
        """name/version."""
        return f"{self.name}/{self.version}"

    @property
    def num_bytes(self) -> int:
        """Of its files together."""
        return sum(size for _, size, _ in self.fingerprint)


def newest_packages(folder: Path) -> dict[str, FoundPackage]:
    """The newest version of each model in `folder`, by name."""
    found: dict[str, FoundPackage] = {}
    manifests = folder.glob(f"*/*/{MANIFEST_FILE}")
    for manifest in sorted(manifests, key=lambda path: _version_key(path.parent.name)):
        package = manifest.parent
        name = package.parent.name
        found[name] = FoundPackage(name, package.name, package, _fingerprint(package))
    return found


def newest_package(folder: Path) -> Path:
    """The folder of the only model's newest version, or of the first by name. Raises PackageError
    if there is none.
    """
    found = newest_packages(folder)
    if not found:
        raise PackageError(f"{folder}: no model package NAME/VERSION/{MANIFEST_FILE} in it")
    return found[min(found)].folder


def _version_key(version: str) -> tuple[int, str]:
    return (int(version), "") if version.isdecimal() else (-1, version)


def _fingerprint(package: Path) -> tuple[tuple[str, int, int], ...]:
    files = []
    for path in sorted(package.rglob("*")):
        try:
            stat = path.stat()
        except OSError:  # it went while we looked
            continue
        if path.is_file():
            files.append((str(path.relative_to(package)), stat.st_size, stat.st_mtime_ns))
    return tuple(files)
