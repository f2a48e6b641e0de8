"""Which marks belong together, and which cut the text."""

import pytest
from attendant.cli.formats.md import _MARKS
from attendant.cli.marks import Pair, Run, cut, cut_everywhere
from hypothesis import given
from hypothesis import strategies as st


def described(parts: list[Run | str]) -> list[object]:
    """Runs as their text and their pairs, each pair as what it is around."""

    def pairs(run: Run, some: list[Pair]) -> list[object]:
        return [
            (p.opening, run.text[p.start : p.end], p.closing, *pairs(run, p.inner)) for p in some
        ]

    return [
        part if isinstance(part, str) else [part.text, *pairs(part, part.pairs)] for part in parts
    ]


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("a b", [["a b"]]),
        ("a **b** c", [["a b c", ("**", "b", "**")]]),
        ("a [b *c*](d) e", [["a b c e", ("[", "b c", "](d)", ("*", "c", "*"))]]),
        ("*a* <b>c</b>", [["a c", ("*", "a", "*"), ("<b>", "c", "</b>")]]),
        ("a `b` c", [["a "], "`b`", [" c"]]),
        ("*a `b` c* d", [[""], "*", ["a "], "`b`", [" c"], "*", [" d"]]),
        ("*a* `b` *c*", [["a ", ("*", "a", "*")], "`b`", [" c", ("*", "c", "*")]]),
        ("a **b", [["a "], "**", ["b"]]),
        ("a<br>b", [["a"], "<br>", ["b"]]),
        ("<i>a<b/>", [[""], "<i>", ["a"], "<b/>", [""]]),
        ("a</i> <i>b", [["a"], "</i>", [" "], "<i>", ["b"]]),
        ("a **1** b", [["a "], "**", ["1"], "**", [" b"]]),
        ("*a <b>c* d</b>", [[""], "*", ["a "], "<b>", ["c"], "*", [" d"], "</b>", [""]]),
        ("", [[""]]),
    ],
)
def test_pairs_belong_to_words_and_other_marks_cut(text: str, parts: list[object]) -> None:
    assert described(cut(text, _MARKS)) == parts


def test_all_marks_can_cut() -> None:
    assert described(cut_everywhere("a **b** `c`", _MARKS)) == [
        *(["a "], "**", ["b"], "**", [" "], "`c`", [""]),
    ]


PIECE = st.sampled_from(
    ["a", "b c", " ", "*", "**", "_", "[", "](d)", "<i>", "</i>", "`e`", "<br>"]
)


@given(st.lists(PIECE).map("".join))
def test_the_parts_are_the_text(text: str) -> None:
    for found in (cut(text, _MARKS), cut_everywhere(text, _MARKS)):
        sources = [part if isinstance(part, str) else part.source for part in found]
        assert "".join(sources) == text
        assert [isinstance(part, str) for part in found] == [i % 2 == 1 for i in range(len(found))]
