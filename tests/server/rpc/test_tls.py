"""TLS and mutual TLS, and certificates that change under a running server."""

from __future__ import annotations

import asyncio
import shutil
import ssl
from collections.abc import Callable
from pathlib import Path

import grpc
import pytest
from attendant_protos.v1.translation_pb2_grpc import TranslationServiceStub

from server.rpc.app import running
from tests.certificates import DAMAGES, Authority, Pair
from tests.server.rpc.calls import request, until
from tests.server.rpc.conftest import BUNDLED, config_for
from tests.server.rpc.secure import (
    OWN,
    check,
    credentials,
    empty_server,
    is_answered,
    tls_options,
)

pytestmark = pytest.mark.asyncio


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def pair(authority: Authority) -> Pair:
    return authority.issue("server")


async def test_a_translation_over_tls(authority: Authority, pair: Pair) -> None:
    config = config_for(BUNDLED, num_slots=2, **tls_options(pair))
    async with (
        running(config) as app,
        grpc.aio.secure_channel(f"localhost:{app.port}", credentials(authority.pem)) as channel,
    ):
        response = await TranslationServiceStub(channel).Translate(request("Two dogs."))
        assert response.translations[0].text
        assert not await is_answered(app.port, None)


async def test_a_client_that_trusts_somebody_else_gets_no_answer(
    authority: Authority, pair: Pair, tmp_path: Path
) -> None:
    async with empty_server(**tls_options(pair)) as app:
        assert not await is_answered(app.port, credentials(Authority(tmp_path, "other").pem))
        assert await is_answered(app.port, credentials(authority.pem))


@pytest.mark.filterwarnings("ignore:.*TLSv1:DeprecationWarning")
async def test_old_versions_of_tls_are_refused(authority: Authority, pair: Pair) -> None:
    async def version(highest: ssl.TLSVersion) -> str:
        context = ssl.create_default_context(cadata=authority.pem.decode())
        context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1, highest
        context.set_ciphers("ALL:@SECLEVEL=0")
        context.set_alpn_protocols(["h2"])
        _, writer = await asyncio.open_connection("localhost", app.port, ssl=context)
        found = writer.get_extra_info("ssl_object").version()
        writer.close()
        return str(found)

    async with empty_server(**tls_options(pair)) as app:
        assert await version(ssl.TLSVersion.TLSv1_2) == "TLSv1.2"
        with pytest.raises(OSError):  # noqa: PT011 - of several kinds, none with words
            await version(ssl.TLSVersion.TLSv1_1)


async def test_with_a_client_authority_only_its_certificates_are_let_in(
    pair: Pair, authority: Authority, tmp_path: Path
) -> None:
    clients, others = Authority(tmp_path, "clients"), Authority(tmp_path, "others")
    async with empty_server(**tls_options(pair, clients)) as app:
        for presented, is_let_in in (
            (clients.issue("client", "someone"), True),
            (clients.issue("late", "someone", expired=True), False),
            (others.issue("stranger", "someone"), False),
            (pair, False),
            (None, False),
        ):
            found = credentials(authority.pem, presented)
            assert await is_answered(app.port, found) is is_let_in, presented


async def test_a_new_certificate_is_served_without_a_restart(
    authority: Authority, pair: Pair, tmp_path: Path
) -> None:
    new = Authority(tmp_path, "new")
    async with empty_server(**tls_options(pair)) as app:
        tls = app._tls
        assert tls is not None
        before = tls.watched.value
        old_target = f"localhost:{app.port}"
        async with grpc.aio.secure_channel(
            old_target, credentials(authority.pem), options=OWN
        ) as channel:
            await check(channel)
            renewed = new.issue("renewed")
            shutil.copy(renewed.key, pair.key)
            shutil.copy(renewed.certificate, pair.certificate)
            await until(lambda: tls.watched.value is not before)
            assert await is_answered(app.port, credentials(new.pem))
            assert not await is_answered(app.port, credentials(authority.pem))
            await check(channel)  # a connection that exists goes on


async def test_new_client_authorities_hold_for_new_connections(
    authority: Authority, pair: Pair, tmp_path: Path
) -> None:
    clients, later = Authority(tmp_path, "clients"), Authority(tmp_path, "later")
    async with empty_server(**tls_options(pair, clients)) as app:
        tls = app._tls
        assert tls is not None
        before = tls.watched.value
        clients.file.write_bytes(later.pem)
        await until(lambda: tls.watched.value is not before)
        old, new = clients.issue("old", "someone"), later.issue("new", "someone")
        assert await is_answered(app.port, credentials(authority.pem, new))
        assert not await is_answered(app.port, credentials(authority.pem, old))


@pytest.mark.parametrize("damage", DAMAGES)
async def test_a_broken_new_pair_leaves_the_old_one_serving(
    authority: Authority,
    pair: Pair,
    damage: Callable[[Pair, Pair], None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with empty_server(**tls_options(pair)) as app:
        tls = app._tls
        assert tls is not None
        before = tls.watched.value
        damage(pair, authority.issue("other"))
        await until(lambda: "the old stays" in caplog.text)
        assert await is_answered(app.port, credentials(authority.pem))
        assert not await is_answered(app.port, None)
        # What was begun is ended: the pair fits again.
        renewed = Authority(pair.key.parent, "renewed")
        fitting = renewed.issue("fitting")
        shutil.copy(fitting.key, pair.key)
        shutil.copy(fitting.certificate, pair.certificate)
        await until(lambda: tls.watched.value is not before)
        assert await is_answered(app.port, credentials(renewed.pem))
    assert str(pair.certificate) in caplog.text
    assert "PRIVATE" not in caplog.text


async def test_the_health_port_answers_health_alone_in_plain_text(
    pair: Pair, unused_tcp_port: int
) -> None:
    async with (
        empty_server(**tls_options(pair), health_port=unused_tcp_port),
        grpc.aio.insecure_channel(f"127.0.0.1:{unused_tcp_port}") as channel,
    ):
        await check(channel)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await TranslationServiceStub(channel).Translate(request("six"))
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_plain_text_beyond_loopback_serves_where_it_is_asked_for() -> None:
    async with empty_server(host="0.0.0.0", plaintext=True) as app:
        assert await is_answered(app.port, None)
