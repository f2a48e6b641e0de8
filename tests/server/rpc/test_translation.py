"""The public API over a real socket."""

from __future__ import annotations

import asyncio

import grpc
import pytest
from attendant_protos.v1 import translation_pb2 as pb
from attendant_protos.v1.translation_pb2_grpc import TranslationServiceStub
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from server.rpc.app import App

pytestmark = pytest.mark.asyncio

LONG = "nine thousand, nine hundred and ninety-nine"
METHOD = "/attendant.v1.TranslationService/Translate"


def request(*texts: str, **fields: object) -> pb.TranslateRequest:
    values = {"source_language": "en", "target_language": "de", **fields}
    return pb.TranslateRequest(texts=texts, **values)


async def refused(call: grpc.aio.UnaryUnaryCall) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value.code(), caught.value.details() or ""


async def test_texts_come_back_translated_in_the_order_asked(stub: TranslationServiceStub) -> None:
    texts = [LONG, "four hundred and eighteen", "two thousand, six hundred and one"]
    together = await stub.Translate(request(*texts))
    alone = [(await stub.Translate(request(text))).translations[0] for text in texts]
    assert list(together.translations) == alone
    assert len({translation.text for translation in alone}) == 3
    assert together.model == "numbers/1"
    first = together.translations[0]
    assert first.finish_reason == pb.FINISH_REASON_STOP
    assert first.source_tokens >= 3
    assert first.target_tokens >= 2


async def test_an_empty_text_gives_an_empty_translation(stub: TranslationServiceStub) -> None:
    response = await stub.Translate(request("", "seven", " \n\t"))
    empty = pb.Translation(finish_reason=pb.FINISH_REASON_EMPTY)
    assert [response.translations[0], response.translations[2]] == [empty, empty]
    assert response.translations[1].text
    assert not (await stub.Translate(request())).translations


async def test_the_limit_of_tokens_is_kept_and_told(stub: TranslationServiceStub) -> None:
    options = pb.DecodingOptions(max_target_tokens=2)
    (translation,) = (await stub.Translate(request(LONG, options=options))).translations
    assert translation.finish_reason == pb.FINISH_REASON_LENGTH
    assert translation.target_tokens == 2


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (request("a", model="absent"), "no model 'absent'; there are: numbers"),
        (request("a", source_language="xx"), "source_language: model numbers has no language 'xx'"),
        (request("a", target_language=""), "target_language: model numbers has no language ''"),
        (request("a", source_language="de", target_language="en"), "does not translate de-en"),
    ],
)
async def test_what_does_not_exist_is_not_found(
    stub: TranslationServiceStub, bad: pb.TranslateRequest, message: str
) -> None:
    code, details = await refused(stub.Translate(bad))
    assert code is grpc.StatusCode.NOT_FOUND
    assert message in details


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (request(*["a"] * 17), "texts: there are 17, at most 16 are allowed"),
        (request("a", "b" * 5001), "texts[1]: it has 5001 characters, at most 5000 are allowed"),
        (request("one hundred " * 60), "tokens, model numbers takes at most 64"),
        (request("a", "se\0ven"), "texts[1]: control character U+0000 at position 2"),
        (request("a\x7f"), "texts[0]: control character U+007F"),
        (
            request("a", options=pb.DecodingOptions(max_target_tokens=0)),
            "options.max_target_tokens: it is 0, model numbers takes 1 to 64",
        ),
        (
            request("a", options=pb.DecodingOptions(max_target_tokens=65)),
            "options.max_target_tokens: it is 65",
        ),
    ],
)
async def test_a_bad_request_is_refused_by_field_while_others_finish(
    stub: TranslationServiceStub, bad: pb.TranslateRequest, message: str
) -> None:
    others = [asyncio.ensure_future(stub.Translate(request("eleven"))) for _ in range(4)]
    code, details = await refused(stub.Translate(bad))
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert message in details
    assert len({(await other).translations[0].text for other in others}) == 1


async def test_bytes_that_are_no_protobuf_are_refused(channel: grpc.aio.Channel) -> None:
    code, details = await refused(channel.unary_unary(METHOD)(b"\xff\xff\xff\xff"))
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert details == "request: these bytes are no TranslateRequest"


async def test_past_the_transports_limit_grpc_itself_refuses(stub: TranslationServiceStub) -> None:
    code, _ = await refused(stub.Translate(request("a" * 5_000_000)))
    assert code is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_a_full_queue_is_said_so_and_takes_work_again(
    stub: TranslationServiceStub, app: App
) -> None:
    texts = [LONG] * 16
    calls = [asyncio.ensure_future(stub.Translate(request(*texts))) for _ in range(20)]
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    failures = [o for o in outcomes if isinstance(o, grpc.aio.AioRpcError)]
    assert {f.code() for f in failures} == {grpc.StatusCode.RESOURCE_EXHAUSTED}
    assert "72 are allowed" in (failures[0].details() or "")
    assert len(failures) < len(outcomes)
    assert (await stub.Translate(request("seven"))).translations[0].text


async def test_a_bug_leaves_as_internal_with_a_fixed_text(
    stub: TranslationServiceStub, app: App, monkeypatch: pytest.MonkeyPatch, caplog: object
) -> None:
    def explode(_name: str) -> None:
        raise RuntimeError("a secret of the server")

    monkeypatch.setattr(app.registry, "get", explode)
    code, details = await refused(stub.Translate(request("seven")))
    assert code is grpc.StatusCode.INTERNAL
    assert details == "internal error; the server's log has the details"


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
async def test_any_request_gets_an_answer_or_a_named_refusal(
    stub: TranslationServiceStub, data: st.DataObject
) -> None:
    language = st.sampled_from(["en", "de", "", "xx"])
    generated = pb.TranslateRequest(
        texts=data.draw(st.lists(st.text(max_size=60), max_size=5)),
        source_language=data.draw(language),
        target_language=data.draw(language),
        model=data.draw(st.sampled_from(["", "numbers", "other"])),
        options=pb.DecodingOptions(
            max_target_tokens=data.draw(st.none() | st.integers(0, 2**32 - 1))
        ),
    )
    allowed = {grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND}
    try:
        response = await stub.Translate(generated, timeout=20)
    except grpc.aio.AioRpcError as error:
        if error.code() not in allowed:
            raise
    else:
        assert len(response.translations) == len(generated.texts)
