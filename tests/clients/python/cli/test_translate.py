"""`attendant translate`: as a process with pipes, and in this process where that is enough."""

import io
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from attendant.cli.main import main

from ..echo_server import (
    PATIENCE_S,
    EchoServer,
    LastComeFirstServed,
    echo,
    refuse,
    refuse_text,
)

# A setting that hides a missing flush must not reach the command.
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}


def command(target: str, *options: str) -> list[str]:
    return [
        *(sys.executable, "-m", "attendant", "translate"),
        *("--target", target, "--from", "en", "--to", "de", *options),
    ]


def run(target: str, *options: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        command(target, *options), input=stdin, capture_output=True, timeout=PATIENCE_S, check=False
    )


def run_here(target: str, *options: str) -> int:
    """Runs the command in this process."""
    return main(command(target, *options)[3:])


@contextmanager
def talking_to(process_command: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    """A process whose input and output the test holds."""
    pipe = subprocess.PIPE
    with subprocess.Popen(
        process_command, stdin=pipe, stdout=pipe, stderr=pipe, env=ENVIRONMENT
    ) as process:
        killer = threading.Timer(PATIENCE_S, process.kill)
        killer.start()
        try:
            yield process
        finally:
            killer.cancel()
            process.kill()


def say(process: subprocess.Popen[bytes], line: bytes) -> None:
    assert process.stdin is not None
    process.stdin.write(line)
    process.stdin.flush()


def hear(process: subprocess.Popen[bytes]) -> bytes:
    assert process.stdout is not None
    return process.stdout.readline()


def errors_of(process: subprocess.Popen[bytes]) -> bytes:
    assert process.stderr is not None
    return process.stderr.read()


def test_a_piped_text_comes_back_in_its_order_with_64_calls_in_flight(server: EchoServer) -> None:
    server.answer = LastComeFirstServed(64)
    words = [f"word {n}" for n in range(64)]
    done = run(server.target, stdin="\n".join(words).encode())
    assert done.stdout.decode().splitlines() == [word.upper() for word in words]
    assert (done.returncode, done.stderr) == (0, b"")
    assert server.max_in_flight == 64


def test_input_that_does_not_end_is_answered_line_by_line(server: EchoServer) -> None:
    with talking_to(command(server.target)) as process:
        for line in (b"one\n", b"\n", b"three\n"):
            say(process, line)
            assert hear(process) == line.upper()
        process.stdin.close()  # type: ignore[union-attr]
        assert process.wait(PATIENCE_S) == 0


def test_bytes_are_utf8_whatever_the_locale(server: EchoServer) -> None:
    done = subprocess.run(
        command(server.target),
        input="füße\n".encode(),
        env={"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        stdout=subprocess.PIPE,
        timeout=PATIENCE_S,
        check=True,
    )
    assert done.stdout.decode() == "FÜSSE\n"


def test_a_reader_that_leaves_ends_the_command_quietly(server: EchoServer) -> None:
    with talking_to(command(server.target)) as process:
        say(process, b"one\n")
        assert hear(process) == b"ONE\n"
        process.stdout.close()  # type: ignore[union-attr]
        say(process, b"two\n")
        assert process.wait(PATIENCE_S) == 141
        assert errors_of(process) == b""


def test_ctrl_c_ends_the_command_quietly_while_it_waits_for_input(server: EchoServer) -> None:
    with talking_to(command(server.target)) as process:
        say(process, b"one\n")
        assert hear(process) == b"ONE\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE_S) == 130
        assert errors_of(process) == b""


def test_ctrl_c_cancels_the_calls_that_run(server: EchoServer) -> None:
    has_started, is_over = threading.Event(), threading.Event()

    def answer(request: Any, context: grpc.ServicerContext) -> Any:
        context.add_callback(is_over.set)
        has_started.set()
        is_over.wait(PATIENCE_S)
        return echo(request, context)

    server.answer = answer
    with talking_to(command(server.target, "a text")) as process:
        assert has_started.wait(PATIENCE_S)
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE_S) == 130
        assert errors_of(process) == b""
    assert is_over.wait(PATIENCE_S)


def test_a_refused_line_ends_the_command_after_all_before_it(server: EchoServer) -> None:
    code = grpc.StatusCode.INVALID_ARGUMENT
    server.answer = refuse_text("three", code, "texts[0]: 600 tokens,\nat most 512")
    done = run(server.target, stdin=b"one\ntwo\nthree\nfour\nfive\n")
    assert done.stdout == b"ONE\nTWO\n"
    assert done.stderr.decode() == (
        "attendant: standard input:3: INVALID_ARGUMENT: texts[0]: 600 tokens, at most 512\n"
    )
    assert done.returncode == 1


def test_arguments_are_translated(
    server: EchoServer, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    assert run_here(server.target, "--model", "multi30k", "a dog", "", "a cat") == 0
    assert capsysbinary.readouterr() == (b"A DOG\n\nA CAT\n", b"")
    assert {request.model for request in server.requests} == {"multi30k"}
    assert {request.source_language for request in server.requests} == {"en"}
    assert {request.target_language for request in server.requests} == {"de"}


def test_a_file_is_translated_line_by_line(
    server: EchoServer, capsysbinary: pytest.CaptureFixture[bytes], tmp_path: Path
) -> None:
    (tmp_path / "texts").write_bytes(b"one\r\n\nthree")
    assert run_here(server.target, "--file", f"{tmp_path}/texts") == 0
    assert capsysbinary.readouterr().out == b"ONE\n\nTHREE\n"


def test_as_many_calls_run_as_asked_for_and_no_more(
    server: EchoServer, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    together = threading.Barrier(3)

    def answer(*call: Any) -> Any:
        together.wait(PATIENCE_S)
        return echo(*call)

    server.answer = answer
    assert run_here(server.target, "--in-flight", "3", *"abcdefghijkl") == 0
    assert capsysbinary.readouterr().out.split() == list(map(str.encode, "ABCDEFGHIJKL"))
    assert server.max_in_flight == 3


def test_a_full_server_is_waited_for(
    server: EchoServer, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    refused: set[str] = set()

    def answer(request: Any, context: grpc.ServicerContext) -> Any:
        if request.texts[0] not in refused:
            refused.add(request.texts[0])
            context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "the queue is full")
        return echo(request, context)

    server.answer = answer
    assert run_here(server.target, *"abcd") == 0
    assert capsysbinary.readouterr() == (b"A\nB\nC\nD\n", b"")
    assert len(server.requests) == 8


def test_a_line_break_in_a_translation_stays_in_its_line(
    server: EchoServer, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    def answer(request: Any, context: grpc.ServicerContext) -> Any:
        response = echo(request, context)
        response.translations[0].text = "a\nb\rc"
        return response

    server.answer = answer
    assert run_here(server.target, "text") == 0
    assert capsysbinary.readouterr().out == b"a b c\n"


def test_undecodable_input_ends_the_command_after_all_before_it(
    server: EchoServer, capsysbinary: pytest.CaptureFixture[bytes], tmp_path: Path
) -> None:
    (tmp_path / "texts").write_bytes(b"one\n\xe4\nthree\n")
    assert run_here(server.target, "--file", f"{tmp_path}/texts") == 2
    message = f"attendant: {tmp_path}/texts:2: not UTF-8 at byte 1\n"
    assert capsysbinary.readouterr() == (b"ONE\n", message.encode())


@pytest.mark.parametrize(
    ("code", "exit_code"),
    [
        (grpc.StatusCode.INVALID_ARGUMENT, 1),
        (grpc.StatusCode.NOT_FOUND, 1),
        (grpc.StatusCode.UNAVAILABLE, 3),
        (grpc.StatusCode.DEADLINE_EXCEEDED, 3),
        (grpc.StatusCode.CANCELLED, 3),
        (grpc.StatusCode.INTERNAL, 4),
        (grpc.StatusCode.UNIMPLEMENTED, 4),
    ],
)
def test_the_exit_code_says_whose_fault_it_was(
    server: EchoServer,
    capsysbinary: pytest.CaptureFixture[bytes],
    code: grpc.StatusCode,
    exit_code: int,
) -> None:
    server.answer = refuse(code, "the server's words")
    assert run_here(server.target, "a") == exit_code
    message = f"attendant: text 1: {code.name}: the server's words\n"
    assert capsysbinary.readouterr() == (b"", message.encode())


def test_a_server_that_is_not_there_is_one_line(
    nowhere: str, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    assert run_here(nowhere, "a") == 3
    (line,) = capsysbinary.readouterr().err.splitlines()
    assert line.startswith(b"attendant: text 1: UNAVAILABLE: ")


def test_a_line_has_a_deadline(
    server: EchoServer, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    is_over = threading.Event()

    def answer(*call: Any) -> Any:
        is_over.wait(PATIENCE_S)
        return echo(*call)

    server.answer = answer
    try:
        assert run_here(server.target, "--timeout", "0.05", "a") == 3
    finally:
        is_over.set()
    assert b"DEADLINE_EXCEEDED" in capsysbinary.readouterr().err


def test_standard_input_that_is_closed_is_an_error(
    monkeypatch: pytest.MonkeyPatch, nowhere: str, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    assert run_here(nowhere) == 2
    assert capsysbinary.readouterr().err == b"attendant: standard input is closed\n"


@pytest.mark.parametrize(
    "options",
    [
        ["--in-flight", "0", "a"],
        ["--in-flight", "many", "a"],
        ["--timeout", "-1", "a"],
        ["--timeout", "inf", "a"],
        ["--file", "texts", "a"],
        ["--unheard-of"],
        ["--beam-size", "0", "a"],
        ["--num-hypotheses", "-2", "a"],
        ["--temperature", "0", "a"],
        ["--top-p", "nan", "a"],
        ["--top-k", "few", "a"],
        ["--seed", "1.5", "a"],
        ["--priority", "urgent", "a"],
    ],
)
def test_a_wrong_command_line_is_refused(
    nowhere: str, options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        run_here(nowhere, *options)
    assert caught.value.code == 2
    assert options[0] in capsys.readouterr().err


def test_standard_input_is_read_in_this_process_too(
    server: EchoServer,
    monkeypatch: pytest.MonkeyPatch,
    capsysbinary: pytest.CaptureFixture[bytes],
    tmp_path: Path,
) -> None:
    (tmp_path / "texts").write_bytes(b"one\n")
    with (tmp_path / "texts").open("rb") as stream:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(stream))
        assert run_here(server.target) == 0
    assert capsysbinary.readouterr().out == b"ONE\n"
