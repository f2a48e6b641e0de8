"""How translations are broken into lines."""

import pytest
from attendant.cli.formats.document import one_paragraph, wrap
from hypothesis import given
from hypothesis import strategies as st

WORDS = st.lists(st.text("abc-.ü你", min_size=1, max_size=5), min_size=1, max_size=6)


@pytest.mark.parametrize(
    ("text", "like", "expected"),
    [
        ("one", ["a"], ["one"]),
        ("one two three four", ["a b", "c d"], ["one two", "three four"]),
        ("one two three four", ["a", "b c d e f g h"], ["one", "two three four"]),
        ("one two three", ["aaaa", "bbbb", "cccc"], ["one", "two", "three"]),
        ("one two", ["a", "b", "c"], ["one", "two"]),
        ("one", ["a", "b"], ["one"]),
        ("", ["a", "b"], [""]),
        ("donaudampfschifffahrt", ["a long", "line"], ["donaudampfschifffahrt"]),
        ("两只狗在公园里玩", ["two dogs", "in a park"], ["两只狗", "在公园里玩"]),
        (" a", ["b", "c"], [" a"]),
        ("a    b c", ["a", "b", "c"], ["a", "   b", "c"]),
    ],
)
def test_a_text_is_broken_as_another_one(text: str, like: list[str], expected: list[str]) -> None:
    assert wrap(text, like) == expected


@given(st.lists(WORDS.map(" ".join), min_size=1, max_size=4))
def test_the_same_words_come_back_in_the_same_lines(lines: list[str]) -> None:
    assert wrap(" ".join(lines), lines) == lines


@given(WORDS.map(" ".join), st.lists(WORDS.map(" ".join), min_size=1, max_size=4))
def test_no_word_is_lost_and_no_line_too_many(text: str, like: list[str]) -> None:
    lines = wrap(text, like)
    assert len(lines) <= len(like)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")
    assert all(line.strip() for line in lines)


def test_a_paragraph_has_no_breaks() -> None:
    assert one_paragraph("a\r\nb\nc") == "a  b c"
