"""Translations put back into their text. The translator of these tests shouts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.text.clauses import shorten
from server.text.document import assemble
from server.text.sentences import split, whole
from tests.server.text.test_lines import PARAGRAPHS, wrapped
from tests.server.text.test_sentences import GOLDEN, structured


def put_back(text: str, *translations: str, source: str = "en", target: str = "de") -> str:
    return assemble(split(text, source), translations, target).text


def shouted(text: str) -> str:
    document = split(text, "en")
    return assemble(document, [s.text.upper() for s in document.sentences], "de").text


def test_a_page_keeps_its_form() -> None:
    assert shouted(
        "# Title\r\n\r\n- One item. Two.\r\n\t1. three\r\n\t2. four\r\n\r\n> So.\r\n"
    ) == ("# TITLE\r\n\r\n- ONE ITEM. TWO.\r\n\t1. THREE\r\n\t2. FOUR\r\n\r\n> SO.\r\n")


@pytest.mark.parametrize("kind", GOLDEN)
def test_everything_between_sentences_stays(kind: str) -> None:
    text = GOLDEN[kind].replace("⟦", "").replace("⟧", "")
    document = split(text, "en")
    translations = [f"<{i}>" for i in range(len(document.sentences))]
    expected = ""
    for gap, translation in zip(document.gaps, [*translations, ""], strict=True):
        expected += gap + translation
    assert assemble(document, translations, "de").text == expected


@pytest.mark.parametrize("text", ["", " ", "\n\n\t\r\n", "42\n", "..."])
def test_where_nothing_is_translated_the_text_gives_itself(text: str) -> None:
    assembled = assemble(split(text, "en"), [], "de")
    assert (assembled.text, assembled.spans) == (text, [])


def test_spans_lie_on_the_translations() -> None:
    document = split("- One. Two 😀\n\n  Three.\n", "en")
    translations = ["Ein langer Satz 🐕.", "", "Drei."]
    assembled = assemble(document, translations, "de")
    assert assembled.text == "- Ein langer Satz 🐕.  😀\n\n  Drei.\n"
    assert [assembled.text[a:b] for a, b in assembled.spans] == translations


def test_a_text_as_a_whole_is_its_translation() -> None:
    assembled = assemble(whole("  One. Two.\n"), ["Eins. Zwei."], "de")
    assert (assembled.text, assembled.spans) == ("Eins. Zwei.", [(0, 11)])


@pytest.mark.parametrize(
    ("target", "text", "translations", "expected"),
    [
        ("zh", "One. Two.  Three.\nFour.", ["一。", "二。", "三。", "四。"], "一。二。三。\n四。"),
        ("ja", "One. Two.", ["いち。", "に。"], "いち。に。"),
        ("zh-Hant", "One. Two.", ["一。", "二。"], "一。二。"),
        # What is not East Asian keeps its space; so do cells, and items.
        ("zh", "One. Two.", ["OK.", "Yes."], "OK. Yes."),
        ("zh", "One. Two.", ["OK.", "二。"], "OK.二。"),
        ("zh", "- One\n- Two\tThree", ["一", "二", "三"], "- 一\n- 二\t三"),
        ("zh", "One.    Two.", ["一。", "二。"], "一。    二。"),
        ("zh", "One. Two.", ["", "二。"], "二。"),
        ("ko", "One. Two.", ["하나.", "둘."], "하나. 둘."),
        ("th", "One. Two.", ["หนึ่ง", "สอง"], "หนึ่ง สอง"),
    ],
)
def test_a_space_goes_where_the_language_puts_none(
    target: str, text: str, translations: list[str], expected: str
) -> None:
    assert put_back(text, *translations, target=target) == expected


@pytest.mark.parametrize(
    ("source", "target", "text", "translations", "expected"),
    [
        ("zh", "en", "一。二。\n三。", ["One.", "Two.", "Three."], "One. Two.\nThree."),
        ("zh", "ja", "一。二。", ["いち。", "に。"], "いち。に。"),
        ("zh", "en", "一。二。", ["One.", ""], "One."),
        ("en", "de", "Stop!Go.", ["Halt!", "Los."], "Halt! Los."),
    ],
)
def test_a_space_comes_where_the_language_puts_one(
    source: str, target: str, text: str, translations: list[str], expected: str
) -> None:
    assert put_back(text, *translations, source=source, target=target) == expected


@pytest.mark.parametrize("line_break", ["\n", "\r\n", "\n> ", "\n    "])
@pytest.mark.parametrize("language", PARAGRAPHS)
def test_a_wrapped_paragraph_comes_back_in_lines(language: str, line_break: str) -> None:
    text = wrapped(PARAGRAPHS[language], 70, line_break)
    text = line_break.strip("\r\n") + text
    document = split(text, language)
    same = assemble(document, [s.text for s in document.sentences], "de")
    assert same.text == text
    longer = assemble(document, [s.text.replace(" ", " so ") for s in document.sentences], "de")
    assert longer.text.count(line_break) == text.count(line_break)
    lines = [len(line) for line in longer.text.splitlines()]
    assert max(lines[:-1]) < 2 * min(lines[:-1])
    assert [longer.text[a:b].replace(line_break, " ") for a, b in longer.spans] == [
        s.text.replace(" ", " so ") for s in document.sentences
    ]


def test_line_breaks_come_where_they_were_however_much_is_before_each_line() -> None:
    line_break = "\n        > > > "
    text = line_break[1:] + wrapped("word " * 300 + "end.", 60, line_break)
    (sentence,) = split(text, "en").sentences
    assert len(sentence.wraps) > 20
    assert put_back(text, sentence.text) == text


def test_line_breaks_that_find_no_space_are_dropped_and_east_asian_text_needs_none() -> None:
    text = "word " * 13 + "word\n" + "word " * 13 + "word\n" + "word " * 3 + "end."
    assert put_back(text, "Ein Wort.") == "Ein\nWort."
    assert put_back(text, "Wort.") == "Wort."
    assert put_back(text, "") == ""
    folded = put_back(text, "狗" * 30 + "。", target="zh")
    assert [len(line) for line in folded.split("\n")] == pytest.approx([14, 13, 4], abs=1)


@given(text=structured, target=st.sampled_from(["de", "zh"]), data=st.data())
def test_translations_come_in_order_and_gaps_between_them(
    text: str, target: str, data: st.DataObject
) -> None:
    document = shorten(split(text, "en"), lambda words: len(words.split()), 8)
    words = st.text("ab 狗。", max_size=12)
    translations = [data.draw(words) for _ in document.sentences]
    assembled = assemble(document, translations, target)
    position, gaps = 0, []
    for (start, end), translation in zip(assembled.spans, translations, strict=True):
        gaps.append(assembled.text[position:start])
        assert "".join(assembled.text[start:end].split(">")).split() or not translation.split()
        letters = [c for c in assembled.text[start:end] if c in "ab狗。"]
        assert letters == [c for c in translation if c in "ab狗。"]
        position = end
    gaps.append(assembled.text[position:])
    assert [gap.strip() for gap in gaps] == [gap.strip() for gap in document.gaps]
    assert gaps[0] == document.gaps[0]
    assert gaps[-1] == document.gaps[-1]
