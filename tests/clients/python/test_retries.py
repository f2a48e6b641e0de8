"""What is asked again, and where calls go when there are several servers."""

from collections.abc import Callable
from typing import Any

import grpc
import pytest
from attendant import (
    NO_RETRIES,
    AsyncClient,
    AttendantError,
    Client,
    DeadlineError,
    InternalError,
    InvalidRequestError,
    OverloadedError,
    Retries,
    UnavailableError,
)
from attendant_protos.v1 import translation_pb2 as pb

from .echo_server import EchoServer, echo, echo_stream
from .test_clients import EN_DE, Call, call_async_client, call_client
from .test_streams import Read, read_all, read_all_async

QUICK = Retries(attempts=4, first_s=0.001, longest_s=0.002)
UNAVAILABLE, EXHAUSTED = grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED


@pytest.fixture(params=[call_client, call_async_client], ids=["Client", "AsyncClient"])
def call(request: pytest.FixtureRequest) -> Call:
    made: Call = request.param
    return made


@pytest.fixture(params=[read_all, read_all_async], ids=["Client", "AsyncClient"])
def read(request: pytest.FixtureRequest) -> Read:
    made: Read = request.param
    return made


def failing(count: int, code: grpc.StatusCode, hint_ms: int | None = None) -> Callable[..., None]:
    """Fails its first `count` calls."""
    left = [count]

    def fail(context: grpc.ServicerContext) -> None:
        if left[0]:
            left[0] -= 1
            if hint_ms is not None:
                context.set_trailing_metadata((("grpc-retry-pushback-ms", str(hint_ms)),))
            context.abort(code, "not now")

    return fail


@pytest.mark.parametrize("code", [UNAVAILABLE, EXHAUSTED])
def test_a_server_away_or_full_is_asked_again(
    server: EchoServer, call: Call, code: grpc.StatusCode
) -> None:
    fail = failing(3, code)

    def answer(request: pb.TranslateRequest, context: grpc.ServicerContext) -> Any:
        fail(context)
        return echo(request, context)

    server.answer = answer
    client = {"retries": QUICK}
    assert str(call(server.target, "translate", "a", client=client, **EN_DE)) == "A"
    assert len(server.requests) == 4


@pytest.mark.parametrize(
    ("code", "error", "num_requests"),
    [
        (UNAVAILABLE, UnavailableError, 4),
        (EXHAUSTED, OverloadedError, 4),
        (grpc.StatusCode.INVALID_ARGUMENT, InvalidRequestError, 1),
        (grpc.StatusCode.INTERNAL, InternalError, 1),
        (grpc.StatusCode.DEADLINE_EXCEEDED, DeadlineError, 1),
    ],
)
def test_in_the_end_the_error_is_raised_and_others_are_at_once(
    server: EchoServer,
    call: Call,
    code: grpc.StatusCode,
    error: type[AttendantError],
    num_requests: int,
) -> None:
    server.answer = lambda _request, context: context.abort(code, "never")
    with pytest.raises(error):
        call(server.target, "translate", "a", client={"retries": QUICK}, **EN_DE)
    assert len(server.requests) == num_requests


def test_whoever_wants_no_retries_gets_none(server: EchoServer, call: Call) -> None:
    server.answer = lambda _request, context: context.abort(UNAVAILABLE, "never")
    with pytest.raises(UnavailableError):
        call(server.target, "translate", "a", client={"retries": NO_RETRIES}, **EN_DE)
    assert len(server.requests) == 1


def test_a_server_that_wants_to_be_left_alone_for_longer_than_there_is_time_is(
    server: EchoServer, call: Call
) -> None:
    fail = failing(1, EXHAUSTED, hint_ms=3_600_000)
    server.answer = lambda _request, context: fail(context)
    with pytest.raises(OverloadedError) as caught:
        call(server.target, "translate", "a", client={"retries": QUICK}, **EN_DE)
    assert caught.value.retry_after_s == 3600
    assert len(server.requests) == 1


def test_no_pause_is_shorter_than_the_servers_hint_or_reaches_the_deadline() -> None:
    error = OverloadedError("full")
    error.retry_after_s = 7.0
    retries = Retries(attempts=3, first_s=0.1)
    assert retries.begin(None).pause_s(error) == 7.0
    assert retries.begin(60.0).pause_s(error) == 7.0
    assert retries.begin(6.9).pause_s(error) is None
    attempts = retries.begin(None)
    pauses = [attempts.pause_s(UnavailableError("away")) for _ in range(3)]
    assert pauses[2] is None
    assert 0.05 <= (pauses[0] or 0) <= 0.1 <= (pauses[1] or 0) <= 0.2


@pytest.mark.parametrize(
    ("field", "value"), [("attempts", 0), ("first_s", 0.0), ("longest_s", -1.0)]
)
def test_nonsense_is_refused(field: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"^{field}: must be"):
        Retries(**{field: value})


def test_a_stream_that_has_not_begun_is_asked_for_again(server: EchoServer, read: Read) -> None:
    fail = failing(2, UNAVAILABLE)

    def answer(request: pb.TranslateStreamRequest, context: grpc.ServicerContext) -> Any:
        fail(context)
        yield from echo_stream(request, context)

    server.stream_answer = answer
    parts = read(server.target, "a dog", client={"retries": QUICK})
    assert "".join(map(str, parts)) == "A DOG"
    assert len(server.stream_requests) == 3


def test_a_stream_that_has_begun_is_not(server: EchoServer, read: Read) -> None:
    def answer(_request: Any, context: grpc.ServicerContext) -> Any:
        yield pb.TranslateStreamResponse(text="A")
        context.abort(UNAVAILABLE, "gone")

    server.stream_answer = answer
    with pytest.raises(UnavailableError):
        read(server.target, "a dog", client={"retries": QUICK})
    assert len(server.stream_requests) == 1


def test_calls_take_turns_between_servers_and_one_that_is_gone_is_left_out() -> None:
    with (
        EchoServer() as first,
        EchoServer() as second,
        Client(f"ipv4:{first.target},{second.target}") as client,
    ):
        while not (first.requests and second.requests):
            client.translate("a", **EN_DE)
        before = (len(first.requests), len(second.requests))
        for _ in range(10):
            client.translate("a", **EN_DE)
        assert (len(first.requests), len(second.requests)) == (before[0] + 5, before[1] + 5)
        second.__exit__()
        assert [str(client.translate("a", **EN_DE)) for _ in range(10)] == ["A"] * 10


@pytest.mark.asyncio
async def test_tasks_take_turns_too() -> None:
    with EchoServer() as first, EchoServer() as second:
        async with AsyncClient(f"ipv4:{first.target},{second.target}") as client:
            while not (first.requests and second.requests):
                await client.translate("a", **EN_DE)
