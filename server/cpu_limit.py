"""The processors a container grants: the affinity mask and the CFS quotas of cgroup v1 and v2.

A limit such as `docker run --cpus` leaves the affinity mask as it is and stops every thread for the
rest of the period once the quota is spent, so threads counted by the mask alone run in bursts.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

UNIFIED = ""
"""What /proc/self/cgroup calls the one hierarchy of cgroup v2, in place of controllers."""

CPU = "cpu"
"""The controller of cgroup v1 that holds the quota."""

QUOTA_FILES = {UNIFIED: ("cpu.max",), CPU: ("cpu.cfs_quota_us", "cpu.cfs_period_us")}
"""Where each hierarchy keeps quota and period, both in microseconds, in this order."""

USUAL_MOUNTS = [(UNIFIED, "/", "/sys/fs/cgroup"), (CPU, "/", "/sys/fs/cgroup/cpu")]
"""Hierarchy, its folder that is mounted, and where: taken if the mounts cannot be read."""

# proc(5), mountinfo: ids, device, root, mount point, options and tags; type, source, its options.
_MOUNT = re.compile(r"^\d+ \d+ [\d:]+ (\S+) (\S+) .* - (cgroup2?) \S* (\S+)$", re.MULTILINE)


def available_cpus(root: Path = Path("/"), affinity: int | None = None) -> float:
    """The processors this process may use, such as 1.5: the affinity mask's size or, where it is
    smaller, the quota of the process's cgroup or of one above it, of which a container sees none
    above its own. More than 0, never an error: what cannot be read or understood limits nothing.

    Whoever counts threads by it rounds down, to 1 at least: one thread too many spends the quota
    early and all of them wait, one too few leaves a part of a processor idle.

    `root` is the folder that holds proc/ and sys/; `affinity` stands in for the mask's size.
    """
    cpus = len(os.sched_getaffinity(0)) if affinity is None else affinity
    return min([cpus, *_quotas(root)])


def _quotas(root: Path) -> Iterator[float]:
    cgroups = _cgroups(_read(root / "proc/self/cgroup"))
    mounts = _mounts(_read(root / "proc/self/mountinfo")) or USUAL_MOUNTS
    for hierarchy, mounted, point in mounts:
        top = root / point.lstrip("/")
        for folder in _folders(cgroups.get(hierarchy, "/"), mounted, top):
            yield _quota(folder, hierarchy)


def _cgroups(text: str) -> dict[str, str]:
    """The process's cgroup by controller, from the lines `ID:CONTROLLERS:PATH`."""
    found: dict[str, str] = {}
    for line in text.split("\n"):
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if path:
            found |= dict.fromkeys(controllers.split(","), path)
    return found


def _mounts(text: str) -> list[tuple[str, str, str]]:
    """Hierarchy, its folder that is mounted, and where, of each mount that may hold a quota."""
    return [
        (UNIFIED if kind == "cgroup2" else CPU, _unescape(mounted), _unescape(point))
        for mounted, point, kind, options in _MOUNT.findall(text)
        if kind == "cgroup2" or CPU in options.split(",")
    ]


def _unescape(name: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), name)


def _folders(cgroup: str, mounted: str, top: Path) -> list[Path]:
    """The folders of `cgroup` and of all above it, up to `top`, where the hierarchy's folder
    `mounted` is to be seen. None if `cgroup` is not below that: the quotas there are others'.
    """
    path = PurePosixPath(cgroup)
    # A process that was moved out of its cgroup namespace has a path such as /../other.
    if ".." in path.parts or not path.is_relative_to(mounted):
        return []
    below = path.relative_to(mounted)
    leaf = top / below
    return [leaf, *leaf.parents][: len(below.parts) + 1]


def _quota(folder: Path, hierarchy: str) -> float:
    """Processors; infinite where there is no limit, which is `max` or -1 in the file."""
    try:
        quota, period = (
            int(word) for name in QUOTA_FILES[hierarchy] for word in _read(folder / name).split()
        )
        cpus = quota / period
        return cpus if quota > 0 and cpus > 0 else math.inf
    except (ValueError, ArithmeticError):
        return math.inf


def _read(path: Path) -> str:
    """The file's text, empty if it cannot be read."""
    try:
        return os.fsdecode(path.read_bytes())
    except OSError:
        return ""
