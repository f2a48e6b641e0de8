"""The line that says how far a run is."""

import io
import os
import pty
import re
import subprocess
from pathlib import Path

import pytest
from attendant.cli.formats.unit import Unit
from attendant.cli.progress_bar import ProgressBar

from ..echo_server import PATIENCE_S, EchoServer
from .test_translate import command


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


def ten_bytes(text: str | None = "a") -> Unit:
    return Unit("in:1", "ü" * 5, text)


def test_the_share_is_of_the_bytes_and_the_rate_is_of_the_texts(clock: Clock) -> None:
    bar = ProgressBar(io.StringIO(), 100, clock)
    clock.now_s += 2
    for _ in range(4):
        bar.advance(ten_bytes())
    bar.advance(ten_bytes(None))
    assert bar.line() == " 50% [############............] 4 texts, 2.0/s, 0:02 left"


def test_what_an_earlier_run_did_counts_as_done_and_not_as_fast(clock: Clock) -> None:
    bar = ProgressBar(io.StringIO(), 100, clock)
    for _ in range(8):
        bar.skip(ten_bytes())
    assert bar.line() == " 80% [###################.....] 0 texts, 0.0/s, 0:00 left"
    clock.now_s += 4000
    bar.advance(ten_bytes())
    assert bar.line() == " 90% [######################..] 1 texts, 0.0/s, 1:06:40 left"


def test_without_an_end_the_time_that_passed_is_told(clock: Clock) -> None:
    bar = ProgressBar(io.StringIO(), None, clock)
    clock.now_s += 61
    for _ in range(2000):
        bar.advance(ten_bytes())
    assert bar.line() == "2,000 texts, 32.8/s, 1:01"


def test_more_than_there_should_be_is_no_more_than_all(clock: Clock) -> None:
    bar = ProgressBar(io.StringIO(), 5, clock)
    bar.advance(ten_bytes())
    assert bar.line().startswith("100% [########################] 1 texts")
    assert bar.line().endswith("0:00 left")


def test_it_is_drawn_ten_times_a_second_at_most_and_taken_away(clock: Clock) -> None:
    stream = io.StringIO()
    bar = ProgressBar(stream, 1000, clock)
    for _ in range(50):
        clock.now_s += 0.01
        bar.advance(ten_bytes())
    assert stream.getvalue().count("\r") == 5
    bar.close()
    assert stream.getvalue().endswith("left\r\x1b[K")


def test_what_was_never_drawn_is_not_taken_away() -> None:
    stream = io.StringIO()
    ProgressBar(stream, 1000).close()
    assert stream.getvalue() == ""


def on_terminal(target: str, *options: str, stdout: int) -> str:
    """What the command writes to a standard error that is a terminal."""
    ours, theirs = pty.openpty()
    done = subprocess.run(
        command(target, *options), stderr=theirs, stdout=stdout, timeout=PATIENCE_S, check=False
    )
    os.close(theirs)
    written = b""
    try:
        while chunk := os.read(ours, 4096):
            written += chunk
    except OSError:
        pass  # Linux says so at the end
    os.close(ours)
    assert done.returncode in (0, 2)
    return written.decode()


def test_a_terminal_sees_it_and_an_error_has_a_line_of_its_own(
    server: EchoServer, tmp_path: Path
) -> None:
    path = tmp_path / "texts"
    path.write_bytes(b"a\n" * 10 + b"\xff\n")
    written = on_terminal(server.target, "--file", str(path), stdout=subprocess.DEVNULL)
    assert re.match(r"\r\x1b\[K  9% \[##\.+\] 1 texts, [\d,.]+/s, 0:0\d left", written)
    assert written.endswith(f"left\r\x1b[Kattendant: {path}:11: not UTF-8 at byte 1\r\n")


def test_a_terminal_that_shows_the_translations_sees_none(server: EchoServer) -> None:
    ours, theirs = pty.openpty()
    try:
        assert on_terminal(server.target, "a", stdout=theirs) == ""
    finally:
        os.close(ours)
        os.close(theirs)


def test_standard_error_that_is_piped_stays_empty(server: EchoServer, tmp_path: Path) -> None:
    path = tmp_path / "texts"
    path.write_bytes(b"a\n" * 10)
    options = ("--file", str(path), "--output", f"{path}.out")
    done = subprocess.run(
        command(server.target, *options), capture_output=True, timeout=PATIENCE_S, check=True
    )
    assert (done.stdout, done.stderr) == (b"", b"")
