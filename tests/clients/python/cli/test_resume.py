"""`attendant translate --output`: a run that breaks off, however it does, is taken up again."""

import json
import os
import random
import signal
import subprocess
import threading
from pathlib import Path
from typing import Any

import grpc
import pytest
from attendant.cli.progress_file import SUFFIX

from ..echo_server import PATIENCE_S, EchoServer, echo, refuse_text
from .test_decoding import run_here
from .test_translate import command

LINES = [f"line {n} ü{'x' * (n % 7)}\n" for n in range(120)]
WHOLE = "".join(LINES).upper()


class Files:
    """An input, the output that it becomes, and what lies beside that until then."""

    def __init__(self, folder: Path) -> None:
        self.input = folder / "in.txt"
        self.input.write_text("".join(LINES), encoding="utf-8")
        self.output = folder / "out"
        self.progress = Path(f"{self.output}{SUFFIX}")

    def options(self, *more: str) -> list[str]:
        return ["--file", str(self.input), "--output", str(self.output), *more]

    def written(self) -> str:
        return self.output.read_text(encoding="utf-8")

    def recorded(self) -> dict[str, Any]:
        found = json.loads(self.progress.read_text(encoding="utf-8"))
        assert isinstance(found, dict)
        return found


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


def breaking_at(server: EchoServer, text: str) -> None:
    server.answer = refuse_text(text, grpc.StatusCode.INTERNAL, "broken")


def asked_for(server: EchoServer) -> set[str]:
    """The texts that came; some came twice where the first call was cancelled on its way."""
    return {text for request in server.requests for text in request.texts}


def break_off(server: EchoServer, files: Files, at: int) -> None:
    """Lets a run fail at a line, and makes the server well again."""
    breaking_at(server, LINES[at].strip())
    assert run_here(server.target, *files.options()) == 4
    server.answer = echo
    server.requests.clear()


def test_a_whole_run_leaves_its_output_alone(server: EchoServer, files: Files) -> None:
    assert run_here(server.target, *files.options()) == 0
    assert files.written() == WHOLE
    assert not files.progress.exists()


def test_a_run_that_failed_leaves_whole_lines_and_goes_on_after_them(
    server: EchoServer, files: Files
) -> None:
    break_off(server, files, 50)
    assert files.written() == "".join(LINES[:50]).upper()
    assert files.recorded()["units"] == 50
    assert run_here(server.target, *files.options("--resume")) == 0
    assert files.written() == WHOLE
    assert not files.progress.exists()
    assert asked_for(server) == {line.strip() for line in LINES[50:]}


def test_a_run_can_break_off_again_and_again(server: EchoServer, files: Files) -> None:
    for at in (0, 1, 7, 7, 119):
        breaking_at(server, LINES[at].strip())
        assert run_here(server.target, *files.options("--resume")) == 4
        if at:
            assert files.written() == "".join(LINES[:at]).upper()
    server.answer = echo
    assert run_here(server.target, *files.options("--resume")) == 0
    assert files.written() == WHOLE


def killed_after(num_requests: int, server: EchoServer, files: Files) -> None:
    """Starts a run, and kills it when the server has seen so many requests."""
    seen, is_over = threading.Semaphore(0), threading.Event()

    def answer(*call: Any) -> Any:
        if len(server.requests) > num_requests:
            is_over.wait(PATIENCE_S)
        seen.release()
        return echo(*call)

    server.answer = answer
    options = files.options("--resume", "--in-flight", "2")
    with subprocess.Popen(command(server.target, *options)) as process:
        for _ in range(num_requests):
            assert seen.acquire(timeout=PATIENCE_S)
        process.kill()
        process.wait(PATIENCE_S)
    is_over.set()
    server.answer = echo
    server.requests.clear()


@pytest.mark.parametrize("num_requests", [1, 2, 40, 90])
def test_a_run_that_was_killed_goes_on(server: EchoServer, files: Files, num_requests: int) -> None:
    killed_after(num_requests, server, files)
    assert run_here(server.target, *files.options("--resume")) == 0
    assert files.written() == WHOLE
    assert sorted(path.name for path in files.output.parent.iterdir()) == ["in.txt", "out"]


