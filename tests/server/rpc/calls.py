"""What tests of the API share: requests, refusals, and an engine that moves when it is told."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import grpc
import pytest
from attendant_protos.v1 import translation_pb2 as pb
from attendant_protos.v1.translation_pb2_grpc import TranslationServiceStub

from server.config import ServerConfig
from server.engine.async_engine import AsyncEngine
from server.engine.engine import Engine, EngineLimits, StepResult
from server.engine.remote import RemoteWorker
from server.engine.sequence import Job
from server.engine.worker import Worker
from server.engines import make_engines
from server.loaded_model import LoadedModel
from server.rpc.app import App
from server.runtime.sessions import Sessions

CAPTION = "A little girl in a red dress is playing with a dog in the park."
"""18 source tokens; the bundled model gives 15."""


def request(*texts: str, **fields: Any) -> pb.TranslateRequest:
    return pb.TranslateRequest(texts=texts, **{**EN_DE, **fields})


def stream_request(text: str, **fields: Any) -> pb.TranslateStreamRequest:
    return pb.TranslateStreamRequest(text=text, **{**EN_DE, **fields})


EN_DE = {"source_language": "en", "target_language": "de"}


@dataclass(frozen=True)
class Server:
    """A server in this process, and its stub on a real socket."""

    app: App
    stub: TranslationServiceStub

    @property
    def async_engine(self) -> AsyncEngine:
        (model,) = self.app.models.all()
        return model.engine

    async def translate(
        self, text: str, timeout: float | None = None, **fields: Any
    ) -> pb.Translation:
        """The translation of one text."""
        response = await self.stub.Translate(request(text, **fields), timeout=timeout)
        (translation,) = response.translations
        return translation

    async def decode(self, text: str, **options: Any) -> pb.Translation:
        """The translation of one text under `options`, with scores."""
        fields = {"options": pb.DecodingOptions(**options), "output": SCORES}
        return await self.translate(text, **fields)

    async def stream(self, text: str, **fields: Any) -> list[pb.TranslateStreamResponse]:
        """All messages of a stream."""
        return [
            message async for message in self.stub.TranslateStream(stream_request(text, **fields))
        ]

    def metric(self, name: str) -> float:
        """A metric of the only model."""
        (model,) = self.app.models.all()
        return metric(self.app, name, model.name)


SCORES = pb.OutputOptions(scores=True)
ALIGNMENT = pb.OutputOptions(alignment=True)


def metric(app: App, name: str, model: str = "numbers") -> float:
    value = app.metrics.registry.get_sample_value(name, {"model": model})
    assert value is not None
    return value


def pieces(found: pb.Translation | pb.Hypothesis) -> list[str]:
    """The tokens of a hypothesis, or of the best."""
    best = found.hypotheses[0] if isinstance(found, pb.Translation) else found
    return [token.piece for token in best.tokens]


def joined(messages: list[pb.TranslateStreamResponse]) -> str:
    """The text of a stream."""
    return "".join(message.text for message in messages)


async def refusal(call: Any) -> tuple[grpc.StatusCode, str]:
    """Status and message of a unary call, or of a stream, that fails."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await (_all_of(call) if isinstance(call, grpc.aio.UnaryStreamCall) else call)
    return caught.value.code(), caught.value.details() or ""


async def _all_of(call: Any) -> list[Any]:
    return [message async for message in call]


async def until(is_met: Callable[[], bool], timeout_s: float = 10) -> None:
    """Looks again and again until `is_met`, or fails after `timeout_s`."""
    deadline = time.monotonic() + timeout_s
    while not is_met():
        assert time.monotonic() < deadline, "it did not happen"
        await asyncio.sleep(0.001)  # a loop that never rests starves an engine in a thread


def engine_of(app: App) -> Engine:
    """The only engine of the only model: from the first call on, one in a thread of this process,
    where a test can look into it and hold it. Nothing may be in flight at that call.
    """
    (model,) = app.models.all()
    (worker,) = model.engine._workers
    if isinstance(worker, RemoteWorker):
        worker = _in_a_thread(model, worker, app.config)
    return worker._engine


def _in_a_thread(model: LoadedModel, remote: RemoteWorker, config: ServerConfig) -> Worker:
    sessions = Sessions(model.package, model.variant, num_threads=1)
    limits = EngineLimits(ageing_s=config.ageing_s)
    (engine,) = make_engines(sessions, remote.num_rows, 1, limits)
    engine.on_step = remote.on_step
    worker = Worker(engine, 0)
    model.engine._workers[0] = worker
    model.engine._attach(worker)
    remote.close()
    remote.join(10)
    return worker


class Gate:
    """Lets the steps of an engine through as the test says; what arrives meanwhile waits."""

    def __init__(self, step: Callable[[], StepResult]) -> None:
        self._step = step
        self._permits = threading.Semaphore(0)
        self._is_open = False
        self.ended: list[Job] = []
        """In the order of their ends: answers that are sent together may arrive in another."""

    def pass_step(self) -> StepResult:
        if not self._is_open:
            self._permits.acquire()
        result = self._step()
        self.ended += [sequence.job for sequence in result.ended]
        return result

    def allow(self, num_steps: int) -> None:
        self._permits.release(num_steps)

    def open(self) -> None:
        self._is_open = True
        self._permits.release()


@contextlib.contextmanager
def gated(app: App) -> Iterator[Gate]:
    """Holds the engine of `app` at a gate, until the end of the block."""
    engine = engine_of(app)
    gate = Gate(engine.step)
    engine.step = gate.pass_step  # type: ignore[method-assign]
    try:
        yield gate
    finally:
        gate.open()
        del engine.step
