"""Files that change under a running server."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from server.errors import CredentialsError
from server.security.watched import Watched


def make(path: Path, content: str) -> Watched[int]:
    path.write_text(content)

    def read() -> int:
        if not path.exists() or not path.read_text().isdecimal():
            raise CredentialsError(f"{path}: no number")
        return int(path.read_text())

    return Watched([path], read)


def test_nothing_is_read_again_until_a_file_changes(tmp_path: Path) -> None:
    watched = make(tmp_path / "file", "1")
    assert not watched.refresh()
    (tmp_path / "file").write_text("22")
    assert watched.refresh()
    assert not watched.refresh()
    assert watched.value == 22


def test_the_same_length_in_the_same_second_is_a_change(tmp_path: Path) -> None:
    watched = make(tmp_path / "file", "1")
    (tmp_path / "file").write_text("2")
    os.utime(tmp_path / "file", ns=(0, 1))
    assert watched.refresh()
    assert watched.value == 2


def test_a_file_in_anothers_place_is_a_change(tmp_path: Path) -> None:
    watched = make(tmp_path / "file", "1")
    status = (tmp_path / "file").stat()
    (tmp_path / "new").write_text("2")
    os.utime(tmp_path / "new", ns=(status.st_atime_ns, status.st_mtime_ns))
    (tmp_path / "new").rename(tmp_path / "file")
    assert watched.refresh()
    assert watched.value == 2


def test_a_link_to_another_folder_is_a_change_as_of_mounted_secrets(tmp_path: Path) -> None:
    for name, content in (("a", "1"), ("b", "2")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(content)
    (tmp_path / "data").symlink_to("a")
    path = tmp_path / "data" / "file"
    watched = Watched([path], lambda: int(path.read_text()))
    (tmp_path / "new").symlink_to("b")
    (tmp_path / "new").rename(tmp_path / "data")
    assert watched.refresh()
    assert watched.value == 2


def test_what_cannot_be_used_leaves_the_old_and_is_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    watched = make(tmp_path / "file", "1")
    (tmp_path / "file").write_text("broken")
    assert [watched.refresh() for _ in range(3)] == [False] * 3
    (tmp_path / "file").unlink()
    assert not watched.refresh()
    assert watched.value == 1
    warnings = [record.message for record in caplog.records]
    assert len(warnings) == 2
    assert all(str(tmp_path / "file") in each and "the old stays" in each for each in warnings)
    (tmp_path / "file").write_text("3")
    assert watched.refresh()
    assert watched.value == 3


def test_a_file_that_cannot_be_used_at_the_start_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CredentialsError, match="no number"):
        make(tmp_path / "file", "broken")
