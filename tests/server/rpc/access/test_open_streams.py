"""A stream lets each of its requests in by the key that it began with, as that is just then."""

from __future__ import annotations

import asyncio

import grpc
import pytest

from server.rpc.inference_stubs import inference_pb2 as pb
from tests.server.rpc.calls import Server, until
from tests.server.rpc.inference_calls import InferenceStub, infer_request
from tests.server.rpc.secure import NEEDED, KeyFile

pytestmark = pytest.mark.asyncio(loop_scope="module")


class Stream:
    """An open stream, one request at a time."""

    def __init__(self, channel: grpc.aio.Channel, metadata: tuple[tuple[str, str], ...]) -> None:
        self._call = InferenceStub(channel).ModelStreamInfer(metadata=metadata)

    async def ask(self) -> str:
        """The error of a request's answer; empty where it was answered."""
        await self._call.write(infer_request("A dog."))
        answer = await asyncio.wait_for(self._call.read(), 20)
        assert isinstance(answer, pb.ModelStreamInferResponse)
        return answer.error_message

    async def end(self) -> None:
        await self._call.done_writing()
        assert await self._call.read() is grpc.aio.EOF


async def changed(server: Server, keys: KeyFile, change: object) -> None:
    watched = server.app._access.keys
    assert watched is not None
    before = watched.value
    change()  # type: ignore[operator]
    await until(lambda: watched.value is not before)


async def test_a_key_that_is_gone_is_good_for_no_further_request(
    server: Server, keys: KeyFile, channel: grpc.aio.Channel
) -> None:
    await changed(server, keys, lambda: keys.add("leaving"))
    stream, other = (Stream(channel, keys.metadata(name)) for name in ("leaving", "web"))
    assert await stream.ask() == await other.ask() == ""
    await changed(server, keys, lambda: keys.remove("leaving"))
    assert await stream.ask() == f"UNAUTHENTICATED: {NEEDED}"
    assert await other.ask() == ""
    await stream.end()
    await other.end()


async def test_a_key_that_was_replaced_is_good_for_no_further_request(
    server: Server, keys: KeyFile, channel: grpc.aio.Channel
) -> None:
    await changed(server, keys, lambda: keys.add("leaked"))
    stream = Stream(channel, keys.metadata("leaked"))
    assert await stream.ask() == ""
    await changed(server, keys, lambda: keys.add("leaked"))
    assert await stream.ask() == f"UNAUTHENTICATED: {NEEDED}"
    await stream.end()
    new = Stream(channel, keys.metadata("leaked"))
    assert await new.ask() == ""
    await new.end()


async def test_new_limits_and_permissions_count_at_once(
    server: Server, keys: KeyFile, channel: grpc.aio.Channel
) -> None:
    await changed(server, keys, lambda: keys.add("narrowed"))
    stream = Stream(channel, keys.metadata("narrowed"))
    assert await stream.ask() == ""
    entry = keys._entries["narrowed"]

    def rewrite(line: str) -> None:
        keys._entries["narrowed"] = f"{entry}\n{line}"
        keys.write()

    await changed(server, keys, lambda: rewrite("requests_per_s = 0.01"))
    assert await stream.ask() == ""
    assert "key narrowed may send 0.01 requests a second" in await stream.ask()
    await changed(server, keys, lambda: rewrite('permissions = ["admin"]'))
    message = "PERMISSION_DENIED: key narrowed has not the permission translate"
    assert await stream.ask() == message
    await stream.end()
