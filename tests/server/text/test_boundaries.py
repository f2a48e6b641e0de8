"""What the library is asked, in windows, and what is known better than it knows."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.text.boundaries import MAX_WINDOW, BoundaryFinder


def pieces(text: str, language: str = "en") -> list[str]:
    edges = [0, *BoundaryFinder(language).starts(text), len(text)]
    return [text[a:b] for a, b in itertools.pairwise(edges)]


SENTENCES = ["Dr. Smith met Mrs. Jones at 5.30 p.m. in Rome. ", "Why? ", "He said: “No.” ", "So. "]


@pytest.mark.parametrize("shift", range(70))
def test_the_edge_of_a_window_is_no_end_and_hides_none(shift: int) -> None:
    sentences = ["W" * shift + "hy. ", *(SENTENCES * (2 * MAX_WINDOW // 60))]
    assert len("".join(sentences)) > 2 * MAX_WINDOW
    assert pieces("".join(sentences)) == sentences


@pytest.mark.parametrize("length", range(MAX_WINDOW - 12, MAX_WINDOW + 4))
def test_a_sentence_may_be_as_long_as_a_window_and_longer(length: int) -> None:
    for size in (length, length + MAX_WINDOW // 2):
        first = "W" * (size % 5) + "ord " + "word " * (size // 5 - 1) + "end. "
        assert pieces(first + "And then some more.") == [first, "And then some more."]


def test_a_word_longer_than_a_window_is_no_end() -> None:
    text = "a" * 3 * MAX_WINDOW + ". "
    assert pieces(text + "Yes.") == [text, "Yes."]


@given(
    st.text("ab. «»\"'!?…“”)(1狗。\ud800\u200b\n", max_size=200), st.sampled_from(["en", "ja", ""])
)
def test_starts_are_in_the_text_and_in_order(text: str, language: str) -> None:
    starts = BoundaryFinder(language).starts(text)
    assert starts == sorted(set(starts))
    assert all(0 < start < len(text) for start in starts)


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("de", "Sie wohnt im 2. Stock."),
        ("de", "Das 19. Jahrhundert war lang."),
        ("de", "1. Kapitel"),
        ("de", "Alles inkl. Gepäck."),
        ("fr", "M. Dupont et MM. Durand"),
        ("fr", "L'art. 5 du chap. 3"),
        ("cs", "Odjedeme 2. února."),
        ("cs", "„Pojď sem!“ řekla."),
        ("en", "See Vol. 2 of it."),
        ("en", '"Come!" she said.'),
        ("ja", "「来て！」と彼女は言った。"),
    ],
)
def test_what_the_library_takes_for_an_end_and_is_none(language: str, text: str) -> None:
    assert pieces(text, language) == [text]


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("de", "Er kam um 10. |Sie kam später."),
        ("fr", "Il mesure 1,80 m. |Elle aussi."),
        ("en", "“Come!” |She came."),
        ("en", "fine. |yes! |maybe? |well."),
        ("ja", "犬。|とても。"),
    ],
)
def test_what_is_an_end_stays_one(language: str, text: str) -> None:
    assert pieces(text.replace("|", ""), language) == text.split("|")


def test_a_code_of_a_country_and_capitals_change_nothing() -> None:
    text = "Am 3. Mai. Gut."
    expected = ["Am 3. Mai. ", "Gut."]
    assert [pieces(text, code) for code in ("de", "de-AT", "DE", "de_CH")] == [expected] * 4
    assert pieces("Er kam am 3. Mai z. B. nach Wien.", "de-AT") == [
        "Er kam am 3. Mai z. B. nach Wien."
    ]
