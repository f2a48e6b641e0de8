"""Request ids over a real socket: the caller's own or a new one, in answers and in the log."""

from __future__ import annotations

import logging
from typing import Any

import grpc
import pytest

from server.log import FORMAT, RequestFilter
from tests.server.rpc.calls import Server, refusal, request, stream_request
from tests.server.rpc.secure import KeyFile, trailing

pytestmark = pytest.mark.asyncio(loop_scope="module")


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
