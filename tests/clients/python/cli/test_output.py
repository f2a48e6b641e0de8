"""What is written to a file, and when its record is."""

import json
import os
import re
from pathlib import Path

import pytest
from attendant.cli.formats.unit import Unit
from attendant.cli.output import OutputError, OutputFile
from attendant.cli.progress_file import SUFFIX

from .test_progress_bar import Clock


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What reaches the disk, in order."""
    order: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def record_fsync(number: int) -> None:
        order.append(f"sync {Path(f'/proc/self/fd/{number}').readlink().name}")
        fsync(number)

    def record_replace(self: Path, target: Path) -> Path:
        order.append(f"replace {target.name}")
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", record_fsync)
    monkeypatch.setattr(Path, "replace", record_replace)
    return order


def test_a_record_tells_only_of_what_is_on_the_disk(tmp_path: Path, synced: list[str]) -> None:
    with OutputFile(tmp_path / "out", {}) as output:
        output.begin(overwrite=False)
        output.write(Unit("in:1", "a", "a"), "A")
    save = [f"sync out{SUFFIX}.new", f"replace out{SUFFIX}", f"sync {tmp_path.name}"]
    assert synced == [*save, "sync out", *save, f"sync {tmp_path.name}"]


def test_a_full_disk_is_one_line() -> None:
    message = re.escape("/dev/full: is no file")
    with pytest.raises(OutputError, match=message):
        OutputFile(Path("/dev/full"), {}).begin(overwrite=True)


def test_a_record_is_written_twice_a_second_at_most(tmp_path: Path) -> None:
    clock, path = Clock(), tmp_path / "out"

    def recorded() -> list[int]:
        found = json.loads(Path(f"{path}{SUFFIX}").read_bytes())
        return [found["units"], found["output_bytes"]]

    with OutputFile(path, {}, clock) as output:
        output.begin(overwrite=False)
        output.write(Unit("in:1", "a", "a"), "Ä")
        assert path.read_text() == "Ä"
        assert recorded() == [0, 0]
        clock.now_s += 0.5
        output.write(Unit("in:2", "b", "b"), "BB")
        assert recorded() == [2, 4]
        output.write(Unit("in:3", "c", "c"), "C")
        assert recorded() == [2, 4]
    assert [file.name for file in tmp_path.iterdir()] == ["out"]


def test_an_input_without_units_gives_an_empty_file(tmp_path: Path) -> None:
    with OutputFile(tmp_path / "out", {}) as output:
        output.begin(overwrite=False)
    assert (tmp_path / "out").read_bytes() == b""
    assert [file.name for file in tmp_path.iterdir()] == ["out"]


def test_units_are_told_apart_however_they_are_cut(tmp_path: Path) -> None:
    path = tmp_path / "out"

    def break_off() -> None:
        with OutputFile(path, {}) as output:
            output.begin(overwrite=False)
            output.write(Unit("in:1", "ab", "ab"), "AB")
            output.write(Unit("in:1", "c", "c"), "C")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        break_off()
    others = [Unit("in:1", "a", "a"), Unit("in:1", "bc", "bc")]
    with pytest.raises(OutputError, match="the first 2 texts of the input are not those"):
        OutputFile(path, {}).resume(iter(enumerate(others)), lambda unit: None)
