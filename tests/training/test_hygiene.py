from __future__ import annotations

import pytest

from tests.training.tiny import data_config as data
from training.aligned import AlignedText, CorpusError
from training.hygiene import clean, describe

GOOD = ("A dog runs.", "Ein Hund rennt.")


def cleaned(
    *rows: tuple[str, ...], languages: tuple[str, ...] = ("en", "de"), **fields: object
) -> tuple[list[tuple[str, ...]], dict[str, int]]:
    sides = {language: [row[i] for row in rows] for i, language in enumerate(languages)}
    text, counts = clean(AlignedText("pairs", sides), data(languages=languages, **fields))
    return list(zip(*text.sides.values(), strict=True)), counts


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (("A dog.", ""), "empty"),
        (("  \t", "Ein Hund."), "empty"),
        (("a" * 2001, "b" * 2000), "over-long"),
        (("A dog\x00.", "Ein Hund."), "control characters"),
        (("A dog.", "Ein Hund\ufffd."), "control characters"),
        (("A dog\u2028runs.", "Ein Hund rennt."), "control characters"),
        (("No.", "Das ist ein sehr langer Satz, der nichts damit zu tun hat."), "length ratio"),
        (("A dog runs.", "Собака бежит."), "wrong script"),
        (("狗在跑", "Ein Hund rennt."), "wrong script"),
        (GOOD, "duplicate"),
        ((" A dog runs. ", "Ein Hund rennt."), "duplicate"),
    ],
)
def test_a_row_that_is_of_no_use_goes_and_is_counted(row: tuple[str, str], reason: str) -> None:
    assert cleaned(GOOD, row) == ([GOOD], {"kept": 1, reason: 1})


@pytest.mark.parametrize(
    "row",
    [
        ("Yes.", "Ja, das stimmt wohl."),  # short: any ratio
        ("a" * 2000, "b" * 2000),
        ("He says “naïve” often…", "Er sagt „naiv“ oft …"),  # more than ASCII
        ("Peking is written 北京.", "Peking schreibt man 北京."),
        ("3.14 = 3.14!", "3,14 = 3,14!"),  # no letters at all
        ("A dog runs.", "Ein Hund läuft."),  # one side seen before, the other not
    ],
)
def test_a_row_that_may_be_right_stays(row: tuple[str, str]) -> None:
    assert cleaned(GOOD, row) == ([GOOD, row], {"kept": 2})


def test_each_script_is_known_by_its_letters() -> None:
    rows = [("Собака бежит.", "狗在跑。", "σκύλος.")]
    assert cleaned(*rows, languages=("ru", "zh", "el"))[0] == rows
    with pytest.raises(CorpusError, match="1 wrong script"):
        cleaned(*rows, languages=("zh", "ru", "el"))


def test_a_language_of_unknown_script_is_not_checked() -> None:
    rows = [("A dog.", "ⴰⵢⴷⵉ")]
    assert cleaned(*rows, languages=("en", "ber"))[0] == rows


def test_limits_come_from_the_recipe() -> None:
    rows = [GOOD, GOOD, ("a" * 50, "b" * 90)]
    kept, counts = cleaned(*rows, is_deduplicated=False, max_length_ratio=1.5)
    assert (kept, counts) == ([GOOD, GOOD], {"kept": 2, "length ratio": 1})
    assert cleaned(*rows, max_characters=40)[1]["over-long"] == 1


def test_spaces_around_a_sentence_go() -> None:
    assert cleaned((" A dog. ", "Ein Hund.\t"))[0] == [("A dog.", "Ein Hund.")]


def test_nothing_left_is_an_error_that_says_why() -> None:
    with pytest.raises(CorpusError, match="pairs: no row is left: 2 empty"):
        cleaned(("", "x"), ("x", ""))


def test_counts_are_told_without_what_was_kept() -> None:
    assert describe({"kept": 5, "empty": 1200, "duplicate": 3}) == "3 duplicate, 1,200 empty"
    assert describe({"kept": 5}) == ""
