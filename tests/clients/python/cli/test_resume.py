"""`attendant translate --output`: a run that breaks off, however it does, is taken up again."""

import random
import signal
import subprocess
import threading
from pathlib import Path
from typing import Any

import grpc
import pytest

from ..echo_server import PATIENCE_S, EchoServer, echo
from .broken_runs import LINES, WHOLE, Files, asked_for, break_off, breaking_at
from .test_decoding import run_here
from .test_translate import command


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


def test_what_is_recorded_before_a_kill_is_not_translated_again(
    server: EchoServer, files: Files
) -> None:
    is_over, has_come = threading.Event(), threading.Event()

    def answer(request: Any, context: grpc.ServicerContext) -> Any:
        if request.texts[0] == LINES[30].strip():
            is_over.wait(0.6)  # what is written next is recorded
        if request.texts[0] == LINES[60].strip():
            has_come.set()
            is_over.wait(PATIENCE_S)
        return echo(request, context)

    server.answer = answer
    options = files.options("--in-flight", "1")
    with subprocess.Popen(command(server.target, *options)) as process:
        assert has_come.wait(PATIENCE_S)
        process.kill()
        process.wait(PATIENCE_S)
    is_over.set()
    units = files.recorded()["units"]
    assert 30 < units < 60
    server.requests.clear()
    assert run_here(server.target, *files.options("--resume")) == 0
    assert files.written() == WHOLE
    assert asked_for(server) == {line.strip() for line in LINES[units:]}


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