def test_a_run_that_was_killed_many_times_goes_on(server: EchoServer, files: Files) -> None:
    for _ in range(3):
        killed_after(random.randint(1, 60), server, files)
    assert run_here(server.target, *files.options("--resume")) == 0
    assert files.written() == WHOLE


def test_ctrl_c_leaves_whole_lines_and_goes_on_after_them(server: EchoServer, files: Files) -> None:
    is_over, has_come = threading.Event(), threading.Event()

    def answer(request: Any, context: grpc.ServicerContext) -> Any:
        if request.texts[0] == LINES[60].strip():
            has_come.set()
            is_over.wait(PATIENCE_S)
        return echo(request, context)

    server.answer = answer
    options = files.options("--in-flight", "1")
    with subprocess.Popen(command(server.target, *options), stderr=subprocess.PIPE) as process:
        assert has_come.wait(PATIENCE_S)
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE_S) == 130
        assert process.stderr is not None
        assert process.stderr.read() == b""
    is_over.set()
    assert files.written() == "".join(LINES[:60]).upper()
    assert files.recorded()["units"] == 60
    server.requests.clear()
    assert run_here(server.target, *files.options("--resume")) == 0
    assert files.written() == WHOLE
    assert asked_for(server) == {line.strip() for line in LINES[60:]}


def test_what_comes_after_the_last_record_is_written_again(
    server: EchoServer, files: Files
) -> None:
    break_off(server, files, 50)
    with files.output.open("a", encoding="utf-8") as stream:
        stream.write("HALF A LI")
    assert run_here(server.target, *files.options("--resume")) == 0
    assert files.written() == WHOLE


def test_numbers_of_texts_go_on(server: EchoServer, files: Files) -> None:
    break_off(server, files, 50)
    options = ("--num-hypotheses", "2", "--beam-size", "2", "--overwrite")
    breaking_at(server, LINES[50].strip())
    assert run_here(server.target, *files.options(*options)) == 4
    server.answer = echo
    assert run_here(server.target, *files.options(*options[:-1], "--resume")) == 0
    numbers = [line.split("\t")[0] for line in files.written().splitlines()]
    assert numbers == [str(n) for n in range(1, len(LINES) + 1)]


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


@pytest.mark.parametrize("name", ["a.tsv", "a.jsonl", "a.srt", "a.md"])
def test_every_format_goes_on(server: EchoServer, files: Files, name: str) -> None:
    samples = {
        "a.tsv": lambda n: f"{n}\ttext {n}\r\n",
        "a.jsonl": lambda n: f'{{"n": {n}, "text": "text {n}"}}\n',
        "a.srt": lambda n: f"{n}\n00:00:{n:02},000 --> 00:00:{n:02},900\n<i>text\n{n}</i>\n\n",
        "a.md": lambda n: f"# text {n}\n\n```\ncode\n```\n\n",
    }
    files.input = files.input.with_name(name)
    files.input.write_text("".join(map(samples[name], range(30))), newline="")
    options = ["--column", "2"] if name == "a.tsv" else []
    whole = ["--file", str(files.input), "--output", f"{files.output}.whole", *options]
    assert run_here(server.target, *whole) == 0
    breaking_at(server, "text 17")
    assert run_here(server.target, *files.options(*options)) == 4
    server.answer = echo
    server.requests.clear()
    assert run_here(server.target, *files.options("--resume", *options)) == 0
    assert files.output.read_bytes() == Path(f"{files.output}.whole").read_bytes()
    assert len(asked_for(server)) == 13


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


def test_standard_input_that_is_sent_again_is_skipped(server: EchoServer, files: Files) -> None:
    options = ("--output", str(files.output), "--resume")
    breaking_at(server, LINES[50].strip())
    for exit_code in (4, 0):
        with files.input.open("rb") as stream:
            done = subprocess.run(
                command(server.target, *options), stdin=stream, timeout=PATIENCE_S, check=False
            )
        assert done.returncode == exit_code
        server.answer = echo
    assert files.written() == WHOLE
