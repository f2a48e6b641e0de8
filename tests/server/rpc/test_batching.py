"""Requests with other options, other texts and other languages in the same steps change nothing."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest
from attendant_protos.v1 import translation_pb2 as pb

from tests.server.rpc.calls import (
    CAPTION,
    Server,
    engine_of,
    gated,
    request,
    stream_request,
    until,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")

TEXTS = [
    CAPTION,
    "A dog.",
    "Two men are repairing the roof of an old house while their neighbours look on.",
]
S = pb.Sampling
ALL_KINDS: list[dict[str, Any]] = [
    {},
    {"beam_size": 2},
    {"beam_size": 5, "num_hypotheses": 5, "length_penalty": 0.3},
    {"beam_size": 4, "early_stopping": pb.EARLY_STOPPING_NEVER},
    {"beam_size": 3, "patience": 2.0, "no_repeat_ngram_size": 2},
    {"beam_size": 16, "num_hypotheses": 3},
    {"sampling": S(seed=1)},
    {"sampling": S(seed=2, temperature=2.0, top_k=40), "num_hypotheses": 6},
    {"sampling": S(seed=3, temperature=0.7, top_p=0.8)},
    {"num_alternatives": 7},
    {"num_alternatives": 3, "max_target_tokens": 8},
    {"min_target_tokens": 30, "loop_guard": 2},
    {"min_length_ratio": 1.5, "repetition_penalty": 1.5},
    {"max_length_ratio": 1.6, "loop_guard": 0},
    {"suppressed_tokens": ["▁Ein", "▁Zwei", "."]},
    {"no_repeat_ngram_size": 1, "beam_size": 2, "suppressed_tokens": ["▁ein"]},
]
SAMPLES = {"sampling", "num_hypotheses"}
OUTPUTS = [pb.OutputOptions(scores=True, alignment=True), pb.OutputOptions(alignment=True), None]
PREFIXES = ["", "Ein", "🐕 Der"]


def all_requests() -> list[pb.TranslateRequest]:
    draw = random.Random(1)
    requests = []
    for i, kind in enumerate(ALL_KINDS * 2):
        texts = draw.sample(TEXTS, 2)
        requests.append(
            request(
                *texts,
                options=pb.DecodingOptions(**kind),
                output=OUTPUTS[i % 3],
                target_prefixes=[draw.choice(PREFIXES) for _ in texts],
                priority=draw.randrange(4),
            )
        )
    return requests


async def test_every_answer_is_the_same_alone_and_among_all_others(captions: Server) -> None:
    requests = all_requests()
    alone = [await captions.stub.Translate(asked) for asked in requests]
    order = list(range(len(requests)))
    random.Random(2).shuffle(order)
    rows, steps = [captions.metric(f"attendant_decode_batch_size_{x}") for x in ("sum", "count")]
    with gated(captions.app) as gate:
        calls = {i: asyncio.ensure_future(captions.stub.Translate(requests[i])) for i in order}
        await until(lambda: captions.async_engine.num_pending == 2 * len(requests))
        gate.open()
        together = [await calls[i] for i in range(len(requests))]
    rows = captions.metric("attendant_decode_batch_size_sum") - rows
    steps = captions.metric("attendant_decode_batch_size_count") - steps
    assert rows / steps > 8  # of 16
    assert together == alone


async def test_a_stream_is_the_same_alone_and_among_others(captions: Server) -> None:
    kinds = [k for k in ALL_KINDS if "num_alternatives" not in k and len(k.keys() & SAMPLES) < 2]
    requests = [
        stream_request(text, options=pb.DecodingOptions(**kind)) for kind in kinds for text in TEXTS
    ]

    async def streamed(asked: pb.TranslateStreamRequest) -> list[pb.TranslateStreamResponse]:
        return [message async for message in captions.stub.TranslateStream(asked)]

    alone = [await streamed(asked) for asked in requests]
    together = await asyncio.gather(*(streamed(asked) for asked in requests))
    assert [messages[-1] for messages in together] == [messages[-1] for messages in alone]
    assert ["".join(m.text for m in messages) for messages in together] == [
        "".join(m.text for m in messages) for messages in alone
    ]


async def test_calls_that_are_cancelled_beside_it_do_not_change_an_answer(captions: Server) -> None:
    requests = all_requests()[:16]
    alone = [await captions.stub.Translate(asked) for asked in requests]
    draw = random.Random(3)
    with gated(captions.app) as gate:
        calls = [asyncio.ensure_future(captions.stub.Translate(asked)) for asked in requests]
        doomed = [captions.stub.Translate(asked) for asked in all_requests()]
        await until(lambda: captions.async_engine.num_pending == 2 * (16 + len(doomed)))
        for call in draw.sample(doomed, len(doomed)):
            gate.allow(3)
            call.cancel()
            await asyncio.sleep(0)
        gate.open()
        assert [await call for call in calls] == alone
    await until(lambda: captions.async_engine.num_pending == 0)
    await until(lambda: not engine_of(captions.app).has_work)
    assert captions.metric("attendant_cache_slots_used") == 0
