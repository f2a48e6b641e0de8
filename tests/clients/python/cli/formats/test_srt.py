"""Subtitles."""

import pytest
from attendant.cli.formats.srt import Srt
from hypothesis import given
from hypothesis import strategies as st

from .rewriting import rewritten, texts_of, unchanged, units_of

TIMES = "00:00:01,000 --> 00:00:02,500"


def cue(*lines: str, number: int = 1) -> str:
    return "\n".join([str(number), TIMES, *lines, "", ""])


@pytest.mark.parametrize(
    ("lines", "texts"),
    [
        (["Hello."], ["Hello."]),
        (["Hello my", "friends."], ["Hello my friends."]),
        (["- Hello.", "- Good bye,", "  friend."], ["Hello.", "Good bye, friend."]),
        (["–Hello.", "–You."], ["Hello.", "You."]),
        (["Hello,", "- you."], ["Hello,", "you."]),
        (["<i>Hello my</i>", "<i>friends.</i>"], ["Hello my friends."]),
        (["{\\an8}<b>Hello</b> "], ["Hello"]),
        (['<font color="#fff">- A dog.</font>', "- A cat."], ["A dog.", "A cat."]),
        (["I <i>am</i> here."], ["I <i>am</i> here."]),
        (["1984", "...", "<i></i>"], []),
        (["A dog.", "", "A cat."], ["A dog.", "A cat."]),
        ([], []),
    ],
)
def test_a_speech_is_a_text(lines: list[str], texts: list[str]) -> None:
    assert texts_of(Srt(), cue(*lines)) == texts
    assert rewritten(Srt(), cue(*lines), unchanged) == cue(*lines)


@pytest.mark.parametrize(
    ("lines", "translation", "expected"),
    [
        (["Hello my", "friends."], "Hallo meine Freunde.", ["Hallo meine", "Freunde."]),
        (["<i>Hello my</i>", "<i>friends.</i>"], "Hallo ihr", ["<i>Hallo</i>", "<i>ihr</i>"]),
        (["<i>Hello my</i>", "<i>friends.</i>"], "Hallo", ["<i>Hallo</i>"]),
        (["<i>Hello my", "friends.</i>"], "Hallo", ["<i>Hallo</i>"]),
        (["<i>Hello</i>", "<b>you</b>"], "Hallo", ["<i>Hallo</i><b></b>"]),
        (["{\\an8}Hello"], "Hallo\nihr", ["{\\an8}Hallo ihr"]),
        (["- Hello my", "friends.", "- Bye."], "Ja ja.", ["- Ja", "ja.", "- Ja ja."]),
    ],
)
def test_a_translation_takes_the_lines_and_the_tags(
    lines: list[str], translation: str, expected: list[str]
) -> None:
    assert rewritten(Srt(), cue(*lines), lambda text: translation) == cue(*expected)


def test_numbers_and_times_stay_to_the_letter() -> None:
    text = (
        f"0007 \r\n  00:00:01.000  -->  00:00:02,5  X1:40 Y2:50\r\na\r\n\r\n\r\n8\r\n{TIMES}\r\nb"
    )
    expected = text.replace("a\r\n", "A\r\n").removesuffix("b") + "B"
    assert rewritten(Srt(), text) == expected


@pytest.mark.parametrize("gap", ["", "\n", "\n\n\n", "2\n", "\n2\n"])
def test_a_blank_line_may_be_missing(gap: str) -> None:
    text = f"1\n{TIMES}\na\n{gap}{TIMES}\nb\n"
    assert rewritten(Srt(), text) == text.replace("\na\n", "\nA\n").replace("\nb\n", "\nB\n")


def test_what_is_no_cue_stays() -> None:
    text = "WEBVTT\n\nnote\n\n1\n"
    assert texts_of(Srt(), text) == []
    assert rewritten(Srt(), text) == text


def test_tags_are_marks() -> None:
    (unit,) = [unit for unit in units_of(Srt(), cue("I <i>am</i> {\\b1}so 3 < 4")) if unit.text]
    assert unit.marks is not None
    assert unit.text is not None
    assert unit.marks.findall(unit.text) == ["<i>", "</i>", "{\\b1}"]


PIECE = st.one_of(
    st.sampled_from(["a", "Hello", "你好", "1", "...", " ", "\t", "\n", "\r\n", "\n\n", "♪"]),
    st.sampled_from([TIMES, f"\n{TIMES}\n", "2\n", "-", "- ", "<i>", "</i>", "{\\an8}"]),
    st.sampled_from(["<", ">", "{", "}", "\r", "\u2028"]),
)


@given(st.lists(PIECE, max_size=30).map("".join))
def test_whatever_it_is_it_comes_back_if_nothing_is_translated(text: str) -> None:
    assert rewritten(Srt(), text, unchanged) == text


@given(st.lists(PIECE.filter(lambda piece: piece != "\r"), max_size=30).map("".join))
def test_whatever_it_is_only_letters_change(text: str) -> None:
    assert rewritten(Srt(), text).upper() == text.upper()
