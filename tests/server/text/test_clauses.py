"""Sentences cut to a limit; a token is a word here, or a character where the test says so."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.text.clauses import shorten
from server.text.sentences import split, whole


def num_words(text: str) -> int:
    return len(text.split())


def parts(text: str, limit: int) -> list[str]:
    document = shorten(split(text, "en"), num_words, limit)
    return [text[s.start : s.end] for s in document.sentences]


def test_what_fits_stays_as_it_is() -> None:
    document = split("One two three. Four five.", "en")
    assert shorten(document, num_words, 3) == document
    assert not any(s.is_part for s in document.sentences)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # A main clause before a comma, a comma before a word, the nearest one to the middle.
        ("a b, c d; e f, g h.", ["a b, c d;", "e f, g h."]),
        ("a b c, d e f, g h.", ["a b c,", "d e f, g h."]),
        ("a b c d e f.", ["a b c", "d e f."]),
        ("a b c – d e, g h.", ["a b c –", "d e, g h."]),
        ("he said (a b c) d e f.", ["he said (a b c)", "d e f."]),
        # None that would leave next to nothing.
        ("a; b c d e f g h.", ["a; b c d", "e f g h."]),
    ],
)
def test_a_sentence_is_cut_where_a_reader_would_breathe(text: str, expected: list[str]) -> None:
    assert parts(text, 5) == expected


def test_parts_are_marked_and_whole_sentences_are_not() -> None:
    document = shorten(split("Go! Ah be see dee eh eff. Stay.", "en"), num_words, 3)
    assert [s.is_part for s in document.sentences] == [False, True, True, False]
    assert document.gaps == ["", " ", " ", " ", ""]


def test_without_spaces_clauses_and_then_characters_count() -> None:
    def cut(text: str, limit: int) -> list[str]:
        return [s.text for s in shorten(whole(text), len, limit).sentences]

    assert cut("狗在公园里玩，猫在家里睡觉。", 8) == ["狗在公园里玩，", "猫在家里睡觉。"]
    assert cut("abcdefgh", 2) == ["ab", "cd", "ef", "gh"]
    assert cut("xy\u0301\u0302z", 3) == ["xy\u0301\u0302", "z"]


def test_what_is_one_character_to_the_reader_stays_whole_however_long() -> None:
    document = shorten(whole("e" + "\u0301" * 9), len, 3)
    assert [s.text for s in document.sentences] == ["e" + "\u0301" * 9]


def test_a_cut_in_a_wrapped_paragraph_may_take_its_line_break() -> None:
    line = "word " * 12
    text = f"> {line.strip()}\n> {line.strip()}\n> {line.strip()}."
    document = shorten(split(text, "en"), num_words, 12)
    assert [num_words(s.text) for s in document.sentences] == [9] * 4
    assert sum(len(s.wraps) for s in document.sentences) == 2
    (even,) = split(f"> {line.strip()}\n> {line.strip()}.", "en").sentences
    assert len(even.wraps) == 1
    halves = shorten(split(f"> {line.strip()}\n> {line.strip()}.", "en"), num_words, 12)
    assert halves.gaps == ["> ", "\n> ", ""]
    assert [s.wraps for s in halves.sentences] == [(), ()]


texts = st.lists(
    st.sampled_from(
        ["a", "bb", ", ", "; ", " ", "\n", "狗", "，", "e\u0301", "ccc " * 20, "1", ". "]
    ),
    max_size=40,
).map("".join)


@given(text=texts, limit=st.integers(1, 12))
def test_everything_fits_and_nothing_is_lost(text: str, limit: int) -> None:
    document = split(text, "en")
    shortened = shorten(document, num_words, limit)
    position, letters = 0, ""
    for sentence in shortened.sentences:
        assert num_words(sentence.text) <= limit
        assert position <= sentence.start < sentence.end
        words = text[sentence.start : sentence.end]
        assert words == words.strip()
        letters += words
        position = sentence.end
    kept = "".join(text[s.start : s.end] for s in document.sentences)
    assert [c for c in letters if c.isalpha()] == [c for c in kept if c.isalpha()]
    assert shorten(shortened, num_words, limit) == shortened


@pytest.mark.parametrize("pattern", ["a", "a ", "a, ", "狗", "a\u0301", "\u0301", "a;", "(a) "])
def test_the_time_hardly_grows_faster_than_the_text(pattern: str) -> None:
    text = "x" + pattern * (100_000 // len(pattern))
    begun = time.thread_time()
    shorten(whole(text), len, 100)
    assert time.thread_time() - begun < 1.0
