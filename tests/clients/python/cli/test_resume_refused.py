"""`attendant translate --output`: what is not overwritten, and what is not taken up."""

import os

import pytest

from ..echo_server import EchoServer
from .broken_runs import LINES, WHOLE, Files, break_off
from .test_decoding import run_here


def test_lines_that_are_not_translated_yet_may_change(server: EchoServer, files: Files) -> None:
    break_off(server, files, 50)
    changed = [*LINES[:50], "mended\n", *LINES[51:], "one more\n"]
    files.input.write_text("".join(changed), encoding="utf-8")
    assert run_here(server.target, *files.options("--resume")) == 0
    assert files.written() == "".join(changed).upper()


@pytest.mark.parametrize("changed", [["other\n", *LINES[1:]], LINES[1:], LINES[:49], []])
def test_lines_that_are_translated_may_not(
    server: EchoServer, files: Files, capsys: pytest.CaptureFixture[str], changed: list[str]
) -> None:
    break_off(server, files, 50)
    capsys.readouterr()
    files.input.write_text("".join(changed), encoding="utf-8")
    before = files.written(), files.recorded()
    assert run_here(server.target, *files.options("--resume")) == 2
    message = "the first 50 texts of the input are not those it was made of"
    assert capsys.readouterr().err == f"attendant: {files.output}: {message}\n"
    assert (files.written(), files.recorded()) == before


@pytest.mark.parametrize(
    ("options", "change"),
    [
        (["--to", "fr"], '--to was "de" in the run that broke off, "fr" now'),
        (["--model", "m"], '--model was "" in the run that broke off, "m" now'),
        (["--json"], "--json was false in the run that broke off, true now"),
        (["--format", "md"], 'the format was "Txt()" in the run that broke off, "Markdown()" now'),
        (
            ["--beam-size", "2"],
            'decoding was {} in the run that broke off, {"beam_size": 2} now',
        ),
    ],
)
def test_other_options_are_refused(
    server: EchoServer,
    files: Files,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    change: str,
) -> None:
    break_off(server, files, 50)
    capsys.readouterr()
    assert run_here(server.target, *files.options("--resume", *options)) == 2
    assert capsys.readouterr().err == f"attendant: {files.progress}: {change}\n"
    assert files.written() == "".join(LINES[:50]).upper()


def test_how_fast_and_where_may_change(server: EchoServer, files: Files) -> None:
    break_off(server, files, 50)
    options = ("--in-flight", "3", "--timeout", "9", "--priority", "bulk")
    assert run_here(server.target, *files.options("--resume", *options)) == 0
    assert files.written() == WHOLE


def test_an_output_is_not_overwritten_unasked(
    server: EchoServer, files: Files, capsys: pytest.CaptureFixture[str]
) -> None:
    files.output.write_text("dear\n")
    assert run_here(server.target, *files.options()) == 2
    message = "is there already; --overwrite replaces it"
    assert capsys.readouterr().err == f"attendant: {files.output}: {message}\n"
    assert run_here(server.target, *files.options("--resume")) == 2
    message = "is there already, and is not what a broken run has left"
    assert capsys.readouterr().err == f"attendant: {files.output}: {message}\n"
    assert files.written() == "dear\n"
    assert run_here(server.target, *files.options("--overwrite")) == 0
    assert files.written() == WHOLE


def test_an_output_that_broke_off_is_not_overwritten_unasked(
    server: EchoServer, files: Files, capsys: pytest.CaptureFixture[str]
) -> None:
    break_off(server, files, 50)
    capsys.readouterr()
    assert run_here(server.target, *files.options()) == 2
    message = "is there already; --resume goes on with it"
    assert capsys.readouterr().err == f"attendant: {files.output}: {message}\n"
    assert run_here(server.target, *files.options("--overwrite")) == 0
    assert files.written() == WHOLE


def test_an_output_that_was_cut_is_refused(
    server: EchoServer, files: Files, capsys: pytest.CaptureFixture[str]
) -> None:
    break_off(server, files, 50)
    capsys.readouterr()
    size = files.recorded()["output_bytes"]
    os.truncate(files.output, size - 1)
    assert run_here(server.target, *files.options("--resume")) == 2
    message = f"has {size - 1} bytes, {size} were written already"
    assert capsys.readouterr().err == f"attendant: {files.output}: {message}\n"


@pytest.mark.parametrize("record", ["", "{}", "[1]", '{"units": 1'])
def test_a_record_that_is_none_is_named(
    server: EchoServer, files: Files, capsys: pytest.CaptureFixture[str], record: str
) -> None:
    files.output.write_text("")
    files.progress.write_text(record)
    assert run_here(server.target, *files.options("--resume")) == 2
    assert capsys.readouterr().err == f"attendant: {files.progress}: cannot be understood\n"


def test_a_run_that_cannot_begin_touches_nothing(nowhere: str, files: Files) -> None:
    assert run_here(nowhere, *files.options()) == 3
    assert not files.output.exists()
    assert not files.progress.exists()
    files.output.write_text("dear\n")
    assert run_here(nowhere, *files.options("--overwrite")) == 3
    assert files.written() == "dear\n"


def test_a_write_that_fails_is_one_line(
    server: EchoServer,
    files: Files,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def no_space(number: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", no_space)
    assert run_here(server.target, *files.options()) == 2
    assert capsys.readouterr().err == f"attendant: {files.output}: No space left on device\n"
