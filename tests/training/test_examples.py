from __future__ import annotations

import dataclasses
from collections import Counter
from pathlib import Path

import pytest

from tests.training.tiny import data_config, make_tokenizer, pairs
from training.aligned import AlignedText, CorpusError
from training.config import BOS_ID, EOS_ID, UNK_ID
from training.examples import Example, ExampleSource
from training.tokenizer import Tokenizer, language_tag


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    return make_tokenizer(tmp_path_factory.mktemp("tokenizer") / "tokenizer.model")


def source(
    tokenizer: Tokenizer, *texts: AlignedText, max_length: int = 64, **fields: object
) -> ExampleSource:
    data = data_config(**fields)
    return ExampleSource(texts, tokenizer, data, max_length)


def spelled(tokenizer: Tokenizer, example: Example) -> tuple[str, str, str]:
    """Tag, source and target as text."""
    tag = tokenizer.pieces[example.source[0]]
    return tag, tokenizer.decode(example.source), tokenizer.decode(example.target)


DOG = AlignedText("pairs", {"en": ["a dog runs"], "de": ["ein Hund rennt"]})


@pytest.mark.parametrize("directions", [("en-de",), ("de-en",), ("all",)])
def test_each_direction_has_its_tag_and_its_sides(
    tokenizer: Tokenizer, directions: tuple[str, ...]
) -> None:
    found = source(tokenizer, DOG, directions=directions).examples
    expected = {
        "en-de": ("<2de>", "a dog runs", "ein Hund rennt"),
        "de-en": ("<2en>", "ein Hund rennt", "a dog runs"),
    }
    named = expected if directions == ("all",) else directions
    assert [spelled(tokenizer, e) for e in found] == [expected[name] for name in named]


def test_a_source_is_tag_pieces_end_and_a_target_beginning_pieces_end(
    tokenizer: Tokenizer,
) -> None:
    (example,) = source(tokenizer, DOG, directions=("en-de",)).examples
    assert example.source[0] == tokenizer.piece_id(language_tag("de"))
    assert (example.source[-1], example.target[0], example.target[-1]) == (EOS_ID, BOS_ID, EOS_ID)
    assert example.length == max(len(example.source), len(example.target))


def test_a_direction_may_come_several_times_an_epoch(tokenizer: Tokenizer) -> None:
    found = source(tokenizer, DOG, directions=("all", "en-de*3")).examples
    assert Counter(spelled(tokenizer, e)[0] for e in found) == {"<2de>": 3, "<2en>": 1}


def test_a_text_may_come_several_times_an_epoch(tokenizer: Tokenizer) -> None:
    often = dataclasses.replace(DOG, times=3)
    found = source(tokenizer, often, DOG, directions=("en-de*2",))
    assert [spelled(tokenizer, example)[1] for example in found.examples] == ["a dog runs"] * 8


def test_text_of_one_direction_serves_no_other(tokenizer: Tokenizer) -> None:
    text = AlignedText("teacher", DOG.sides, ("en", "de"))
    found = source(tokenizer, text, directions=("all",)).examples
    assert [spelled(tokenizer, e)[0] for e in found] == ["<2de>"]


def test_texts_of_fewer_languages_serve_what_they_can(tokenizer: Tokenizer) -> None:
    mono = AlignedText("mono", {"de": ["ein Hund singt"]})
    assert len(source(tokenizer, DOG, mono).examples) == 2


def test_denoising_restores_the_sentence_in_its_own_language(tokenizer: Tokenizer) -> None:
    text = AlignedText("mono", {"de": ["ein kleines Boot auf einem See"]})
    found = source(tokenizer, text, directions=(), denoise=("de*4",)).examples
    assert len(found) == 4
    for example in found:
        assert example.source[0] == tokenizer.piece_id(language_tag("de"))
        assert UNK_ID in example.source
        assert tokenizer.decode(example.target) == "ein kleines Boot auf einem See"
    assert len({tuple(e.source) for e in found}) > 1


def test_every_epoch_corrupts_anew_and_the_same_epoch_alike(tokenizer: Tokenizer) -> None:
    texts = source(tokenizer, pairs(), denoise=("all",))
    assert texts.epoch(1) == texts.epoch(1) != texts.epoch(2)


def test_without_draws_every_epoch_is_the_same(tokenizer: Tokenizer) -> None:
    texts = source(tokenizer, pairs())
    assert texts.epoch(1) is texts.epoch(2) is texts.examples


def test_with_sampling_every_epoch_cuts_anew_and_the_same_epoch_alike(
    tokenizer: Tokenizer,
) -> None:
    texts = source(tokenizer, pairs(), sampling_alpha=0.2)
    again = source(tokenizer, pairs(), sampling_alpha=0.2)
    assert texts.epoch(1) == again.epoch(1) == texts.epoch(1)
    assert texts.epoch(1) != texts.epoch(2)
    for epoch in (1, 2):
        assert [spelled(tokenizer, e) for e in texts.epoch(epoch)] == [
            spelled(tokenizer, e) for e in texts.examples
        ]


def test_the_longer_side_decides_what_is_too_long(tokenizer: Tokenizer) -> None:
    lengths = sorted(e.length for e in source(tokenizer, pairs()).examples)
    for limits in ({"max_tokens": lengths[9]}, {"max_length": lengths[9]}):
        texts = source(tokenizer, pairs(), **limits)
        assert max(e.length for e in texts.examples) == lengths[9]
        assert texts.num_too_long == len(lengths) - len(texts.examples) > 0
    with pytest.raises(CorpusError, match="pairs: no example in all has at most 2 tokens"):
        source(tokenizer, pairs(), max_tokens=2)


def test_a_language_without_a_tag_is_named(tokenizer: Tokenizer, tmp_path: Path) -> None:
    text = AlignedText("pairs", {"en": ["a dog"], "fr": ["un chien"]})
    with pytest.raises(ValueError, match="the tokenizer has no tag <2fr>"):
        source(tokenizer, text, languages=("en", "fr"))
