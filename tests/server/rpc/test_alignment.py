"""Alignments as the API answers them, on sentences whose words correspond plainly."""

from __future__ import annotations

from typing import Any

import pytest
from attendant_protos.v1 import translation_pb2 as pb

from tests.server.rpc.calls import ALIGNMENT, CAPTION, Server, pieces

pytestmark = pytest.mark.asyncio(loop_scope="module")

HOW: list[dict[str, Any]] = [
    {},
    {"beam_size": 4, "num_hypotheses": 4},
    {"sampling": pb.Sampling(seed=5), "num_hypotheses": 3},
    {"num_alternatives": 3},
    {"max_target_tokens": 5},
    {"beam_size": 3, "num_hypotheses": 3, "max_target_tokens": 5},
    {"min_target_tokens": 60, "loop_guard": 3},
]


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("prefix", ["", "Ein kleines", "🐕 日"])
async def test_every_target_token_has_one_link_into_the_source(
    captions: Server, how: dict[str, Any], prefix: str
) -> None:
    if how.get("max_target_tokens") and prefix.startswith("🐕"):
        how = {**how, "max_target_tokens": 12}
    found = await captions.translate(
        CAPTION,
        options=pb.DecodingOptions(**how),
        output=pb.OutputOptions(alignment=True, scores=True),
        target_prefixes=[prefix],
    )
    assert found.hypotheses
    for hypothesis in found.hypotheses:
        alignment = hypothesis.alignment
        tokens = [piece for piece in pieces(hypothesis) if piece != "</s>"]
        assert [*alignment.target_tokens] == tokens
        assert [link.target for link in alignment.links] == [*range(len(tokens))]
        assert len(alignment.source_tokens) == found.source_tokens
        assert all(link.source < found.source_tokens for link in alignment.links)
        assert all(1 / found.source_tokens <= link.weight <= 1 for link in alignment.links)
        num_words = (len(CAPTION.split()), len(hypothesis.text.split()))
        for source, target in word_pairs(alignment):
            assert source < num_words[0]
            assert target < num_words[1]


def word_pairs(alignment: pb.Alignment) -> list[tuple[int, int]]:
    return [
        (int(s), int(t)) for s, _, t in (pair.partition("-") for pair in alignment.words.split())
    ]


async def test_source_tokens_are_those_that_the_model_reads(captions: Server) -> None:
    alignment = (await captions.translate("Two dogs.", output=ALIGNMENT)).hypotheses[0].alignment
    assert [*alignment.source_tokens] == ["<2de>", "▁Two", "▁dogs", ".", "</s>"]


@pytest.mark.parametrize(
    ("text", "target", "expected"),
    [
        ("Two dogs are playing in the snow.", "de", {"Zwei": "Two", "Hunde": "dogs"}),
        ("A man in a red shirt is reading a book.", "de", {"Mann": "man", "roten": "red"}),
        ("Zwei Frauen essen Eis.", "en", {"Two": "Zwei", "women": "Frauen"}),
        (CAPTION, "de", {"Mädchen": "girl", "Kleid": "dress", "Hund": "dog", "Park.": "park."}),
    ],
)
async def test_words_link_to_their_translations(
    captions: Server, text: str, target: str, expected: dict[str, str]
) -> None:
    source = "en" if target == "de" else "de"
    found = await captions.translate(
        text, output=ALIGNMENT, source_language=source, target_language=target
    )
    words = text.split(), found.text.split()
    pairs = {(words[1][t], words[0][s]) for s, t in word_pairs(found.hypotheses[0].alignment)}
    assert {*expected.items()} <= pairs


async def test_an_alignment_is_the_same_by_every_search_that_finds_the_same(
    captions: Server,
) -> None:
    greedy = (await captions.translate(CAPTION, output=ALIGNMENT)).hypotheses[0].alignment
    for options in ({"beam_size": 4}, {"sampling": pb.Sampling(top_k=1)}, {"num_alternatives": 4}):
        found = await captions.translate(
            CAPTION, options=pb.DecodingOptions(**options), output=ALIGNMENT
        )
        assert found.hypotheses[0].alignment == greedy
    forced = await captions.translate(CAPTION, target_prefixes=["Ein kleines"], output=ALIGNMENT)
    assert forced.hypotheses[0].alignment == greedy


async def test_white_space_of_the_source_moves_no_word(captions: Server) -> None:
    neat = await captions.translate(CAPTION, output=ALIGNMENT)
    wild = await captions.translate("  " + CAPTION.replace(" ", " \t ") + "\n", output=ALIGNMENT)
    assert wild.text == neat.text
    assert wild.hypotheses[0].alignment.words == neat.hypotheses[0].alignment.words
