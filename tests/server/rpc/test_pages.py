"""Texts that are pages, over a real socket: split, translated, put back, and located."""

from __future__ import annotations

import pytest
from attendant_protos.v1 import translation_pb2 as pb

from tests.server.rpc.calls import Server, request

pytestmark = pytest.mark.asyncio(loop_scope="module")

PAGE = "Two dogs are playing. A man is sleeping!\n\n- A girl is eating an apple.\n- 42\n"
SENTENCES = ["Two dogs are playing.", "A man is sleeping!", "A girl is eating an apple."]


async def test_a_page_comes_back_as_it_was(captions: Server) -> None:
    response = await captions.stub.Translate(request(PAGE, split_sentences=True))
    (page,) = response.translations
    alone = [await captions.translate(sentence) for sentence in SENTENCES]
    first, second, third = (translation.text for translation in alone)
    assert page.text == f"{first} {second}\n\n- {third}\n- 42\n"
    assert [PAGE[s.source.start : s.source.end] for s in page.sentences] == SENTENCES
    found = [page.text[s.target.start : s.target.end] for s in page.sentences]
    assert found == [first, second, third]
    assert [s.translation for s in page.sentences] == alone
    assert page.source_tokens == sum(translation.source_tokens for translation in alone)
    assert page.finish_reason == pb.FINISH_REASON_STOP
    assert not any(s.is_part for s in page.sentences)


async def test_positions_count_code_points(captions: Server) -> None:
    text = "🚲 Zwei Männer lachen. 🐕 Ein Hund läuft."
    fields = {"source_language": "de", "target_language": "en", "split_sentences": True}
    response = await captions.stub.Translate(request(text, **fields))
    (page,) = response.translations
    found = [text[s.source.start : s.source.end] for s in page.sentences]
    assert found == ["Zwei Männer lachen.", "Ein Hund läuft."]


async def test_a_sentence_alone_has_no_sentences_unless_split(captions: Server) -> None:
    assert not (await captions.translate(SENTENCES[0])).sentences
    (sentence,) = (await captions.translate(SENTENCES[0], split_sentences=True)).sentences
    assert (sentence.source.start, sentence.source.end) == (0, len(SENTENCES[0]))


async def test_details_are_each_sentences_own(captions: Server) -> None:
    fields = {"split_sentences": True, "output": pb.OutputOptions(scores=True, alignment=True)}
    page = await captions.translate(PAGE, **fields)
    assert not page.hypotheses
    for sentence in page.sentences:
        (hypothesis,) = sentence.translation.hypotheses
        assert hypothesis.text == sentence.translation.text
        assert hypothesis.tokens
        assert hypothesis.alignment.links
