"""The use case on the bundled model: texts that are split into sentences."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

import server.translator
from demos.bundled import PACKAGE as BUNDLED
from server.config import ServerConfig
from server.errors import DeadlineError, InvalidRequestError
from server.loaded_model import load_model
from server.metrics import Metrics
from server.repository import ModelRepository
from server.request import RequestedOptions, RequestedSampling, TranslationRequest
from server.translation import Ending, Translation
from server.translator import MAX_INLINE_CHARACTERS, Translator

pytestmark = pytest.mark.asyncio(loop_scope="module")

PAGE = """\
# Two dogs in the park

Two dogs are playing in the park. A man in a red hat is watching them.
It is raining, and nobody else is there.

- A girl is eating an apple.
- A boy is riding a bicycle!\r
\t3. https://example.org/dogs

> Who is that?
"""
SENTENCES = [
    "Two dogs in the park",
    "Two dogs are playing in the park.",
    "A man in a red hat is watching them.",
    "It is raining, and nobody else is there.",
    "A girl is eating an apple.",
    "A boy is riding a bicycle!",
    "Who is that?",
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def translator() -> AsyncIterator[Translator]:
    metrics = Metrics()
    config = ServerConfig(num_slots=16, max_sentences=40, max_document_characters=9000)
    models = ModelRepository(
        BUNDLED.parent.parent, lambda folder: load_model(folder, config, metrics)
    )
    await models.start(["multi30k"])
    yield Translator(models, config, metrics)
    await models.close()


def asking(*texts: str, splits: bool = True, **fields: Any) -> TranslationRequest:
    return TranslationRequest("", "en", "de", list(texts), splits_sentences=splits, **fields)


async def translate(translator: Translator, *texts: str, **fields: Any) -> list[Translation]:
    return (await translator.translate(asking(*texts, **fields))).translations


async def test_a_page_is_translated_sentence_by_sentence(translator: Translator) -> None:
    (page,) = await translate(translator, PAGE)
    alone = await translate(translator, *SENTENCES, splits=False)
    assert [PAGE[slice(*s.source)] for s in page.sentences] == SENTENCES
    assert [s.translation for s in page.sentences] == alone
    assert [page.text[slice(*s.target)] for s in page.sentences] == [t.text for t in alone]
    expected = PAGE
    for sentence, translation in zip(SENTENCES, alone, strict=True):
        expected = expected.replace(sentence, translation.text, 1)
    assert page.text == expected
    assert page.ending is Ending.STOP
    assert page.num_source_tokens == sum(t.num_source_tokens for t in alone)
    assert page.num_target_tokens == sum(t.num_target_tokens for t in alone)
    assert page.hypotheses == []


KINDS: list[dict[str, Any]] = [
    {},
    {"returns_scores": True, "returns_alignment": True},
    {"options": RequestedOptions(beam_size=4, num_hypotheses=3), "returns_alignment": True},
    {"options": RequestedOptions(sampling=RequestedSampling(seed=7), num_hypotheses=2)},
    {"target_prefixes": ["Ein"]},
]


@pytest.mark.parametrize("fields", KINDS)
async def test_a_text_that_is_one_sentence_is_what_it_is_without_being_split(
    translator: Translator, fields: dict[str, Any]
) -> None:
    text = "A man, who is called Dr. Smith, walks his dog at 5.30 p.m. in the rain."
    (split,) = await translate(translator, text, **fields)
    (whole,) = await translate(translator, text, splits=False, **fields)
    (sentence,) = split.sentences
    assert whole.sentences == []
    assert sentence.translation == whole
    assert dataclasses.replace(split, sentences=[]) == whole
    assert (sentence.source, sentence.target) == ((0, len(text)), (0, len(whole.text)))


@pytest.mark.parametrize("fields", KINDS[:4])
async def test_sentences_are_the_same_in_a_page_and_alone_whatever_is_asked_for(
    translator: Translator, fields: dict[str, Any]
) -> None:
    (page,) = await translate(translator, PAGE, **fields)
    alone = await translate(translator, *SENTENCES, splits=False, **fields)
    assert [s.translation for s in page.sentences] == alone
    assert page.hypotheses == []


@pytest.mark.parametrize("text", ["", " ", "\n\t\r\n", "42", "..."])
async def test_what_is_nothing_to_translate_gives_itself(translator: Translator, text: str) -> None:
    (found,) = await translate(translator, text)
    assert found == Translation(text, Ending.EMPTY, 0, 0)


async def test_results_come_in_the_order_of_the_texts(translator: Translator) -> None:
    texts = ["One dog. Two dogs.", "", "- A cat.\n", "Three cats."]
    found = await translate(translator, *texts)
    for text, translation in zip(texts, found, strict=True):
        assert [translation] == await translate(translator, text)


async def test_a_prefix_begins_the_text_and_not_each_of_its_sentences(
    translator: Translator,
) -> None:
    texts = ["# A dog runs. A cat sleeps.", "A bird sings."]
    page, bird = await translate(translator, *texts, target_prefixes=["Gestern", "Heute"])
    assert page.text.startswith("# Gestern")
    assert "Gestern" not in page.text[slice(*page.sentences[1].target)]
    assert bird.text.startswith("Heute")


async def test_a_sentence_that_is_too_long_for_the_model_is_cut(translator: Translator) -> None:
    text = f"A dog runs. {'A man walks and a woman sleeps, ' * 60}and that is all."
    (found,) = await translate(translator, text)
    assert [s.is_part for s in found.sentences] == [False, *([True] * (len(found.sentences) - 1))]
    assert len(found.sentences) > 2
    assert all(s.translation.num_source_tokens <= 256 for s in found.sentences)
    with pytest.raises(InvalidRequestError, match="takes at most 256"):
        await translate(translator, text, splits=False)


async def test_the_worst_ending_is_the_texts(translator: Translator) -> None:
    options = RequestedOptions(max_target_tokens=5)
    (found,) = await translate(translator, "Dogs. A dog runs in the park.", options=options)
    assert [s.translation.ending for s in found.sentences] == [Ending.STOP, Ending.LENGTH]
    assert found.ending is Ending.LENGTH


@pytest.mark.parametrize(
    ("texts", "problem"),
    [
        (["A dog. " * 41], "texts: together they have 41 sentences or more, at most 40"),
        (["A dog. " * 20, "A cat. " * 21], "texts: together they have 41 sentences or more"),
        (["a" * 9001], r"texts\[0\]: it has 9001 characters, at most 9000"),
        (["a", "b" * 9000], "texts: together they have 9001 characters, at most 9000"),
        (["a", "b\0"], r"texts\[1\]: control character U\+0000 at position 1"),
        (["a\x85"], r"texts\[0\]: control character U\+0085 at position 1"),
    ],
)
async def test_a_page_has_limits(translator: Translator, texts: list[str], problem: str) -> None:
    with pytest.raises(InvalidRequestError, match=problem):
        await translate(translator, *texts)


async def test_a_page_may_be_longer_than_a_sentence(translator: Translator) -> None:
    text = "A dog runs.\n" * 40 + "\n" * 5000
    (found,) = await translate(translator, text)
    assert found.text == text.replace("A dog runs.", found.sentences[0].translation.text)
    problem = "it has 5480 characters, at most 5000"
    with pytest.raises(InvalidRequestError, match=problem):
        await translate(translator, text, splits=False)
    with pytest.raises(InvalidRequestError, match="it has 5001 characters, at most 5000"):
        await translate(translator, text, target_prefixes=["a" * 5001])


async def test_a_page_cannot_be_streamed(translator: Translator) -> None:
    with pytest.raises(InvalidRequestError, match="a text that is split cannot be streamed"):
        await anext(translator.stream(asking("One. Two.")))


async def test_the_deadline_is_counted_from_the_call(translator: Translator) -> None:
    with pytest.raises(DeadlineError):
        await translate(translator, "A dog runs. " * 40 + "\n" * 5000, timeout_s=0.0)


@pytest.mark.parametrize("num_blank", [0, MAX_INLINE_CHARACTERS])
@pytest.mark.parametrize("name", ["read_documents", "join_translations"])
async def test_a_long_text_is_split_and_put_together_in_a_thread(
    translator: Translator, monkeypatch: pytest.MonkeyPatch, name: str, num_blank: int
) -> None:
    threads = []
    function = getattr(server.translator, name)

    def note(*arguments: Any, **named: Any) -> Any:
        threads.append(threading.current_thread())
        return function(*arguments, **named)

    monkeypatch.setattr(server.translator, name, note)
    await translate(translator, "A dog runs." + "\n" * num_blank)
    (thread,) = threads
    assert (thread is threading.main_thread()) == (num_blank == 0)
