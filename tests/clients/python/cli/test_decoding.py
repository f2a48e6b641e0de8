"""`attendant translate`: what its options ask for, and the columns and lines they bring."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from attendant.cli.main import main
from attendant_protos.v1 import translation_pb2 as pb

from ..echo_server import PATIENCE_S, EchoServer, echo, echo_stream


def arguments(target: str, *options: str) -> list[str]:
    return ["translate", "--target", target, "--from", "en", "--to", "de", *options]


def run_here(target: str, *options: str) -> int:
    return main(arguments(target, *options))


def hypothesis(text: str, score: float, words: str) -> pb.Hypothesis:
    return pb.Hypothesis(text=text, score=score, alignment=pb.Alignment(words=words))


def detailed(*call: Any) -> pb.TranslateResponse:
    """An echo with two hypotheses a text, none for an empty one."""
    response = echo(*call)
    for translation in response.translations:
        if text := translation.text:
            best, other = hypothesis(text, -0.25, "0-0"), hypothesis(f"{text}!", -1.5, "0-0 0-1")
            translation.hypotheses.extend([best, other])
    return response


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([], pb.TranslateRequest()),
        (["--beam-size", "4"], pb.TranslateRequest(options={"beam_size": 4})),
        (
            ["--beam-size", "4", "--num-hypotheses", "2"],
            pb.TranslateRequest(options={"beam_size": 4, "num_hypotheses": 2}),
        ),
        (["--sample"], pb.TranslateRequest(options={"sampling": {}})),
        (["--temperature", "0.5"], pb.TranslateRequest(options={"sampling": {"temperature": 0.5}})),
        (["--top-k", "0"], pb.TranslateRequest(options={"sampling": {"top_k": 0}})),
        (["--top-p", "0.25"], pb.TranslateRequest(options={"sampling": {"top_p": 0.25}})),
        (["--seed", "0"], pb.TranslateRequest(options={"sampling": {"seed": 0}})),
        (
            ["--sample", "--seed", "7", "--top-k", "3"],
            pb.TranslateRequest(options={"sampling": {"seed": 7, "top_k": 3}}),
        ),
        (["--priority", "bulk"], pb.TranslateRequest(priority=pb.PRIORITY_BULK)),
        (["--priority", "interactive"], pb.TranslateRequest(priority=pb.PRIORITY_INTERACTIVE)),
        (["--scores"], pb.TranslateRequest(output={"scores": True})),
        (["--alignment"], pb.TranslateRequest(output={"alignment": True})),
    ],
)
def test_what_is_asked_for_is_sent_by_both_calls(
    server: EchoServer, options: list[str], expected: pb.TranslateRequest
) -> None:
    assert run_here(server.target, *options, "a") == 0
    (sent,) = server.requests
    expected.MergeFrom(pb.TranslateRequest(source_language="en", target_language="de", texts=["a"]))
    assert sent == expected
    if "--num-hypotheses" not in options:
        assert run_here(server.target, "--stream", *options, "a") == 0
        (streamed,) = server.stream_requests
        for field in ("options", "priority", "output"):
            assert getattr(streamed, field) == getattr(expected, field)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--scores"], "A\t-0.2500\n\t\nB\t-0.2500\n"),
        (["--alignment"], "A\t0-0\n\t\nB\t0-0\n"),
        (["--scores", "--alignment"], "A\t-0.2500\t0-0\n\t\t\nB\t-0.2500\t0-0\n"),
        (["--num-hypotheses", "2"], "1\tA\n1\tA!\n2\t\n3\tB\n3\tB!\n"),
        (
            ["--num-hypotheses", "2", "--scores", "--alignment"],
            "1\tA\t-0.2500\t0-0\n1\tA!\t-1.5000\t0-0 0-1\n2\t\t\t\n"
            "3\tB\t-0.2500\t0-0\n3\tB!\t-1.5000\t0-0 0-1\n",
        ),
        (["--num-hypotheses", "1"], "A\n\nB\n"),
    ],
)
def test_columns_follow_the_text(
    server: EchoServer,
    capsysbinary: pytest.CaptureFixture[bytes],
    options: list[str],
    expected: str,
) -> None:
    server.answer = detailed
    assert run_here(server.target, *options, "a", "", "b") == 0
    assert capsysbinary.readouterr() == (expected.encode(), b"")


def test_breaks_and_tabs_of_a_hypothesis_stay_in_its_column(
    server: EchoServer, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    def answer(request: Any, context: grpc.ServicerContext) -> Any:
        response = echo(request, context)
        response.translations[0].hypotheses.append(hypothesis("a\nb\tc\rd", -1.0, "0-0"))
        return response

    server.answer = answer
    assert run_here(server.target, "--num-hypotheses", "2", "--scores", "text") == 0
    assert capsysbinary.readouterr().out == b"1\ta b c d\t-1.0000\n"


def test_a_stream_writes_what_the_other_call_writes(
    server: EchoServer, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    def stream(*call: Any) -> Iterator[pb.TranslateStreamResponse]:
        for part in echo_stream(*call):
            if part.HasField("translation") and (text := part.translation.text):
                part.translation.hypotheses.append(hypothesis(text, -0.25, "0-0"))
            yield part

    server.stream_answer = stream
    assert run_here(server.target, "--stream", "--scores", "--alignment", "a dog", "", "b") == 0
    assert capsysbinary.readouterr() == (b"A DOG\t-0.2500\t0-0\n\t\t\nB\t-0.2500\t0-0\n", b"")
    assert server.requests == []


def test_a_part_is_written_before_the_next_has_come(server: EchoServer) -> None:
    may_go_on = threading.Event()

    def stream(*call: Any) -> Iterator[pb.TranslateStreamResponse]:
        first, *rest = echo_stream(*call)
        yield first
        assert may_go_on.wait(5)
        yield from rest

    server.stream_answer = stream
    command = [sys.executable, "-m", "attendant", *arguments(server.target, "--stream", "a dog")]
    # A setting that hides a missing flush must not reach the command.
    environment = {name: value for name, value in os.environ.items() if "UNBUFFERED" not in name}
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as process:
        assert process.stdout is not None
        assert process.stdout.read(1) == b"A"
        assert process.poll() is None
        may_go_on.set()
        assert process.stdout.read() == b" DOG\n"
        assert process.wait(PATIENCE_S) == 0


def test_a_stream_of_a_full_server_is_waited_for(
    server: EchoServer, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    def stream(request: Any, context: grpc.ServicerContext) -> Iterator[pb.TranslateStreamResponse]:
        if len(server.stream_requests) < 3:
            context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "the queue is full")
        yield from echo_stream(request, context)

    server.stream_answer = stream
    assert run_here(server.target, "--stream", "a") == 0
    assert capsysbinary.readouterr() == (b"A\n", b"")
    assert len(server.stream_requests) == 3


@pytest.mark.parametrize("code", [grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.UNAVAILABLE])
def test_a_stream_that_breaks_off_ends_the_command_with_its_line(
    server: EchoServer, capsysbinary: pytest.CaptureFixture[bytes], code: grpc.StatusCode
) -> None:
    def stream(request: Any, context: grpc.ServicerContext) -> Iterator[pb.TranslateStreamResponse]:
        if request.text == "b b":
            yield pb.TranslateStreamResponse(text="B")
            context.abort(code, "it has gone")
        yield from echo_stream(request, context)

    server.stream_answer = stream
    assert run_here(server.target, "--stream", "a", "b b", "c") == 3
    message = f"attendant: text 2: {code.name}: it has gone\n"
    assert capsysbinary.readouterr() == (b"A\nB\n", message.encode())


def test_a_stream_has_one_translation_a_line(
    nowhere: str, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("--stream", "--beam-size", "2", "--num-hypotheses", "2", "a")
    assert run_here(nowhere, *options) == 2
    assert capsys.readouterr().err == "attendant: --stream: writes one translation a line\n"


def test_what_cannot_be_sent_names_its_line(
    server: EchoServer, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    for options in ([], ["--stream"]):
        assert run_here(server.target, *options, "--top-k", "-1", "a") == 1
        message = "attendant: text 1: INVALID_ARGUMENT: options.sampling.top_k: cannot be -1\n"
        assert capsysbinary.readouterr() == (b"", message.encode())
