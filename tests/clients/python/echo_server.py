"""A small real server for the client's tests: answers texts in upper case, or as a test says."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NoReturn, Self

import grpc
from attendant_protos.v1 import translation_pb2 as pb
from attendant_protos.v1 import translation_pb2_grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

Answer = Callable[[pb.TranslateRequest, grpc.ServicerContext], pb.TranslateResponse]
StreamAnswer = Callable[
    [pb.TranslateStreamRequest, grpc.ServicerContext], Iterator[pb.TranslateStreamResponse]
]

PATIENCE_S = 20.0
"""How long a test waits for what must happen, before it fails rather than hang."""


def echo(request: pb.TranslateRequest, context: grpc.ServicerContext) -> pb.TranslateResponse:
    """Answers each text in upper case; its tokens are its words."""
    return pb.TranslateResponse(translations=[_shout(text) for text in request.texts])


def _shout(text: str) -> pb.Translation:
    num_words = len(text.split())
    return pb.Translation(
        text=text.upper(),
        finish_reason=pb.FINISH_REASON_STOP if text else pb.FINISH_REASON_EMPTY,
        source_tokens=num_words,
        target_tokens=num_words + 1 if text else 0,
    )


def echo_stream(
    request: pb.TranslateStreamRequest, context: grpc.ServicerContext
) -> Iterator[pb.TranslateStreamResponse]:
    """Answers the text in upper case, word by word."""
    for i, word in enumerate(request.text.upper().split()):
        yield pb.TranslateStreamResponse(text=f" {word}" if i else word)
    yield pb.TranslateStreamResponse(translation=_shout(request.text), model="echo/1")


def refuse(code: grpc.StatusCode, details: str) -> Answer:
    """Returns an answer that fails every request."""

    def answer(request: pb.TranslateRequest, context: grpc.ServicerContext) -> NoReturn:
        context.abort(code, details)

    return answer


def refuse_text(text: str, code: grpc.StatusCode, details: str) -> Answer:
    """Returns an answer that fails requests with one text and echoes all others."""

    def answer(request: pb.TranslateRequest, context: grpc.ServicerContext) -> pb.TranslateResponse:
        if text in request.texts:
            context.abort(code, details)
        return echo(request, context)

    return answer


class LastComeFirstServed:
    """An answer that waits for `count` requests and gives the first to the one that came last."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._num_arrived = 0
        self._num_answered = 0
        self._changed = threading.Condition()

    def __call__(
        self, request: pb.TranslateRequest, context: grpc.ServicerContext
    ) -> pb.TranslateResponse:
        with self._changed:
            place = self._num_arrived
            self._num_arrived += 1
            self._changed.notify_all()
            if not self._changed.wait_for(lambda: self._is_turn_of(place), PATIENCE_S):
                context.abort(grpc.StatusCode.ABORTED, "too few requests came together")
            self._num_answered += 1
            self._changed.notify_all()
        return echo(request, context)

    def _is_turn_of(self, place: int) -> bool:
        are_all_here = self._num_arrived >= self._count
        return are_all_here and self._num_answered == self._count - 1 - place


class EchoServer(translation_pb2_grpc.TranslationServiceServicer):
    """The service on a free port of the loopback, for as long as the `with` block runs."""

    def __init__(self, port: int = 0) -> None:
        self.answer: Answer = echo
        self.stream_answer: StreamAnswer = echo_stream
        self.requests: list[pb.TranslateRequest] = []
        self.stream_requests: list[pb.TranslateStreamRequest] = []
        self.max_in_flight = 0
        self.health = _Health()
        self._in_flight = 0
        self._lock = threading.Lock()
        self._threads = ThreadPoolExecutor(max_workers=80)
        self._server = grpc.server(self._threads)
        translation_pb2_grpc.add_TranslationServiceServicer_to_server(self, self._server)
        health_pb2_grpc.add_HealthServicer_to_server(self.health, self._server)
        self.port = self._server.add_insecure_port(f"127.0.0.1:{port}")
        self.target = f"127.0.0.1:{self.port}"

    def Translate(  # noqa: N802 - the API names it
        self, request: pb.TranslateRequest, context: grpc.ServicerContext
    ) -> pb.TranslateResponse:
        with self._lock:
            self.requests.append(request)
            self._in_flight += 1
            self.max_in_flight = max(self.max_in_flight, self._in_flight)
        try:
            return self.answer(request, context)
        finally:
            with self._lock:
                self._in_flight -= 1

    def TranslateStream(  # noqa: N802 - the API names it
        self, request: pb.TranslateStreamRequest, context: grpc.ServicerContext
    ) -> Iterator[pb.TranslateStreamResponse]:
        self.stream_requests.append(request)
        return self.stream_answer(request, context)

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop(0).wait(PATIENCE_S)
        self._threads.shutdown()


class _Health(health.HealthServicer):
    """The standard health service, after answers that a test has put first."""

    def __init__(self) -> None:
        super().__init__()
        self.first: list[grpc.StatusCode | int] = []

    def Check(  # noqa: N802 - the API names it
        self, request: health_pb2.HealthCheckRequest, context: grpc.ServicerContext
    ) -> health_pb2.HealthCheckResponse:
        if not self.first:
            return super().Check(request, context)
        status = self.first.pop(0)
        if isinstance(status, grpc.StatusCode):
            context.abort(status, "as the test says")
        return health_pb2.HealthCheckResponse(status=status)
