"""The public API over a real socket."""

from __future__ import annotations

import asyncio
import re

import grpc
import pytest
from attendant_protos.v1 import translation_pb2 as pb
from attendant_protos.v1.translation_pb2_grpc import TranslationServiceStub
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from server.rpc.app import App
from tests.server.rpc.calls import refusal, request, stream_request

pytestmark = pytest.mark.asyncio

LONG = "nine thousand, nine hundred and ninety-nine"
COUNTS = ("max_target_tokens", "min_target_tokens", "beam_size", "num_hypotheses")
COUNTS += ("num_alternatives", "no_repeat_ngram_size", "loop_guard")
NUMBERS = ("max_length_ratio", "min_length_ratio", "length_penalty", "patience")
NUMBERS += ("repetition_penalty",)
METHOD = "/attendant.v1.TranslationService/Translate"


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
    code, details = await refusal(stub.Translate(bad))
    assert code is grpc.StatusCode.NOT_FOUND
    assert message in details


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (request(*["a"] * 17), "texts: there are 17, at most 16 are allowed"),
        (request("b" * 5001), "texts[0]: it has 5001 characters, at most 5000 are allowed"),
        (request("one hundred " * 60), "tokens, model numbers takes at most 64"),
        (request("se\0ven"), "texts[0]: control character U+0000 at position 2"),
        (request("a\x7f"), "texts[0]: control character U+007F"),
        (
            request("a", options=pb.DecodingOptions(max_target_tokens=0)),
            "options.max_target_tokens: it is 0, 1 to 64 is allowed",
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
    code, details = await refusal(stub.Translate(bad))
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert message in details
    assert len({(await other).translations[0].text for other in others}) == 1


async def test_bytes_that_are_no_protobuf_are_refused(channel: grpc.aio.Channel) -> None:
    code, details = await refusal(channel.unary_unary(METHOD)(b"\xff\xff\xff\xff"))
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert details == "request: these bytes are no TranslateRequest"


async def test_past_the_transports_limit_grpc_itself_refuses(stub: TranslationServiceStub) -> None:
    code, _ = await refusal(stub.Translate(request("a" * 5_000_000)))
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
    hints = [int(str(f.trailing_metadata()["grpc-retry-pushback-ms"])) for f in failures]
    assert all(50 <= hint <= 10_000 for hint in hints)
    assert len(failures) < len(outcomes)
    assert (await stub.Translate(request("seven"))).translations[0].text


async def test_a_bug_leaves_as_internal_with_a_fixed_text(
    stub: TranslationServiceStub, app: App, monkeypatch: pytest.MonkeyPatch, caplog: object
) -> None:
    def explode(_name: str) -> None:
        raise RuntimeError("a secret of the server")

    monkeypatch.setattr(app.models, "use", explode)
    code, details = await refusal(stub.Translate(request("seven")))
    assert code is grpc.StatusCode.INTERNAL
    assert re.fullmatch(
        "internal error; the server's log has the details, request [0-9a-f]{32}", details
    )


def some(strategy: st.SearchStrategy[object]) -> st.SearchStrategy[object]:
    """A value now and then: most options of most requests are left out."""
    return st.none() | st.none() | strategy


counts = st.integers(0, 20) | st.integers(0, 2**32 - 1)
numbers = st.floats(-2, 3, width=32) | st.floats(width=32)
enums = st.integers(0, 3) | st.integers(-(2**31), 2**31 - 1)
sampling = st.builds(
    pb.Sampling,
    temperature=some(numbers),
    top_k=some(counts),
    top_p=some(numbers),
    seed=some(st.integers(0, 2**64 - 1)),
)
decoding_options = st.builds(
    pb.DecodingOptions,
    **{name: some(counts) for name in COUNTS},
    **{name: some(numbers) for name in NUMBERS},
    early_stopping=enums,
    sampling=some(sampling),
    suppressed_tokens=st.lists(st.sampled_from(["ein", "\u2581", "e", "</s>", "und"]), max_size=3),
)
languages = st.sampled_from(["en", "en", "en", "de", "xx"])
common = {
    "source_language": languages,
    "target_language": st.sampled_from(["de", "de", "de", "en", ""]),
    "model": st.sampled_from(["", "numbers", "numbers", "other"]),
    "options": decoding_options,
    "priority": enums,
    "output": st.builds(pb.OutputOptions, scores=st.booleans(), alignment=st.booleans()),
    "partial_at_deadline": st.booleans(),
}
texts = st.text(max_size=40) | st.sampled_from(["six", "one hundred and two", LONG])
FUZZ = settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
ALLOWED = {grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND}


@FUZZ
@given(
    asked=st.builds(
        pb.TranslateRequest,
        texts=st.lists(texts, max_size=3),
        target_prefixes=some(st.lists(st.text(max_size=10), max_size=3)),
        **common,
    )
)
async def test_any_request_gets_an_answer_or_a_named_refusal(
    stub: TranslationServiceStub, asked: pb.TranslateRequest
) -> None:
    try:
        response = await stub.Translate(asked, timeout=20)
    except grpc.aio.AioRpcError as error:
        if error.code() not in ALLOWED:
            raise
    else:
        assert len(response.translations) == len(asked.texts)


# Options that go together, most of them in range.
searches = st.one_of(
    st.just({}),
    st.fixed_dictionaries(
        {"beam_size": st.integers(2, 8)},
        optional={
            "num_hypotheses": st.integers(1, 2),
            "length_penalty": st.floats(-2, 3, width=32),
            "early_stopping": st.integers(0, 3),
        },
    ),
    st.fixed_dictionaries(
        {
            "sampling": st.builds(
                pb.Sampling,
                temperature=some(st.floats(0.5, 50, width=32)),
                top_k=some(st.integers(0, 200)),
                top_p=some(st.floats(0.125, 1, width=32)),
                seed=st.integers(0, 2**64 - 1),
            )
        }
    ),
)
constraints = st.fixed_dictionaries(
    {},
    optional={
        "max_target_tokens": st.integers(15, 64),
        "min_target_tokens": st.integers(0, 20),
        "min_length_ratio": st.floats(0, 3, width=32),
        "no_repeat_ngram_size": st.integers(0, 4),
        "repetition_penalty": st.floats(0.5, 20, width=32),
        "loop_guard": st.integers(2, 5),
        "suppressed_tokens": st.lists(st.sampled_from(["\u2581", "e", "und", "zig"]), max_size=3),
    },
)


@FUZZ
@given(
    text=st.sampled_from(["six", "one hundred and two", LONG, "zzz"]),
    prefix=st.sampled_from(["", "", "ein", "sechs", "neun tausend", "zq"]),
    search=searches,
    constraint=constraints,
    output=st.builds(pb.OutputOptions, scores=st.booleans(), alignment=st.booleans()),
)
async def test_a_sensible_request_is_answered_alike_by_both_calls(
    stub: TranslationServiceStub,
    text: str,
    prefix: str,
    search: dict[str, object],
    constraint: dict[str, object],
    output: pb.OutputOptions,
) -> None:
    options = pb.DecodingOptions(**search, **constraint)
    asked = request(text, options=options, output=output, target_prefixes=[prefix])
    streamed = stream_request(text, options=options, output=output, target_prefix=prefix)
    try:
        answer = (await stub.Translate(asked, timeout=20)).translations[0]
    except grpc.aio.AioRpcError as error:
        refused = error.code(), error.details() or ""
    else:
        refused = None
    if refused is not None:
        code, details = await refusal(stub.TranslateStream(streamed))
        assert code is refused[0] is grpc.StatusCode.INVALID_ARGUMENT
        assert details.partition(":")[2] == refused[1].partition(":")[2]
        return
    messages = [message async for message in stub.TranslateStream(streamed, timeout=20)]
    assert "".join(message.text for message in messages) == answer.text
    assert messages[-1].translation == answer
    for hypothesis in answer.hypotheses:
        assert bool(hypothesis.tokens) == output.scores
        assert bool(hypothesis.alignment.source_tokens) == output.alignment
        assert (hypothesis.log_probability <= 0) or not hypothesis.HasField("log_probability")
        assert not {token.piece for token in hypothesis.tokens} & {"<pad>", "<s>"}
