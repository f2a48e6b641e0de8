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
    folders = _version_folders(folder, "*")
    newest = {package.parent.name: package for package in reversed(folders)}
    return {name: _found(package) for name, package in newest.items()}


def versions(folder: Path, name: str) -> list[FoundPackage]:
    """Every version of the model `name` in `folder`, newest first."""
    return [_found(package) for package in _version_folders(folder, name)]


def _version_folders(folder: Path, name: str) -> list[Path]:
    """Folders with a manifest, newest version first."""
    packages = [manifest.parent for manifest in folder.glob(f"{name}/*/{MANIFEST_FILE}")]
    return sorted(packages, key=lambda path: _version_key(path.name), reverse=True)


def _found(package: Path) -> FoundPackage:
    name, version = package.parent.name, package.name
    return FoundPackage(name, version, package, _fingerprint(package))


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
