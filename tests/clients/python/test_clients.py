"""Both clients against a real server: what holds for one holds for the other."""

import asyncio
import inspect
import threading
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest
from attendant import (
    AsyncClient,
    AttendantError,
    Client,
    DeadlineError,
    FinishReason,
    InternalError,
    InvalidRequestError,
    KeepAlive,
    NotFoundError,
    Options,
    OverloadedError,
    Translation,
    UnavailableError,
)
from grpc_health.v1 import health_pb2

from .echo_server import PATIENCE_S, EchoServer, echo, refuse

Call = Callable[..., Any]

NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


def call_client(target: str, method: str, *arguments: object, **options: object) -> Any:
    constructor = options.pop("client", {})
    with Client(target, **constructor) as client:  # type: ignore[arg-type]
        return getattr(client, method)(*arguments, **options)


def call_async_client(target: str, method: str, *arguments: object, **options: object) -> Any:
    constructor = options.pop("client", {})

    async def main() -> Any:
        async with AsyncClient(target, **constructor) as client:  # type: ignore[arg-type]
            return await getattr(client, method)(*arguments, **options)

    return asyncio.run(main())


@pytest.fixture(params=[call_client, call_async_client], ids=["Client", "AsyncClient"])
def call(request: pytest.FixtureRequest) -> Call:
    """Makes one call with a client of its own, of either kind."""
    made: Call = request.param
    return made


@pytest.fixture
def held(server: EchoServer) -> Iterator[EchoServer]:
    """A server that answers nothing before the test is over."""
    is_over = threading.Event()

    def answer(*call: Any) -> Any:
        is_over.wait(PATIENCE_S)
        return echo(*call)

    server.answer = answer
    yield server
    is_over.set()


EN_DE: Any = {"source_language": "en", "target_language": "de"}


def test_a_string_gives_a_translation(server: EchoServer, call: Call) -> None:
    translation = call(server.target, "translate", "a dog", **EN_DE)
    assert translation == Translation("A DOG", FinishReason.STOP, 2, 3)


@pytest.mark.parametrize("kind", [list, tuple])
def test_a_sequence_gives_a_list_in_its_order(server: EchoServer, call: Call, kind: type) -> None:
    translations = call(server.target, "translate", kind(["b", "a", "", "c"]), **EN_DE)
    assert [str(translation) for translation in translations] == ["B", "A", "", "C"]
    assert translations[2].finish_reason is FinishReason.EMPTY
    assert len(server.requests) == 1


def test_an_empty_sequence_costs_no_call(server: EchoServer, call: Call) -> None:
    assert call(server.target, "translate", [], **EN_DE) == []
    assert server.requests == []


def test_everything_asked_for_reaches_the_server(server: EchoServer, call: Call) -> None:
    options = Options(max_target_tokens=9)
    call(server.target, "translate", "a", model="multi30k", options=options, **EN_DE)
    (request,) = server.requests
    assert (request.source_language, request.target_language) == ("en", "de")
    assert (request.model, request.options.max_target_tokens) == ("multi30k", 9)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (grpc.StatusCode.INVALID_ARGUMENT, InvalidRequestError),
        (grpc.StatusCode.NOT_FOUND, NotFoundError),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, OverloadedError),
        (grpc.StatusCode.INTERNAL, InternalError),
        (grpc.StatusCode.UNIMPLEMENTED, AttendantError),
    ],
)
def test_a_refusal_is_an_error_in_the_servers_words(
    server: EchoServer, call: Call, code: grpc.StatusCode, kind: type[AttendantError]
) -> None:
    server.answer = refuse(code, "target_language: 'xx'; there are de, en")
    with pytest.raises(AttendantError) as caught:
        call(server.target, "translate", "a", **EN_DE)
    assert type(caught.value) is kind
    assert caught.value.code is code
    assert str(caught.value) == "target_language: 'xx'; there are de, en"


def test_a_message_over_the_transports_limit_is_not_taken_for_a_full_queue(
    server: EchoServer, call: Call
) -> None:
    with pytest.raises(InvalidRequestError, match="larger than max"):
        call(server.target, "translate", "a" * 5_000_000, **EN_DE)


def test_a_server_that_is_not_there_is_unavailable(nowhere: str, call: Call) -> None:
    with pytest.raises(UnavailableError):
        call(nowhere, "translate", "a", **EN_DE)


