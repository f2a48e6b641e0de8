"""Many requests over one ModelStreamInfer: how many run at once, and how each is answered."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from typing import Any

from server.errors import UnavailableError
from server.rpc.inference_stubs import inference_pb2 as pb
from server.rpc.inference_v2.messages import FINAL
from server.rpc.interceptors import Accounting
from server.rpc.status import StatusError

MAX_AT_ONCE = 128
"""Requests of one stream that are being worked at or whose answers have not been taken; more are
left on the wire until one of them is done.
"""

METHOD = "inference.GRPCInferenceService/ModelStreamInfer"

Respond = Callable[[Any], AsyncGenerator[pb.ModelInferResponse]]
"""Answers one request, the last time with FINAL."""


class InferStream:
    """One stream: requests are read while others run, and answered in the order of their ends."""

    def __init__(self, respond: Respond, accounting: Accounting) -> None:
        self._respond = respond
        self._accounting = accounting
        self._room = asyncio.Semaphore(MAX_AT_ONCE)
        self._answers: asyncio.Queue[pb.ModelStreamInferResponse | None] = asyncio.Queue()

    async def run(
        self, requests: AsyncIterator[Any]
    ) -> AsyncGenerator[pb.ModelStreamInferResponse]:
        """Answers `requests` until there are no more; leaving the loop cancels what runs.

        Raises UnavailableError, all that was read being answered, when the server shuts down.
        """
        work = asyncio.create_task(self._work(requests))
        work.add_done_callback(lambda _: self._answers.put_nowait(None))
        try:
            while (answer := await self._answers.get()) is not None:
                yield answer
                if answer.infer_response.parameters[FINAL].bool_param:
                    self._room.release()
            await work
        finally:
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)

    async def _work(self, requests: AsyncIterator[Any]) -> None:
        """Starts each request as it comes, and waits for all of them."""
        async with asyncio.TaskGroup() as group:
            reading = asyncio.create_task(self._read(requests, group))
            closing = asyncio.create_task(self._accounting.closing.wait())
            try:
                await asyncio.wait({reading, closing}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                closing.cancel()
                is_closing = not reading.done()
                reading.cancel()
        if is_closing:
            raise UnavailableError("the server is shutting down")
        await reading

    async def _read(self, requests: AsyncIterator[Any], group: asyncio.TaskGroup) -> None:
        await self._room.acquire()
        async for request in requests:
            group.create_task(self._answer(request))
            await self._room.acquire()

    async def _answer(self, request: Any) -> None:
        """Answers one request; its error goes into an answer, and the stream goes on."""
        try:
            with self._accounting.work(METHOD, is_charged=False):
                async with aclosing(self._respond(request)) as responses:
                    async for response in responses:
                        answer = pb.ModelStreamInferResponse(infer_response=response)
                        self._answers.put_nowait(answer)
        except StatusError as error:
            self._answers.put_nowait(_failure(request, error))


def _failure(request: Any, error: StatusError) -> pb.ModelStreamInferResponse:
    """As Triton writes it, the id in front: its client hands on the message alone. The status comes
    next, for there is no other place for it.
    """
    given = request if isinstance(request, pb.ModelInferRequest) else pb.ModelInferRequest()
    prefix = f"[request id: {given.id}] " if given.id else ""
    response = pb.ModelInferResponse(
        model_name=given.model_name, model_version=given.model_version, id=given.id
    )
    response.parameters[FINAL].bool_param = True
    message = f"{prefix}{error.code.name}: {error.message}"
    return pb.ModelStreamInferResponse(error_message=message, infer_response=response)
