"""TranslateStream over a real socket: text as it grows, and in the end what Translate answers."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import grpc
import pytest
from attendant_protos.v1 import translation_pb2 as pb

from demos.bundled import VERSION
from tests.server.rpc.calls import (
    CAPTION,
    Server,
    engine_of,
    gated,
    joined,
    pieces,
    refusal,
    request,
    stream_request,
    until,
)
from tests.server.rpc.conftest import config_for, serving

pytestmark = pytest.mark.asyncio(loop_scope="module")

ALL = pb.OutputOptions(scores=True, alignment=True)
TEXTS = [CAPTION, "Two men are repairing the roof of an old house.", "A dog."]
SAMPLING = pb.Sampling(seed=4, temperature=1.2)
WILD = pb.Sampling(seed=6, temperature=4.0)
HOW: list[dict[str, Any]] = [
    {},
    {"beam_size": 4},
    {"beam_size": 5, "num_hypotheses": 5},
    {"beam_size": 4, "early_stopping": pb.EARLY_STOPPING_NEVER, "length_penalty": 2.0},
    {"beam_size": 3, "patience": 2.0, "length_penalty": -1.0},
    {"sampling": SAMPLING},
    {"sampling": WILD},
    {"max_target_tokens": 9},
    {"beam_size": 3, "max_target_tokens": 9},
    {"min_target_tokens": 60, "loop_guard": 2},
    {"beam_size": 3, "min_target_tokens": 60, "loop_guard": 2},
]
PREFIXES = ["", "Ein kleines", "🐕 日本", "Ä\u0308 \u00ad"]


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("prefix", PREFIXES)
async def test_the_pieces_join_to_what_translate_answers(
    captions: Server, how: dict[str, Any], prefix: str
) -> None:
    if "max_target_tokens" in how:
        how = {**how, "max_target_tokens": 14}
    options = pb.DecodingOptions(**how)
    for text in TEXTS:
        asked = request(text, options=options, output=ALL, target_prefixes=[prefix])
        answer = await captions.stub.Translate(asked)
        messages = await captions.stream(text, options=options, output=ALL, target_prefix=prefix)
        *parts, last = messages
        assert joined(messages) == answer.translations[0].text
        assert last.translation == answer.translations[0]
        assert (last.model, last.seed, last.text) == (answer.model, answer.seed, "")
        assert not any(part.HasField("translation") or part.model for part in parts)
        assert all(part.text for part in parts)


@pytest.mark.parametrize("how", [{}, {"beam_size": 4}, {"sampling": SAMPLING}])
async def test_text_comes_before_the_end(captions: Server, how: dict[str, Any]) -> None:
    asked = stream_request(CAPTION, options=pb.DecodingOptions(**how))
    with gated(captions.app) as gate:
        messages = aiter(captions.stub.TranslateStream(asked))
        gate.allow(12)  # of about 15 steps
        early = [(await anext(messages)).text for _ in range(1 if "beam_size" in how else 10)]
        assert captions.async_engine.num_pending == 1
        gate.open()
        rest = [message async for message in messages]
    assert "".join(early) + joined(rest) == rest[-1].translation.text


async def test_with_greedy_search_each_step_brings_its_token(captions: Server) -> None:
    whole = await captions.translate(CAPTION, output=ALL)
    text, first = whole.text, "".join(pieces(whole.hypotheses[0])[:5])
    with gated(captions.app) as gate:
        messages = aiter(captions.stub.TranslateStream(stream_request(CAPTION)))
        received = ""
        for _ in range(5):
            gate.allow(1)
            received += (await anext(messages)).text
            assert text.startswith(received)
        assert received == first.replace("\u2581", " ").strip()
        gate.open()
        assert received + joined([message async for message in messages]) == text


async def test_a_forced_character_of_several_bytes_comes_whole(captions: Server) -> None:
    prefix = "🐕 日本é"
    messages = await captions.stream("A dog.", target_prefix=prefix, output=ALL)
    assert joined(messages).startswith(prefix)
    num_bytes = sum(piece.startswith("<0x") for piece in pieces(messages[-1].translation))
    assert num_bytes >= 10
    parts = [message.text for message in messages]
    assert "\ufffd" not in "".join(parts)
    assert {"🐕", "本"} <= {*parts}


async def test_bytes_that_make_no_character_are_what_translate_answers(captions: Server) -> None:
    """Where only bytes may come, most make no sense; the pieces still join to the answer."""
    tokenizer = captions.app.models.get("").tokenizer
    lead, trail = tokenizer.find("<0xE6>"), tokenizer.find("<0x97>")
    zero = tokenizer.find("<0x00>")
    assert lead is not None
    assert trail is not None
    assert zero is not None
    engine = engine_of(captions.app)
    logits_of = engine._runner.decode_step

    def only_bytes(tokens: list[int]) -> Any:
        logits = logits_of(tokens)
        bytes_ = logits[:, zero : zero + 256].copy()  # the bytes' ids, after the special ones
        logits[:, zero:] = -50.0
        logits[:, zero : zero + 256] = bytes_ + 50.0
        return logits

    assert tokenizer.piece(zero + 255) == "<0xFF>"
    engine._runner.decode_step = only_bytes  # type: ignore[method-assign]
    try:
        for seed in range(20):
            sampling = pb.Sampling(seed=seed, temperature=20.0)
            options = pb.DecodingOptions(sampling=sampling, max_target_tokens=30)
            asked = request("A dog.", options=options, output=ALL)
            expected = (await captions.stub.Translate(asked)).translations[0]
            messages = await captions.stream("A dog.", options=options, output=ALL)
            assert joined(messages) == expected.text
            assert messages[-1].translation == expected
    finally:
        del engine._runner.decode_step


@pytest.mark.parametrize("text", ["", "  \n"])
async def test_an_empty_text_is_one_message(captions: Server, text: str) -> None:
    (message,) = await captions.stream(text, target_prefix="Ein")
    assert message.text == ""
    assert message.translation == pb.Translation(finish_reason=pb.FINISH_REASON_EMPTY)
    assert message.model == f"multi30k/{VERSION}"


async def test_a_seed_that_the_server_picked_comes_last(captions: Server) -> None:
    options = pb.DecodingOptions(sampling=pb.Sampling(temperature=2.0))
    messages = await captions.stream(CAPTION, options=options)
    assert not any(message.HasField("seed") for message in messages[:-1])
    options.sampling.seed = messages[-1].seed
    assert joined(await captions.stream(CAPTION, options=options)) == joined(messages)


async def test_errors_are_those_of_translate(captions: Server) -> None:
    call = captions.stub.TranslateStream(stream_request("a", model="absent"))
    code, message = await refusal(call)
    assert code is grpc.StatusCode.NOT_FOUND
    assert message == "model: there is no model 'absent'; there are: multi30k"
    call = captions.stub.TranslateStream(stream_request("a", target_language="it"))
    code, message = await refusal(call)
    assert code is grpc.StatusCode.NOT_FOUND
    assert "has no language 'it'; it has en, de, fr, cs" in message


async def test_bytes_that_are_no_request_are_refused(captions: Server) -> None:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{captions.app.port}") as channel:
        call = channel.unary_stream("/attendant.v1.TranslationService/TranslateStream")
        code, message = await refusal(call(b"\xff\xff\xff"))
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert message == "request: these bytes are no TranslateStreamRequest"


@pytest.mark.parametrize("how", [{}, {"beam_size": 6}])
async def test_cancelling_frees_the_rows_at_the_next_step(
    captions: Server, how: dict[str, Any]
) -> None:
    labels = {"model": "multi30k", "code": "CANCELLED"}
    cancelled = captions.app.metrics.requests.labels(**labels)
    before = cancelled._value.get()
    with gated(captions.app) as gate:
        call = captions.stub.TranslateStream(
            stream_request(CAPTION, options=pb.DecodingOptions(**how))
        )
        gate.allow(9)
        assert (await anext(aiter(call))).text
        await until(
            lambda: captions.metric("attendant_cache_slots_used") >= how.get("beam_size", 1)
        )
        assert captions.metric("attendant_sequences_running") == 1
        call.cancel()
        await until(lambda: captions.async_engine.num_pending == 0)
        steps = captions.metric("attendant_decode_batch_size_count")
        gate.allow(9)  # those that the engine may still have, and one more
        await until(lambda: captions.metric("attendant_cache_slots_used") == 0)
    assert captions.metric("attendant_sequences_running") == 0
    assert captions.metric("attendant_decode_batch_size_count") - steps <= 9
    assert cancelled._value.get() == before + 1
    assert joined(await captions.stream("A dog."))


async def test_a_reader_who_leaves_the_loop_frees_the_rows(captions: Server) -> None:
    with gated(captions.app) as gate:
        call = captions.stub.TranslateStream(stream_request(CAPTION))
        gate.allow(2)
        async for _ in call:
            break
        call.cancel()
        await until(lambda: captions.async_engine.num_pending == 0)
    await until(lambda: captions.metric("attendant_cache_slots_used") == 0)


async def test_a_slow_reader_holds_nobody_up(captions: Server) -> None:
    slow = aiter(captions.stub.TranslateStream(stream_request(CAPTION)))
    first = await anext(slow)
    assert (await captions.translate("A dog.")).text
    await until(lambda: captions.async_engine.num_pending == 0)  # it runs on without its reader
    rest = [message async for message in slow]
    assert first.text + joined(rest) == rest[-1].translation.text


async def test_streams_are_counted_like_other_calls(numbers_package: Path) -> None:
    async with serving(config_for(numbers_package)) as server:
        await server.stream("six")
        await refusal(server.stub.TranslateStream(stream_request("six", target_language="it")))
        sample = server.app.metrics.registry.get_sample_value
        ok, failed = ({"model": "numbers", "code": code} for code in ("OK", "NOT_FOUND"))
        assert sample("attendant_requests_total", ok) == 1
        assert sample("attendant_requests_total", failed) == 1
        assert server.metric("attendant_request_duration_seconds_count") == 1
        target = sample("attendant_tokens_total", {"model": "numbers", "side": "target"})
        assert target == (await server.translate("six")).target_tokens


async def test_an_engine_that_dies_ends_the_streams(numbers_package: Path) -> None:
    async with serving(config_for(numbers_package)) as server:
        with gated(server.app) as gate:
            call = server.stub.TranslateStream(
                stream_request("nine thousand, nine hundred and ninety-nine")
            )
            gate.allow(4)
            assert (await anext(aiter(call))).text

            def break_down(_tokens: list[int]) -> None:
                raise RuntimeError("broken, as this test wants")

            engine_of(server.app)._runner.decode_step = break_down  # type: ignore[method-assign]
            gate.open()
            code, _ = await refusal(call)
        assert code is grpc.StatusCode.UNAVAILABLE


async def test_shutdown_waits_for_a_stream(numbers_package: Path) -> None:
    async with serving(config_for(numbers_package)) as server:
        with gated(server.app) as gate:
            messages = aiter(server.stub.TranslateStream(stream_request("nine thousand, nine")))
            gate.allow(4)
            first = await anext(messages)
            stopping = asyncio.create_task(server.app.stop())
            await until(lambda: server.app._drain.begun.is_set())
            gate.open()
            rest = [message async for message in messages]
        await stopping
    assert first.text + joined(rest) == rest[-1].translation.text
