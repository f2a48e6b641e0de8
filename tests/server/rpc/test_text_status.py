"""One bad text does not fail its neighbours: each text has a status of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
import pytest_asyncio
from attendant_protos.v1 import translation_pb2 as pb

from tests.server.rpc.calls import Server, refusal, request
from tests.server.rpc.conftest import config_for, serving

pytestmark = pytest.mark.asyncio(loop_scope="module")

INVALID = 3
TOO_LONG = "texts[1]: it has 501 characters, at most 500 are allowed"
CONTROL = "texts[1]: control character U+0000 at position 2 is not allowed"
TOO_MANY_TOKENS = "texts[1]: it has 182 tokens, model numbers takes at most 64"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(numbers_package: Path) -> AsyncIterator[Server]:
    config = config_for(numbers_package, num_slots=12, max_texts=4, max_text_characters=500)
    async with serving(config) as server:
        yield server


async def both(server: Server, *texts: str, **fields: Any) -> list[pb.Translation]:
    return list((await server.stub.Translate(request(*texts, **fields))).translations)


@pytest.mark.parametrize(
    ("bad", "message"),
    [("a" * 501, TOO_LONG), ("se\0ven", CONTROL), ("one " * 120, None)],
    ids=["characters", "control", "tokens"],
)
async def test_the_others_are_translated(server: Server, bad: str, message: str | None) -> None:
    alone = await server.translate("seven")
    first, wrong, last = await both(server, "seven", bad, "seven")
    assert first == last == alone
    assert not first.HasField("status")
    assert (wrong.text, wrong.finish_reason) == ("", pb.FINISH_REASON_REFUSED)
    assert (wrong.source_tokens, wrong.target_tokens) == (0, 0)
    assert (wrong.status.code, wrong.status.field) == (INVALID, "texts[1]")
    if message is None:
        assert wrong.status.message.endswith("tokens, model numbers takes at most 64")
    else:
        assert wrong.status.message == message


async def test_a_prefix_that_is_wrong_is_its_texts(server: Server) -> None:
    first, wrong = await both(server, "seven", "six", target_prefixes=["", "a\0"])
    assert first.text
    assert wrong.status.field == "target_prefixes[1]"
    assert wrong.status.message.startswith("target_prefixes[1]: control character U+0000")


async def test_an_option_that_does_not_fit_one_text_is_that_texts(server: Server) -> None:
    options = pb.DecodingOptions(max_length_ratio=0.5, min_target_tokens=4)
    short, long = await both(server, "six", "nine thousand, nine hundred and six", options=options)
    assert short.status.field == "options.min_target_tokens"
    assert "of text 0" in short.status.message
    assert long.finish_reason != pb.FINISH_REASON_REFUSED


async def test_without_a_text_that_is_right_the_call_fails(server: Server) -> None:
    code, message = await refusal(server.stub.Translate(request("b\0", "a" * 501)))
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert message == "texts[0]: control character U+0000 at position 1 is not allowed"


async def test_an_empty_text_is_not_wrong(server: Server) -> None:
    empty, wrong = await both(server, "", "a\0")
    assert empty.finish_reason == pb.FINISH_REASON_EMPTY
    assert wrong.finish_reason == pb.FINISH_REASON_REFUSED


async def test_pages_are_refused_one_by_one_too(server: Server) -> None:
    page, wrong = await both(server, "Seven. Six.", "se\0ven", split_sentences=True)
    assert [s.translation.text for s in page.sentences] == page.text.split()
    assert wrong.status.field == "texts[1]"
    assert not wrong.sentences


async def test_options_that_are_wrong_fail_the_call(server: Server) -> None:
    bad = request("seven", "six", options=pb.DecodingOptions(beam_size=99))
    code, message = await refusal(server.stub.Translate(bad))
    assert (code, message) == (
        grpc.StatusCode.INVALID_ARGUMENT,
        "options.beam_size: it is 99, 1 to 12 is allowed",
    )
