"""Every check of a request: the message names the field, its value and the limit, on both calls."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
import pytest_asyncio
from attendant_protos.v1 import translation_pb2 as pb

from tests.server.rpc.calls import Server, refusal, request, stream_request
from tests.server.rpc.conftest import config_for, serving

pytestmark = pytest.mark.asyncio(loop_scope="module")

MAX_UINT32 = 2**32 - 1
MAX_FLOAT = 3.4028234663852886e38


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(numbers_package: Path) -> AsyncIterator[Server]:
    limits = {"max_texts": 4, "max_text_characters": 500, "max_request_tokens": 70}
    async with serving(config_for(numbers_package, num_slots=12, **limits)) as server:
        yield server


async def message_of(call: Any) -> str:
    code, message = await refusal(call)
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    return message


RANGES: list[tuple[str, list[Any], str]] = [
    ("max_target_tokens", [0, 65, MAX_UINT32], "1 to 64"),
    ("min_target_tokens", [65, MAX_UINT32], "0 to 64"),
    ("max_length_ratio", [0.0, 0.009, -1.0, 1001.0, MAX_FLOAT], "0.01 to 1000"),
    ("min_length_ratio", [-0.5, 1000.5, MAX_FLOAT], "0 to 1000"),
    ("beam_size", [0, 13, MAX_UINT32], "1 to 12"),
    ("num_hypotheses", [0, 13, MAX_UINT32], "1 to 12"),
    ("length_penalty", [-10.5, 10.5, -MAX_FLOAT], "-10 to 10"),
    ("patience", [0.0, 10.5, -1.0], "0.01 to 10"),
    ("num_alternatives", [13, MAX_UINT32], "0 to 12"),
    ("no_repeat_ngram_size", [65, MAX_UINT32], "0 to 64"),
    ("repetition_penalty", [0.0, -2.0, 100.5], "0.01 to 100"),
    ("loop_guard", [1, 65, MAX_UINT32], "2 to 64"),
    ("sampling.temperature", [0.0, 0.001, -1.0, 101.0], "0.01 to 100"),
    ("sampling.top_k", [2**31 + 1, MAX_UINT32], "0 to 2.14748e+09"),
    ("sampling.top_p", [0.0, 0.00001, -0.5, 1.001], "0.0001 to 1"),
]
FLOATS = [name for name, values, _ in RANGES if isinstance(values[0], float)]


def options_with(name: str, value: Any) -> pb.DecodingOptions:
    inner, _, outer = name.rpartition("sampling.")[::-1]
    if outer is None or not name.startswith("sampling."):
        return pb.DecodingOptions(**{name: value})
    return pb.DecodingOptions(sampling=pb.Sampling(**{inner: value}))


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [(name, value, allowed) for name, values, allowed in RANGES for value in values],
)
async def test_a_value_out_of_range_is_named_with_its_range(
    server: Server, name: str, value: float, allowed: str
) -> None:
    options = options_with(name, value)
    shown = float(f"{value:.7g}") if isinstance(value, float) else value
    expected = f"options.{name}: it is {shown}, {allowed} is allowed"
    assert await message_of(server.stub.Translate(request("six", options=options))) == expected
    call = server.stub.TranslateStream(stream_request("six", options=options))
    assert await message_of(call) == expected


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("name", FLOATS)
async def test_what_is_no_number_is_in_no_range(server: Server, name: str, value: float) -> None:
    message = await message_of(
        server.stub.Translate(request("six", options=options_with(name, value)))
    )
    assert message.startswith(f"options.{name}: it is {value}, ")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_target_tokens", 1),
        ("max_target_tokens", 64),
        ("min_target_tokens", 0),
        ("min_target_tokens", 64),
        ("max_length_ratio", 0.01),
        ("max_length_ratio", 1000.0),
        ("min_length_ratio", 0.0),
        ("beam_size", 1),
        ("beam_size", 12),
        ("num_alternatives", 0),
        ("num_alternatives", 12),
        ("length_penalty", -10.0),
        ("length_penalty", 10.0),
        ("patience", 0.01),
        ("patience", 10.0),
        ("no_repeat_ngram_size", 0),
        ("no_repeat_ngram_size", 64),
        ("repetition_penalty", 0.01),
        ("repetition_penalty", 100.0),
        ("loop_guard", 0),
        ("loop_guard", 2),
        ("loop_guard", 64),
        ("sampling.temperature", 0.01),
        ("sampling.temperature", 100.0),
        ("sampling.top_k", 0),
        ("sampling.top_k", 2**31),
        ("sampling.top_p", 0.0001),
        ("sampling.top_p", 1.0),
        ("sampling.seed", 0),
        ("sampling.seed", 2**64 - 1),
    ],
)
async def test_the_ends_of_a_range_are_allowed(server: Server, name: str, value: float) -> None:
    asked = request("six", options=options_with(name, value))
    assert (await server.stub.Translate(asked)).translations[0].target_tokens >= 1


SEEDED = pb.Sampling(seed=1)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (
            {"num_hypotheses": 2},
            "num_hypotheses: it is 2, but greedy search has one; set beam_size, or sampling",
        ),
        (
            {"beam_size": 3, "num_hypotheses": 4},
            "num_hypotheses: it is 4, but beam_size 3 with patience 1 gives at most 3",
        ),
        (
            {"beam_size": 4, "num_hypotheses": 4, "patience": 0.5},
            "num_hypotheses: it is 4, but beam_size 4 with patience 0.5 gives at most 2",
        ),
        (
            {"beam_size": 2, "sampling": SEEDED},
            "sampling: it is set, but beam_size must be 1 then",
        ),
        *[
            (
                {"num_alternatives": 2, **other},
                "num_alternatives: it is 2, but beam_size, num_hypotheses and sampling must be "
                "left out then",
            )
            for other in (
                {"beam_size": 2},
                {"sampling": SEEDED},
                {"sampling": SEEDED, "num_hypotheses": 2},
            )
        ],
        *[
            (
                {"beam_size": 2, "patience": 2.0, "early_stopping": rule},
                "patience: it is 2.0, but it needs EARLY_STOPPING_PATIENCE",
            )
            for rule in (pb.EARLY_STOPPING_HEURISTIC, pb.EARLY_STOPPING_NEVER)
        ],
        (
            {"min_target_tokens": 9, "max_target_tokens": 8},
            "min_target_tokens: it asks for 9 tokens of text 0, which may have 8",
        ),
        (
            {"min_target_tokens": 9, "max_length_ratio": 0.5},
            "min_target_tokens: it asks for 9 tokens of text 0, which may have 1",
        ),
        (
            {"min_length_ratio": 3.0, "max_target_tokens": 8},
            "min_length_ratio: it asks for 9 tokens of text 0, which may have 8",
        ),
        (
            {"min_length_ratio": 30.0},
            "min_length_ratio: it asks for 90 tokens of text 0, which may have 64",
        ),
        (
            {"suppressed_tokens": ["six"] * 257},
            "suppressed_tokens: it is 257, 0 to 256 is allowed",
        ),
        *[
            (
                {"suppressed_tokens": ["▁", piece]},
                f"suppressed_tokens[1]: {piece!r} is no token of text in this model's vocabulary",
            )
            for piece in ("", "absent", "</s>", "<s>", "<pad>", "<2de>")
        ],
        ({"early_stopping": 4}, "early_stopping: it is 4, known are 0, 1, 2, 3"),
        ({"early_stopping": -1}, "early_stopping: it is -1, known are 0, 1, 2, 3"),
        ({"early_stopping": 2**31 - 1}, "early_stopping: it is 2147483647, known are 0, 1, 2, 3"),
    ],
)
async def test_options_that_exclude_each_other_are_named(
    server: Server, options: dict[str, Any], expected: str
) -> None:
    asked = request("six", options=pb.DecodingOptions(**options))  # of three tokens
    assert await message_of(server.stub.Translate(asked)) == f"options.{expected}"


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"priority": 4}, "priority: it is 4, known are 0, 1, 2, 3"),
        ({"priority": -7}, "priority: it is -7, known are 0, 1, 2, 3"),
        (
            {"target_prefixes": ["ein", "zwei", "drei"]},
            "target_prefixes: there are 3 for 2 texts; one each, or none at all",
        ),
        (
            {"target_prefixes": [""]},
            "target_prefixes: there are 1 for 2 texts; one each, or none at all",
        ),
    ],
)
async def test_a_wrong_field_of_the_request_is_named(
    server: Server, fields: dict[str, Any], expected: str
) -> None:
    message = await message_of(server.stub.Translate(request("six", "seven", **fields)))
    assert message.startswith(expected)


@pytest.mark.parametrize(
    ("prefix", "expected"),
    [
        ("a" * 501, "it has 501 characters, at most 500 are allowed"),
        ("ei\x01n", "control character U+0001 at position 2 is not allowed"),
        ("ein" * 60, "it has "),
    ],
)
async def test_a_wrong_prefix_is_named(server: Server, prefix: str, expected: str) -> None:
    message = await message_of(server.stub.Translate(request("six", target_prefixes=[prefix])))
    assert message.startswith(f"target_prefixes[0]: {expected}")


async def test_a_prefix_must_leave_room_for_a_token(server: Server) -> None:
    async def translated(**options: Any) -> pb.Translation:
        fields = {"options": pb.DecodingOptions(**options), "target_prefixes": ["ein hundert"]}
        return await server.translate("six", **fields)

    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await translated(max_target_tokens=1)
    details = caught.value.details() or ""
    num_forced = int(details.removeprefix("target_prefixes[0]: it has ").split()[0])
    assert details.endswith(f" {num_forced} tokens, and the translation may have 1")
    with pytest.raises(grpc.aio.AioRpcError, match=f"may have {num_forced}"):
        await translated(max_target_tokens=num_forced)
    shortest = await translated(max_target_tokens=num_forced + 1)
    assert shortest.target_tokens == num_forced + 1
    assert shortest.text.startswith("ein hundert")


async def test_a_request_may_hold_so_many_source_tokens(server: Server) -> None:
    texts = ["one hundred " * 16] * 2
    expected = "texts: together they have 71 tokens, at most 70 are allowed"
    assert await message_of(server.stub.Translate(request(*texts, "six"))) == expected
    assert len((await server.stub.Translate(request(*texts, ""))).translations) == 3


@pytest.mark.parametrize(
    ("text", "fields", "expected"),
    [
        ("a\0", {}, "text: control character U+0000 at position 1 is not allowed"),
        ("a" * 501, {}, "text: it has 501 characters, at most 500 are allowed"),
        ("one hundred " * 40, {}, "text: it has 82 tokens, model numbers takes at most 64"),
        (
            "six",
            {"target_prefix": "\x7f"},
            "target_prefix: control character U+007F at position 0 is not allowed",
        ),
        (
            "six",
            {"target_prefix": "ein hundert", "options": {"max_target_tokens": 1}},
            "target_prefix: it has ",
        ),
        ("six", {"priority": 9}, "priority: it is 9, known are 0, 1, 2, 3"),
        (
            "six",
            {"options": {"num_hypotheses": 3, "sampling": SEEDED}},
            "options.num_hypotheses: it is 3, but only one sample can be streamed",
        ),
        (
            "six",
            {"options": {"num_alternatives": 3}},
            "options.num_alternatives: it is 3, but alternatives cannot be streamed",
        ),
    ],
)
async def test_a_stream_is_refused_by_its_own_fields(
    server: Server, text: str, fields: dict[str, Any], expected: str
) -> None:
    if options := fields.get("options"):
        fields = {**fields, "options": pb.DecodingOptions(**options)}
    call = server.stub.TranslateStream(stream_request(text, **fields))
    assert (await message_of(call)).startswith(expected)


async def test_a_beam_wider_than_the_server_has_rows_is_refused(numbers_package: Path) -> None:
    async with serving(config_for(numbers_package, num_slots=3)) as narrow:
        asked = request("six", options=pb.DecodingOptions(beam_size=4))
        message = await message_of(narrow.stub.Translate(asked))
        assert message == "options.beam_size: it is 4, 1 to 3 is allowed"


async def test_nothing_of_a_refused_request_reaches_the_engine(server: Server) -> None:
    steps = server.metric("attendant_decode_batch_size_count")
    options = pb.DecodingOptions(min_length_ratio=30.0)
    await message_of(server.stub.Translate(request("six", "seven", options=options)))
    assert server.async_engine.num_pending == 0
    assert server.metric("attendant_decode_batch_size_count") == steps
