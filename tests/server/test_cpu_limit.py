"""server/cpu_limit.py on trees of files as the kernel shows them to a process, and on this one."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from server.cpu_limit import available_cpus

AFFINITY = 16
V2_MOUNT = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 master:2 - cgroup2 cgroup rw,nsdelegate"


def v1_mount(controllers: str, mounted: str = "/") -> str:
    where = f"/sys/fs/cgroup/{controllers}"
    return f"32 31 0:29 {mounted} {where} rw,relatime - cgroup cgroup rw,{controllers}"


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def describe(root: Path, cgroup: str, *mounts: str) -> None:
    """What the kernel says of the process: its cgroup, and what is mounted, cgroups or not."""
    others = ["22 27 0:21 / /proc rw - proc proc rw", "27 1 254:0 / / rw - ext4 /dev/vda rw"]
    write(root / "proc/self/cgroup", cgroup + "\n")
    write(root / "proc/self/mountinfo", "\n".join([*others, *mounts, ""]))


def limit_v2(root: Path, folder: str, text: str) -> None:
    write(root / "sys/fs/cgroup" / folder / "cpu.max", text + "\n")


def limit_v1(root: Path, folder: str, quota: int, period: int = 100_000) -> None:
    write(root / "sys/fs/cgroup" / folder / "cpu.cfs_quota_us", f"{quota}\n")
    write(root / "sys/fs/cgroup" / folder / "cpu.cfs_period_us", f"{period}\n")


# cgroup v2


@pytest.mark.parametrize(
    ("text", "cpus"),
    [("100000 100000", 1), ("50000 100000", 0.5), ("75000 50000", 1.5), ("max 100000", AFFINITY)],
)
def test_a_container_of_v2_sees_its_own_cgroup_as_the_root(
    text: str, cpus: float, tmp_path: Path
) -> None:
    describe(tmp_path, "0::/", V2_MOUNT)
    limit_v2(tmp_path, "", text)
    assert available_cpus(tmp_path, AFFINITY) == cpus


def test_the_smaller_of_mask_and_quota_counts(tmp_path: Path) -> None:
    describe(tmp_path, "0::/", V2_MOUNT)
    limit_v2(tmp_path, "", "400000 100000")
    assert [available_cpus(tmp_path, affinity) for affinity in (2, 8)] == [2, 4]


@pytest.mark.parametrize(
    ("slice_", "pod", "container", "cpus"),
    [
        ("max 100000", "max 100000", "300000 100000", 3),
        ("max 100000", "200000 100000", "300000 100000", 2),
        ("150000 100000", "max 100000", "max 100000", 1.5),
    ],
)
def test_a_limit_on_any_level_above_counts(
    slice_: str, pod: str, container: str, cpus: float, tmp_path: Path
) -> None:
    describe(tmp_path, "0::/kubepods/pod1/main", V2_MOUNT)
    limit_v2(tmp_path, "kubepods", slice_)
    limit_v2(tmp_path, "kubepods/pod1", pod)
    limit_v2(tmp_path, "kubepods/pod1/main", container)
    limit_v2(tmp_path, "kubepods/pod1/sidecar", "10000 100000")
    limit_v2(tmp_path, "kubepods/pod2", "10000 100000")
    assert available_cpus(tmp_path, AFFINITY) == cpus


def test_nothing_above_the_mount_point_is_read(tmp_path: Path) -> None:
    describe(tmp_path, "0::/job", V2_MOUNT)
    for folder in ("", "sys", "sys/fs"):
        write(tmp_path / folder / "cpu.max", "10000 100000\n")
    limit_v2(tmp_path, "job", "300000 100000")
    assert available_cpus(tmp_path, AFFINITY) == 3


def test_a_container_in_the_hosts_namespace_knows_its_path_on_the_host(tmp_path: Path) -> None:
    mount = V2_MOUNT.replace(" / ", r" /system.slice/app\134x2dab.scope ", 1)
    describe(tmp_path, r"0::/system.slice/app\x2dab.scope/worker", mount)
    limit_v2(tmp_path, "", "300000 100000")
    assert available_cpus(tmp_path, AFFINITY) == 3
    limit_v2(tmp_path, "worker", "200000 100000")
    assert available_cpus(tmp_path, AFFINITY) == 2


def test_the_mount_point_may_be_anywhere_and_hold_a_blank(tmp_path: Path) -> None:
    describe(tmp_path, r"0::/a\x2db.scope", V2_MOUNT.replace("/sys/fs/cgroup", r"/run/c\040groups"))
    write(tmp_path / "run/c groups" / r"a\x2db.scope" / "cpu.max", "200000 100000\n")
    assert available_cpus(tmp_path, AFFINITY) == 2


@pytest.mark.parametrize(
    ("cgroup", "mounted"), [("/", "/../other"), ("/docker/a", "/docker/b"), ("/../other", "/")]
)
def test_the_quota_of_another_cgroup_does_not_count(
    cgroup: str, mounted: str, tmp_path: Path
) -> None:
    describe(tmp_path, f"0::{cgroup}", V2_MOUNT.replace(" / ", f" {mounted} ", 1))
    limit_v2(tmp_path, "", "100000 100000")
    limit_v2(tmp_path, "../other", "100000 100000")
    assert available_cpus(tmp_path, AFFINITY) == AFFINITY


# cgroup v1


@pytest.mark.parametrize(("quota", "cpus"), [(100_000, 1), (150_000, 1.5), (-1, AFFINITY)])
def test_a_container_of_v1_has_its_cgroup_mounted_over_the_root(
    quota: int, cpus: float, tmp_path: Path
) -> None:
    describe(
        tmp_path,
        "5:memory:/docker/ab\n4:cpu,cpuacct:/docker/ab\n1:name=systemd:/docker/ab",
        v1_mount("memory", "/docker/ab"),
        v1_mount("cpu,cpuacct", "/docker/ab"),
    )
    limit_v1(tmp_path, "cpu,cpuacct", quota)
    assert available_cpus(tmp_path, AFFINITY) == cpus


def test_a_limit_above_counts_in_v1_too(tmp_path: Path) -> None:
    describe(tmp_path, "4:cpuacct,cpu:/batch/job", v1_mount("cpuacct,cpu"))
    limit_v1(tmp_path, "cpuacct,cpu", -1)
    limit_v1(tmp_path, "cpuacct,cpu/batch", 100_000, period=50_000)
    limit_v1(tmp_path, "cpuacct,cpu/batch/job", 400_000)
    assert available_cpus(tmp_path, AFFINITY) == 2


def test_only_the_controller_cpu_holds_a_quota(tmp_path: Path) -> None:
    mounts = [v1_mount(controller) for controller in ("cpuset", "cpuacct", "cpu")]
    describe(tmp_path, "3:cpuset:/job\n2:cpuacct:/job\n1:cpu:/", *mounts)
    for folder in ("cpuset", "cpuset/job", "cpuacct/job", "cpu/job"):
        limit_v1(tmp_path, folder, 100_000)
    limit_v1(tmp_path, "cpu", 300_000)
    assert available_cpus(tmp_path, AFFINITY) == 3


# Both


@pytest.mark.parametrize(("v1", "v2", "cpus"), [(2, 3, 2), (3, 2, 2), (3, None, 3)])
def test_with_both_mounted_each_is_read_by_its_own_path(
    v1: int, v2: int | None, cpus: float, tmp_path: Path
) -> None:
    unified = V2_MOUNT.replace("/sys/fs/cgroup", "/sys/fs/cgroup/unified")
    describe(tmp_path, "1:cpu:/old\n0::/new", v1_mount("cpu"), unified)
    limit_v1(tmp_path, "cpu/old", v1 * 100_000)
    limit_v1(tmp_path, "cpu/new", 100_000)
    limit_v2(tmp_path, "unified/old", "100000 100000")
    if v2:
        limit_v2(tmp_path, "unified/new", f"{v2}00000 100000")
    assert available_cpus(tmp_path, AFFINITY) == cpus


# What cannot be read or understood


def test_without_any_file_the_mask_counts(tmp_path: Path) -> None:
    assert available_cpus(tmp_path, AFFINITY) == AFFINITY


def test_without_proc_the_usual_places_are_read(tmp_path: Path) -> None:
    limit_v1(tmp_path, "cpu", 300_000)
    assert available_cpus(tmp_path, AFFINITY) == 3
    limit_v2(tmp_path, "", "200000 100000")
    assert available_cpus(tmp_path, AFFINITY) == 2


def test_a_cgroup_that_is_gone_has_the_limits_above_it(tmp_path: Path) -> None:
    describe(tmp_path, "0::/batch/job (deleted)", V2_MOUNT)
    limit_v2(tmp_path, "batch", "200000 100000")
    assert available_cpus(tmp_path, AFFINITY) == 2


SHORT = ["", "max", "100000", "1 2 3", "1.5 1", "0 100000", "-1 100000", "-1 -1", "1 0", "1 -1"]
LONG = ["9" * 400 + " 1", "1 " + "9" * 400, "9" * 5000 + " 1"]


@pytest.mark.parametrize("text", [*SHORT, *LONG, "\0"], ids=lambda text: repr(text[:10]))
def test_a_malformed_quota_limits_nothing_and_hides_none_above(text: str, tmp_path: Path) -> None:
    describe(tmp_path, "0::/batch/job", V2_MOUNT)
    limit_v2(tmp_path, "batch", "300000 100000")
    limit_v2(tmp_path, "batch/job", text)
    assert available_cpus(tmp_path, AFFINITY) == 3


def test_a_folder_or_bytes_in_place_of_text_limit_nothing(tmp_path: Path) -> None:
    describe(tmp_path, "0::/batch", V2_MOUNT)
    (tmp_path / "sys/fs/cgroup/cpu.max").mkdir(parents=True)
    (tmp_path / "sys/fs/cgroup/batch").mkdir()
    (tmp_path / "sys/fs/cgroup/batch/cpu.max").write_bytes(b"\xff\xfe")
    assert available_cpus(tmp_path, AFFINITY) == AFFINITY


def test_odd_names_hide_no_limit(tmp_path: Path) -> None:
    describe(tmp_path, "0::/caf\x85")
    odd = b"40 27 8:1 / /mnt/caf\xe9\x0b\xc2\x85 rw - ext4 /dev/sda rw\nshort line\n\n"
    mount = V2_MOUNT.replace("/sys/fs/cgroup", "/run/groups")
    (tmp_path / "proc/self/mountinfo").write_bytes(odd + mount.encode())
    write(tmp_path / "run/groups/caf\x85/cpu.max", "200000 100000\n")
    assert available_cpus(tmp_path, AFFINITY) == 2


WORDS = st.lists(
    st.sampled_from(["0:", ":", "cpu", "/", "..", "\\000", " ", "\n", " - ", "cgroup2", "1", "max"])
    | st.text(max_size=3)
).map("".join)


@settings(deadline=None)
@given(WORDS, WORDS, WORDS)
@example("0::/\0\n", V2_MOUNT, "")
@example("0::/" + "a" * 5000, V2_MOUNT, "")
@example("0::relative", V2_MOUNT.replace("/sys", r"\000"), "")
def test_no_text_whatever_is_an_error(cgroup: str, mounts: str, quota: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write(root / "sys/fs/cgroup/cpu.max", quota)
        for name, text in (("cgroup", cgroup), ("mountinfo", mounts)):
            write(root / "proc/self" / name, text)
        assert 0 < available_cpus(root, AFFINITY) <= AFFINITY


@settings(deadline=None)
@given(st.lists(st.none() | st.integers(1_000, 10_000_000), max_size=6))
def test_the_smallest_limit_of_all_levels_counts(quotas: list[int | None]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        describe(root, "0::" + "/job" * len(quotas), V2_MOUNT)
        for depth, quota in enumerate(quotas, start=1):
            limit_v2(root, "job/" * depth, f"{quota or 'max'} 100000")
        limits = [quota / 100_000 for quota in quotas if quota]
        assert available_cpus(root, AFFINITY) == min([AFFINITY, *limits])


# This machine


def test_this_process_may_use_no_more_than_its_mask() -> None:
    mask = os.sched_getaffinity(0)
    assert 0 < available_cpus() <= len(mask)
    os.sched_setaffinity(0, {min(mask)})
    try:
        assert 0 < available_cpus() <= 1
    finally:
        os.sched_setaffinity(0, mask)
