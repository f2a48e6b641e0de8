"""Permissions over a real socket: what a key may call, and the table that says so."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from attendant_protos.v1.translation_pb2_grpc import TranslationServiceStub
from grpc_channelz.v1 import channelz_pb2, channelz_pb2_grpc

from server.rpc.access import METHODS
from server.rpc.app import App
from tests.server.rpc.calls import Server, refusal, request
from tests.server.rpc.secure import UNAUTHENTICATED, KeyFile, empty_server

pytestmark = pytest.mark.asyncio(loop_scope="module")

SERVED = {
    "/attendant.v1.TranslationService/Translate",
    "/attendant.v1.TranslationService/TranslateStream",
    "/attendant.v1.TranslationService/ListModels",
    "/attendant.v1.TranslationService/GetModel",
    "/attendant.v1.TranslationService/Tokenize",
    "/attendant.v1.TranslationService/Detokenize",
    "/grpc.health.v1.Health/Check",
    "/grpc.health.v1.Health/Watch",
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
}
"""None of them names another call, so none can look at one or cancel it."""
LOAD = "/inference.GRPCInferenceService/RepositoryModelLoad"
NO_MODEL = (grpc.StatusCode.NOT_FOUND, "model: there is no model ''; there are: multi30k")
"""Said to who may load models, and names none."""


async def say(channel: grpc.aio.Channel, method: str, **options: Any) -> Any:
    """A call of a method that the stubs do not have."""
    return await channel.unary_unary(method)(b"", timeout=5, **options)


async def test_a_key_without_the_permission_is_denied(server: Server, keys: KeyFile) -> None:
    call = server.stub.Translate(request("Dogs."), metadata=keys.metadata("ops"))
    message = "key ops has not the permission translate"
    assert await refusal(call) == (grpc.StatusCode.PERMISSION_DENIED, message)


def add_method(app: App, method: str) -> None:
    """As a service of a later day would."""

    async def answer(_request: bytes, _context: object) -> bytes:
        return b"done"

    service, name = method.strip("/").split("/")
    handler = grpc.unary_unary_rpc_method_handler(answer)
    app._server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler(service, {name: handler}),)
    )


async def test_what_needs_admin_is_for_keys_that_have_it(
    server: Server, keys: KeyFile, channel: grpc.aio.Channel
) -> None:
    assert await refusal(say(channel, LOAD, metadata=keys.metadata("ops"))) == NO_MODEL
    code, message = await refusal(say(channel, LOAD, metadata=keys.metadata("web")))
    assert code is grpc.StatusCode.PERMISSION_DENIED
    assert message == "key web has not the permission admin"
    assert await refusal(say(channel, LOAD)) == UNAUTHENTICATED


@pytest.mark.parametrize(("without_keys", "is_let_in"), [("translate", False), ("admin", True)])
async def test_without_keys_everybody_may_what_the_option_says(
    without_keys: str, is_let_in: bool
) -> None:
    async with (
        empty_server(without_keys=without_keys) as app,
        grpc.aio.insecure_channel(f"127.0.0.1:{app.port}") as channel,
    ):
        stub = TranslationServiceStub(channel)
        code, _ = await refusal(stub.Translate(request("Dogs.", model="nobody")))
        if is_let_in:
            assert await refusal(say(channel, LOAD)) == NO_MODEL
            assert code is grpc.StatusCode.PERMISSION_DENIED
        else:
            assert (await refusal(say(channel, LOAD)))[0] is grpc.StatusCode.PERMISSION_DENIED
            assert code is grpc.StatusCode.NOT_FOUND  # let in, and there is no such model


@pytest.mark.parametrize("key", [None, "web", "ops"])
async def test_a_method_that_is_not_in_the_table_is_open_to_nobody(
    server: Server, keys: KeyFile, channel: grpc.aio.Channel, key: str | None
) -> None:
    method = "/attendant.v1.Forgotten/Method"
    add_method(server.app, method)
    metadata = keys.metadata(key) if key else ()
    code, message = await refusal(say(channel, method, metadata=metadata))
    assert (code, message) == (grpc.StatusCode.PERMISSION_DENIED, f"{method} is open to nobody")


async def test_the_table_has_every_method_that_is_served(monkeypatch: pytest.MonkeyPatch) -> None:
    served: set[str] = set()
    kind = type(grpc.aio.server())
    add = kind.add_generic_rpc_handlers

    def note(self: grpc.aio.Server, handlers: Any) -> None:
        for handler in handlers:
            served.update(handler._method_handlers)
        add(self, handlers)

    monkeypatch.setattr(kind, "add_generic_rpc_handlers", note)
    async with empty_server():
        pass
    channelz = {method for method in served if method.startswith("/grpc.channelz.")}
    assert channelz
    assert {METHODS[method] for method in channelz} == {"admin"}
    inference = {method for method in served if method.startswith("/inference.")}
    assert len(inference) == 20
    assert served - inference - channelz == SERVED | {"/grpc.health.v1.Health/List"} & served
    assert served <= METHODS.keys()


async def test_channelz_tells_an_administrator_of_this_connection(
    server: Server, keys: KeyFile, channel: grpc.aio.Channel
) -> None:
    stub = channelz_pb2_grpc.ChannelzStub(channel)
    asked = channelz_pb2.GetServersRequest(start_server_id=0)
    found = await stub.GetServers(asked, metadata=keys.metadata("ops"), timeout=10)
    listening = [
        (
            await stub.GetServerSockets(
                channelz_pb2.GetServerSocketsRequest(server_id=each.ref.server_id),
                metadata=keys.metadata("ops"),
                timeout=10,
            )
        ).socket_ref
        for each in found.server
    ]
    assert any(listening)
    assert sum(each.data.calls_started for each in found.server) > 0
    code, _ = await refusal(stub.GetServers(asked, metadata=keys.metadata("web"), timeout=10))
    assert code is grpc.StatusCode.PERMISSION_DENIED
