"""Streams of both clients: what holds for one holds for the other."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing, closing
from typing import Any

import grpc
import pytest
from attendant import (
    AsyncClient,
    Client,
    DeadlineError,
    InternalError,
    InvalidRequestError,
    NotFoundError,
    Options,
    OverloadedError,
    Translation,
    TranslationPart,
    UnavailableError,
)
from attendant_protos.v1 import translation_pb2 as pb

from .echo_server import PATIENCE_S, EchoServer, echo_stream

EN_DE: Any = {"source_language": "en", "target_language": "de"}
Read = Callable[..., list[TranslationPart]]


def read_all(target: str, text: str, client: Any = None, **options: Any) -> list[TranslationPart]:
    with Client(target, **(client or {})) as made:
        return list(made.translate_stream(text, **EN_DE, **options))


def read_all_async(
    target: str, text: str, client: Any = None, **options: Any
) -> list[TranslationPart]:
    async def main() -> list[TranslationPart]:
        async with AsyncClient(target, **(client or {})) as made:
            return [part async for part in made.translate_stream(text, **EN_DE, **options)]

    return asyncio.run(main())


@pytest.fixture(params=[read_all, read_all_async], ids=["Client", "AsyncClient"])
def read(request: pytest.FixtureRequest) -> Read:
    """Reads a whole stream with a client of its own, of either kind."""
    made: Read = request.param
    return made


def test_parts_come_in_order_and_the_translation_last(server: EchoServer, read: Read) -> None:
    *parts, last = read(server.target, "a dog runs")
    assert [str(part) for part in parts] == ["A", " DOG", " RUNS"]
    assert all(part.translation is None for part in parts)
    assert isinstance(last.translation, Translation)
    assert last.translation.text == "A DOG RUNS"


def test_an_empty_text_is_one_part(server: EchoServer, read: Read) -> None:
    (part,) = read(server.target, "")
    assert str(part.translation) == ""


def test_everything_asked_for_reaches_the_server(server: EchoServer, read: Read) -> None:
    read(server.target, "a", model="m", options=Options(beam_size=3, target_prefix="Ein"))
    (request,) = server.stream_requests
    assert request == pb.TranslateStreamRequest(
        text="a",
        model="m",
        options=pb.DecodingOptions(beam_size=3),
        target_prefix="Ein",
        **EN_DE,
    )


@pytest.mark.parametrize("num_parts", [0, 1])
@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (grpc.StatusCode.INVALID_ARGUMENT, InvalidRequestError),
        (grpc.StatusCode.NOT_FOUND, NotFoundError),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, OverloadedError),
        (grpc.StatusCode.UNAVAILABLE, UnavailableError),
    ],
)
def test_a_failure_is_an_error_in_the_servers_words(
    server: EchoServer, read: Read, num_parts: int, code: grpc.StatusCode, kind: type[Exception]
) -> None:
    def answer(*call: Any) -> Iterator[pb.TranslateStreamResponse]:
        yield from list(echo_stream(*call))[:num_parts]
        call[1].abort(code, "the server's words")

    server.stream_answer = answer
    with pytest.raises(kind, match=r"^the server's words$"):
        read(server.target, "a dog")


def test_a_server_that_is_not_there_is_unavailable(nowhere: str, read: Read) -> None:
    with pytest.raises(UnavailableError):
        read(nowhere, "a")


def test_a_stream_without_its_end_is_an_error(server: EchoServer, read: Read) -> None:
    server.stream_answer = lambda *call: iter(list(echo_stream(*call))[:-1])
    with pytest.raises(InternalError, match="ended the stream without the translation"):
        read(server.target, "a dog")


def test_what_cannot_be_sent_is_refused_before_anything_is_read(server: EchoServer) -> None:
    options = Options(beam_size=-1)
    with Client(server.target) as client, pytest.raises(InvalidRequestError, match="beam_size"):
        client.translate_stream("a", options=options, **EN_DE)
    assert server.stream_requests == []


class Held:
    """An answer of one part that waits for the caller to leave, longer than any test does."""

    def __init__(self) -> None:
        self.is_over = threading.Event()

    def __call__(
        self, request: pb.TranslateStreamRequest, context: grpc.ServicerContext
    ) -> Iterator[pb.TranslateStreamResponse]:
        context.add_callback(self.is_over.set)
        yield pb.TranslateStreamResponse(text="A")
        self.is_over.wait(2 * PATIENCE_S)

    def sees_the_caller_leave(self) -> bool:
        return self.is_over.wait(PATIENCE_S / 2)


@pytest.fixture
def held(server: EchoServer) -> Iterator[Held]:
    answer = Held()
    server.stream_answer = answer
    yield answer
    answer.is_over.set()


@pytest.mark.parametrize(
    "limits", [{"client": {"timeout_s": 0.1}}, {"client": {"timeout_s": None}, "timeout_s": 0.1}]
)
@pytest.mark.usefixtures("held")
def test_a_stream_ends_at_its_deadline(
    server: EchoServer, read: Read, limits: dict[str, Any]
) -> None:
    with pytest.raises(DeadlineError):
        read(server.target, "a", **limits)


class KeptCalls:
    """Keeps the calls that a client makes: one that nobody holds would be cancelled unasked."""

    def __init__(self, client: Client | AsyncClient) -> None:
        self._make = client._translate_stream
        self._calls: list[object] = []
        client._translate_stream = self.make  # type: ignore[assignment]

    def make(self, *arguments: Any, **options: Any) -> Any:
        self._calls.append(self._make(*arguments, **options))
        return self._calls[-1]


def test_leaving_a_stream_cancels_the_call(server: EchoServer, held: Held) -> None:
    with Client(server.target, timeout_s=None) as client:
        _kept = KeptCalls(client)
        with closing(client.translate_stream("a", **EN_DE)) as parts:
            assert str(next(parts)) == "A"
        assert held.sees_the_caller_leave()


@pytest.mark.asyncio
async def test_leaving_an_asynchronous_stream_cancels_the_call(
    server: EchoServer, held: Held
) -> None:
    async with AsyncClient(server.target, timeout_s=None) as client:
        _kept = KeptCalls(client)
        async with aclosing(client.translate_stream("a", **EN_DE)) as parts:
            assert str(await anext(parts)) == "A"
        assert await asyncio.to_thread(held.sees_the_caller_leave)


@pytest.mark.asyncio
async def test_a_cancelled_task_cancels_its_stream(server: EchoServer, held: Held) -> None:
    has_begun = asyncio.Event()

    async def read_on(parts: AsyncIterator[TranslationPart]) -> None:
        async for _ in parts:
            has_begun.set()

    async with AsyncClient(server.target, timeout_s=None) as client:
        _kept = KeptCalls(client)
        task = asyncio.create_task(read_on(client.translate_stream("a", **EN_DE)))
        await has_begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await asyncio.to_thread(held.sees_the_caller_leave)