def test_a_call_ends_at_the_clients_deadline(held: EchoServer, call: Call) -> None:
    with pytest.raises(DeadlineError):
        call(held.target, "translate", "a", client={"timeout_s": 0.05}, **EN_DE)


def test_a_calls_own_deadline_goes_before_the_clients(held: EchoServer, call: Call) -> None:
    with pytest.raises(DeadlineError):
        call(held.target, "translate", "a", timeout_s=0.05, client={"timeout_s": None}, **EN_DE)


def test_keep_alive_is_accepted(server: EchoServer, call: Call) -> None:
    options = {"keep_alive": KeepAlive(interval_s=400, without_calls=True)}
    assert str(call(server.target, "translate", "a", client=options, **EN_DE)) == "A"


@pytest.mark.parametrize("field", ["interval_s", "timeout_s"])
def test_keep_alive_refuses_a_time_of_zero_by_name(field: str) -> None:
    with pytest.raises(ValueError, match=f"^{field}: .* 0$"):
        KeepAlive(**{field: 0})  # type: ignore[arg-type]


def test_health_says_what_the_server_says(server: EchoServer, call: Call) -> None:
    assert call(server.target, "is_serving") is True
    server.health.set("", NOT_SERVING)
    assert call(server.target, "is_serving") is False


def test_a_server_that_is_not_there_is_not_serving(nowhere: str, call: Call) -> None:
    assert call(nowhere, "is_serving") is False


def test_a_server_without_health_is_an_error(server: EchoServer, call: Call) -> None:
    server.health.first = [grpc.StatusCode.UNIMPLEMENTED]
    with pytest.raises(AttendantError) as caught:
        call(server.target, "is_serving")
    assert caught.value.code is grpc.StatusCode.UNIMPLEMENTED


def test_waiting_ends_when_the_server_serves(server: EchoServer, call: Call) -> None:
    server.health.first = [NOT_SERVING, grpc.StatusCode.UNAVAILABLE, NOT_SERVING]
    call(server.target, "wait_until_serving", PATIENCE_S)
    assert server.health.first == []


def test_waiting_gives_up_in_time(server: EchoServer, call: Call) -> None:
    server.health.set("", NOT_SERVING)
    with pytest.raises(UnavailableError, match=f"{server.target} was not serving within 0.1 s"):
        call(server.target, "wait_until_serving", 0.1)


def test_a_client_outlives_its_servers_restart() -> None:
    with EchoServer() as first, Client(first.target) as client:
        assert client.is_serving()
        first.__exit__()
        assert not client.is_serving()
        with EchoServer(first.port):
            client.wait_until_serving(PATIENCE_S)
            assert str(client.translate("a", **EN_DE)) == "A"


@pytest.mark.asyncio
async def test_a_cancelled_task_cancels_its_call(server: EchoServer) -> None:
    loop = asyncio.get_running_loop()
    has_started, is_over = asyncio.Event(), threading.Event()

    def answer(request: Any, context: grpc.ServicerContext) -> Any:
        context.add_callback(is_over.set)
        loop.call_soon_threadsafe(has_started.set)
        is_over.wait(PATIENCE_S)
        return echo(request, context)

    server.answer = answer
    async with AsyncClient(server.target, timeout_s=None) as client:
        task = asyncio.create_task(client.translate("a", **EN_DE))
        await has_started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await asyncio.to_thread(is_over.wait, PATIENCE_S)


@pytest.mark.asyncio
async def test_calls_of_one_client_run_together(server: EchoServer) -> None:
    together = threading.Barrier(8)

    def answer(*call: Any) -> Any:
        together.wait(PATIENCE_S)
        return echo(*call)

    server.answer = answer
    async with AsyncClient(server.target) as client:
        calls = [client.translate(letter, **EN_DE) for letter in "abcdefgh"]
        assert "".join(map(str, await asyncio.gather(*calls))) == "ABCDEFGH"


@pytest.mark.parametrize(
    "method", ["__init__", "translate", "translate_stream", "is_serving", "wait_until_serving"]
)
def test_both_clients_take_the_same_arguments(method: str) -> None:
    signature, async_signature = (
        inspect.signature(getattr(client, method)) for client in (Client, AsyncClient)
    )
    assert signature.parameters == async_signature.parameters
