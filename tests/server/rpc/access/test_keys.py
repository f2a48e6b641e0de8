"""Keys over a real socket: who is let in, and how keys come and go."""

from __future__ import annotations

import grpc
import pytest
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from tests.server.rpc.calls import Server, refusal, request, stream_request, until
from tests.server.rpc.secure import UNAUTHENTICATED, KeyFile, check

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.parametrize("scheme", ["Bearer ", "bearer ", "BEARER  "])
async def test_a_key_lets_in(server: Server, keys: KeyFile, scheme: str) -> None:
    metadata = (("authorization", f"{scheme}{keys.keys['web']}"),)
    assert (await server.stub.Translate(request("Dogs."), metadata=metadata)).translations[0].text
    call = server.stub.TranslateStream(stream_request("Dogs."), metadata=metadata)
    assert [message async for message in call]


async def test_the_other_header_does_too(server: Server, keys: KeyFile) -> None:
    metadata = (("x-api-key", keys.keys["web"]),)
    await server.stub.Translate(request("Dogs."), metadata=metadata)


async def test_without_a_known_key_every_call_gets_the_same_words(
    server: Server, keys: KeyFile
) -> None:
    key = keys.keys["web"]
    wrong: list[tuple[tuple[str, str | bytes], ...]] = [
        (),
        (("authorization", ""),),
        (("authorization", "Bearer"),),
        (("authorization", key),),
        (("authorization", f"Basic {key}"),),
        (("authorization", f"Bearer {key[:-1]}"),),
        (("authorization", f"Bearer {key}x"),),
        (("authorization", f"Bearer {key}, Bearer {key}"),),
        (("authorization", f"Bearer {key}"), ("x-api-key", keys.keys["ops"])),
        (("authorization", f"Bearer {key}"), ("authorization", "Bearer other")),
        (("x-api-key", ""),),
        (("x-api-key-bin", key.encode()),),
        (("x-api-key", "a" * 7000),),
    ]
    for metadata in wrong:
        call = server.stub.Translate(request("Dogs."), metadata=metadata)
        assert await refusal(call) == UNAUTHENTICATED, metadata
        stream = server.stub.TranslateStream(stream_request("Dogs."), metadata=metadata)
        assert await refusal(stream) == UNAUTHENTICATED, metadata


async def test_refusal_comes_before_the_message_is_read(channel: grpc.aio.Channel) -> None:
    """The stream of messages is never begun, and still it is answered."""
    call = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo(timeout=5)
    assert await call.code() is grpc.StatusCode.UNAUTHENTICATED


async def test_health_needs_no_key_and_reflection_does(
    channel: grpc.aio.Channel, keys: KeyFile
) -> None:
    await check(channel)
    stub = reflection_pb2_grpc.ServerReflectionStub(channel)
    asked = reflection_pb2.ServerReflectionRequest(list_services="")
    call = stub.ServerReflectionInfo(iter([asked]))
    assert await call.code() is grpc.StatusCode.UNAUTHENTICATED
    call = stub.ServerReflectionInfo(iter([asked]), metadata=keys.metadata("web"))
    assert (await call.read()).list_services_response.service


async def test_keys_come_and_go_without_a_restart(server: Server, keys: KeyFile) -> None:
    async def is_let_in(key: str) -> bool:
        call = server.stub.Translate(request("A."), metadata=(("x-api-key", key),))
        try:
            await call
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.UNAUTHENTICATED:
                raise
            return False
        return True

    watched = server.app._access.keys
    assert watched is not None
    before = watched.value
    new = keys.add("new")
    await until(lambda: watched.value is not before)
    assert await is_let_in(new)
    before = watched.value
    keys.remove("new")
    await until(lambda: watched.value is not before)
    assert not await is_let_in(new)
    assert await is_let_in(keys.keys["web"])


async def test_a_broken_file_leaves_the_old_keys(
    server: Server, keys: KeyFile, caplog: pytest.LogCaptureFixture
) -> None:
    keys.path.write_text("[keys.web]\nsha256 = SECRET")
    await until(lambda: "the old stays" in caplog.text)
    await server.stub.Translate(request("Dogs."), metadata=keys.metadata("web"))
    assert "SECRET" not in caplog.text
    watched = server.app._access.keys
    assert watched is not None
    before = watched.value
    keys.write()
    await until(lambda: watched.value is not before)
