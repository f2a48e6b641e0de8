"""Keys, permissions and limits over a real socket, and what of them can be seen from outside."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
import pytest_asyncio
from attendant_protos.v1.translation_pb2_grpc import TranslationServiceStub
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from prometheus_client import generate_latest

from server.log import FORMAT, RequestFilter
from server.rpc.access import METHODS
from server.rpc.app import App
from tests.server.rpc.calls import CAPTION, Server, gated, refusal, request, stream_request, until
from tests.server.rpc.conftest import BUNDLED, config_for, serving
from tests.server.rpc.secure import KeyFile, check, empty_server

pytestmark = pytest.mark.asyncio(loop_scope="module")

NEEDED = "a valid API key is needed: metadata 'authorization: Bearer KEY'"
UNAUTHENTICATED = (grpc.StatusCode.UNAUTHENTICATED, NEEDED)
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


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def keys(tmp_path_factory: pytest.TempPathFactory) -> KeyFile:
    file = KeyFile(tmp_path_factory.mktemp("keys") / "keys.toml")
    file.add("web")
    file.add("other")
    file.add("ops", 'permissions = ["admin"]')
    file.add("rare", "requests_per_s = 0.01", "request_burst = 2")
    file.add("short", "characters_per_s = 0.5", "character_burst = 40")
    file.add("single", "max_concurrent = 1")
    return file


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(keys: KeyFile) -> AsyncIterator[Server]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("server.rpc.app.RELOAD_INTERVAL_S", 0.02)
        async with serving(config_for(BUNDLED, num_slots=1, api_keys=str(keys.path))) as server:
            yield server


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def channel(server: Server) -> AsyncIterator[grpc.aio.Channel]:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{server.app.port}") as channel:
        yield channel


async def say(channel: grpc.aio.Channel, method: str, **options: Any) -> Any:
    """A call of a method that the stubs do not have."""
    return await channel.unary_unary(method)(b"", timeout=5, **options)


# Keys


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


# Permissions


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


# Limits


async def test_over_the_rate_is_refused_with_when_to_come_again(
    server: Server, keys: KeyFile
) -> None:
    metadata = keys.metadata("rare")
    for _ in range(2):
        await server.stub.Translate(request("A."), metadata=metadata)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await server.stub.Translate(request("A."), metadata=metadata)
    error = caught.value
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "key rare may send 0.01 requests a second, 2 at once" in (error.details() or "")
    assert 50_000 < int(str(error.trailing_metadata()["grpc-retry-pushback-ms"])) <= 100_000
    await server.stub.Translate(request("A."), metadata=keys.metadata("web"))


async def test_over_the_characters_is_refused_before_any_work(
    server: Server, keys: KeyFile
) -> None:
    metadata = keys.metadata("short")
    code, message = await refusal(server.stub.Translate(request(CAPTION), metadata=metadata))
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert message == "texts: together they have 63 characters, key short may send 40 at once"
    await server.stub.Translate(
        request("Two dogs.", target_prefixes=["Zwei"]), metadata=metadata
    )  # 13 of 40
    code, message = await refusal(server.stub.Translate(request("a" * 30), metadata=metadata))
    assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "0.5 characters a second, 40 at once" in message


async def test_calls_at_a_time_are_bounded_and_counted_down(server: Server, keys: KeyFile) -> None:
    metadata = keys.metadata("single")
    with gated(server.app) as gate:
        running = asyncio.ensure_future(server.stub.Translate(request("A."), metadata=metadata))
        await until(lambda: server.async_engine.num_pending == 1)
        code, message = await refusal(server.stub.Translate(request("A."), metadata=metadata))
        assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert message.startswith("key single may have at most 1 calls running")
        gate.open()
        await running
    for _ in range(3):
        call = server.stub.Translate(request("A."), metadata=metadata)
        call.cancel()  # one that ends in another way is counted down too
        await asyncio.gather(call, return_exceptions=True)
        await until(lambda: server.app._drain.num_in_flight == 0)
    await server.stub.Translate(request("A."), metadata=metadata)


# Who is who


async def test_fair_shares_are_of_keys_though_they_share_an_address(
    server: Server, keys: KeyFile
) -> None:
    with gated(server.app) as gate:
        many = asyncio.ensure_future(
            server.stub.Translate(request(*["Two dogs."] * 20), metadata=keys.metadata("web"))
        )
        await until(lambda: server.async_engine.num_pending == 20)
        one = asyncio.ensure_future(
            server.stub.Translate(request("A dog."), metadata=keys.metadata("other"))
        )
        await until(lambda: server.async_engine.num_pending == 21)
        gate.open()
        await asyncio.gather(many, one)
        order = [job.caller for job in gate.ended]
    assert sorted(order) == ["other"] + ["web"] * 20
    assert order.index("other") <= 3


async def test_a_request_id_is_no_handle_on_somebody_elses_call(
    server: Server, keys: KeyFile
) -> None:
    """The same id from two callers: one cancels, and the other is answered its own."""
    mine = (*keys.metadata("web"), ("x-request-id", "shared"))
    theirs = (*keys.metadata("other"), ("x-request-id", "shared"))
    alone = await server.stub.Translate(request("A dog."), metadata=mine)
    with gated(server.app) as gate:
        kept = asyncio.ensure_future(server.stub.Translate(request("A dog."), metadata=mine))
        call = server.stub.Translate(request("Two men."), metadata=theirs)
        await until(lambda: server.async_engine.num_pending == 2)
        call.cancel()
        await until(lambda: server.async_engine.num_pending == 1)
        gate.open()
        assert await kept == alone


# Request ids


async def trailing(call: Any) -> dict[str, str]:
    await asyncio.gather(call, return_exceptions=True)
    return {str(key): str(value) for key, value in await call.trailing_metadata()}


async def test_every_call_ends_with_an_id(server: Server, keys: KeyFile) -> None:
    web = keys.metadata("web")
    found = [
        (await trailing(server.stub.Translate(request(text), metadata=metadata)))["x-request-id"]
        for text, metadata in (("A.", web), ("A.", web), ("\a", web), ("A.", ()))
    ]
    assert len({*found}) == 4
    stream = server.stub.TranslateStream(stream_request("A."), metadata=web)
    assert [message async for message in stream]
    assert (await stream.trailing_metadata())["x-request-id"]


@pytest.mark.parametrize("own", ["a", "order-66/3", "~" * 128])
async def test_a_callers_id_is_kept(server: Server, keys: KeyFile, own: str) -> None:
    for metadata in (keys.metadata("web"), ()):
        call = server.stub.Translate(request("A."), metadata=(*metadata, ("x-request-id", own)))
        assert (await trailing(call))["x-request-id"] == own


@pytest.mark.parametrize("wrong", ["", "a b", "a" * 129])
async def test_an_id_that_is_none_is_replaced(server: Server, keys: KeyFile, wrong: str) -> None:
    metadata = (*keys.metadata("web"), ("x-request-id", wrong))
    found = (await trailing(server.stub.Translate(request("A."), metadata=metadata)))[
        "x-request-id"
    ]
    assert len(found) == 32


async def test_a_defect_is_logged_under_the_id_that_the_caller_gets(
    server: Server, keys: KeyFile, monkeypatch: pytest.MonkeyPatch, capfd: Any
) -> None:
    def explode(_name: str) -> None:
        raise RuntimeError("a secret of the server")

    handler = logging.StreamHandler()
    handler.addFilter(RequestFilter())
    handler.setFormatter(logging.Formatter(FORMAT))
    logging.getLogger().addHandler(handler)
    monkeypatch.setattr(server.app.models, "use", explode)
    metadata = (*keys.metadata("web"), ("x-request-id", "order-66"))
    code, message = await refusal(server.stub.Translate(request("A."), metadata=metadata))
    logging.getLogger().removeHandler(handler)
    assert code is grpc.StatusCode.INTERNAL
    assert message == "internal error; the server's log has the details, request order-66"
    log = capfd.readouterr().err
    assert "server.rpc.status [order-66]: a call failed" in log
    assert "RuntimeError: a secret of the server" in log
    assert keys.keys["web"] not in log


# What can be seen


async def test_no_key_is_in_logs_metrics_answers_or_reprs(
    server: Server, keys: KeyFile, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    seen = []
    for name, key in keys.keys.items():
        for metadata in (keys.metadata(name), (("x-api-key", key + "x"),)):
            call = server.stub.Translate(request("A."), metadata=metadata)
            seen += [str(await trailing(call)), str(await call.details())]
    seen += [caplog.text, generate_latest(server.app.metrics.registry).decode()]
    seen += [repr(vars(each)) for each in (server.app, server.app._access, server.app.config)]
    everything = "".join(seen)
    assert "UNAUTHENTICATED" in everything
    for key in keys.keys.values():
        assert key not in everything
        assert key.removeprefix("att_")[:12] not in everything


async def test_refusals_are_counted(server: Server) -> None:
    def count() -> float:
        labels = {"model": "", "code": "UNAUTHENTICATED"}
        return server.app.metrics.registry.get_sample_value("attendant_requests_total", labels) or 0

    before = count()
    assert await refusal(server.stub.Translate(request("A."))) == UNAUTHENTICATED
    assert count() == before + 1
