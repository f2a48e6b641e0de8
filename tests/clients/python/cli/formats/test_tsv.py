"""Columns between tabs."""

import pytest
from attendant.cli.formats.tsv import Tsv
from attendant.cli.lines import InputError
from hypothesis import given
from hypothesis import strategies as st

from .rewriting import rewritten, texts_of

CELL = st.text(st.characters(exclude_characters="\t\n\r\ufeff", codec="utf-8"), max_size=5)


@pytest.mark.parametrize(
    ("form", "text", "expected"),
    [
        (Tsv(1), "a\tb\nc\td\n", "a\tb\tA\nc\td\tC\n"),
        (Tsv(2), "a\tb\r\nc\td", "a\tb\tB\r\nc\td\tD"),
        (Tsv(2), "a\t\n", "a\t\t\n"),
        (Tsv(1), "\n", "\t\n"),
        (Tsv(1), '"a\t', '"a\t\t"A'),
        (Tsv(1, "german"), "id\tb\na\tb\n", "id\tb\tgerman\na\tb\tA\n"),
        (Tsv(9, "german"), "id\r\n", "id\tgerman\r\n"),
    ],
)
def test_the_translation_is_a_new_last_column(form: Tsv, text: str, expected: str) -> None:
    assert rewritten(form, text) == expected


def test_a_translation_stays_in_its_column() -> None:
    assert rewritten(Tsv(1), "a\n", lambda text: "x\ty\r\nz") == "a\tx y  z\n"


def test_a_line_with_too_few_columns_is_named() -> None:
    message = "^in:2: column 3 is asked for, and there are 2$"
    with pytest.raises(InputError, match=message):
        texts_of(Tsv(3), "a\tb\tc\nd\te\n")


@given(st.lists(st.lists(CELL, min_size=2, max_size=4), max_size=5))
def test_every_column_stays(rows: list[list[str]]) -> None:
    text = "".join("\t".join(row) + "\n" for row in rows)
    expected = "".join("\t".join([*row, row[1]]) + "\n" for row in rows)
    assert rewritten(Tsv(2), text, str) == expected
