"""Markdown."""

import re
import sys

import pytest
from attendant.cli.formats.md import Markdown
from attendant.cli.outcome import CommandError
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from .rewriting import rewritten, texts_of, unchanged, units_of

SPACES = "  "  # at the end of a line, a break
PAGE = f"""\
---
title: a title
---

# A *title* with marks ##

A title
of two lines
============

> A quote
> that goes on.
lazily

1. An item
   that goes on

   ```python
   print("code")
   ```
2. [ ] A task
   - deeper

| A table | with `code` |
|:--------|------------:|
| a cell  | a \\| b      |
| 1984    | **bold**    |

    indented code

<div>
HTML
</div>

<!-- a comment
of two lines -->

A line that is broken here{SPACES}
and here\\
and ends.

[target]: https://example.org "a title"

~~~
more code
"""


def test_prose_is_found() -> None:
    assert texts_of(Markdown(), PAGE) == [
        "A *title* with marks",
        "A title of two lines",
        "A quote that goes on. lazily",
        "An item that goes on",
        "[ ] A task",
        "deeper",
        "A table",
        "with `code`",
        "a cell",
        "a \\| b",
        "**bold**",
        "A line that is broken here",
        "and here",
        "and ends.",
    ]


def test_everything_else_stays() -> None:
    changed = rewritten(Markdown(), PAGE, lambda text: re.sub("[a-zA-Z]", "x", text))
    assert len(changed) == len(PAGE)
    kept = [
        "title: a title\n---\n\n# ",
        " ##\n\n",
        "\n============\n\n> ",
        '   ```python\n   print("code")\n   ```\n2. [ ]',
        "|:--------|------------:|\n",
        "    indented code\n\n<div>\nHTML\n</div>\n\n<!-- a comment\nof two lines -->\n\n",
        '[target]: https://example.org "a title"\n\n~~~\nmore code\n',
    ]
    for part in kept:
        assert changed.index(part) == PAGE.index(part)


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_page_comes_back_if_nothing_is_translated(end: str) -> None:
    page = PAGE.replace("\n", end)
    assert rewritten(Markdown(), page, unchanged) == page


@pytest.mark.parametrize(
    ("text", "marks"),
    [
        ("a `b c` d", ["`b c`"]),
        ("``a ` b`` c", ["``a ` b``"]),
        ("a [b](http://c.d/e_(f) 'g') h", ["[", "](http://c.d/e_(f) 'g')"]),
        ("a [b c][d] e", ["[", "][d]"]),
        ("a [b] c [^1] d", ["[b]", "[^1]"]),
        ("![a b](c.png) d", ["![a b](c.png)"]),
        ("[![a](b)](c) d", ["[", "![a](b)", "](c)"]),
        ("a <b>c</b> <!-- d --> <https://e.f>", ["<b>", "</b>", "<!-- d -->", "<https://e.f>"]),
        ("see https://a.b/c?d=e. Or www.f.g, too", ["https://a.b/c?d=e", "www.f.g"]),
        ("a **b** *c* ~~d~~", ["**", "**", "*", "*", "~~", "~~"]),
        ("a __b__ _c_", ["__", "__", "_", "_"]),
        ("2 * 3 snake_case a < b", []),
        (r"a \* b &amp; c &#228;", [r"\*", "&amp;", "&#228;"]),
        ("a (b) c - d", []),
    ],
)
def test_marks_are_no_language(text: str, marks: list[str]) -> None:
    (unit,) = [unit for unit in units_of(Markdown(), text) if unit.text is not None]
    assert unit.marks is not None
    assert [match.group() for match in unit.marks.finditer(text)] == marks


@pytest.mark.parametrize(
    ("text", "translation", "expected"),
    [
        ("First.", "1. Erstens", "1\\. Erstens"),
        ("A dog\nruns by", "lauf - zu", "lauf\n\\- zu"),
        ("A dog\nruns", "lauf >zu", "lauf\n\\>zu"),
        ("A dog\nruns", "lauf ===", "lauf\n\\==="),
        ("A dog\nruns", "lauf --", "lauf\n\\--"),
        ("A dog\nruns", "lauf ***", "lauf\n\\***"),
        ("A dog\nruns", "lauf ~~~zu", "lauf\n\\~~~zu"),
        ("A dog\nruns", "lauf **zu**", "lauf\n**zu**"),
        ("# Sharp", "# Kreuz", "# \\# Kreuz"),
        ("A dog", "> Hund", "\\> Hund"),
        ("| a | b |\n|---|---|", "x | y", "| x \\| y | x \\| y |\n|---|---|"),
        ("a or | b", "x | y", "x | y"),
        ("> A dog\n> runs", "Hund\n\nläuft\n", "> Hund \n> läuft"),
        ("> A dog\n> runs", "Hund", "> Hund"),
        ("- A dog", "", "- "),
    ],
)
def test_a_translation_gets_no_meaning_by_chance(
    text: str, translation: str, expected: str
) -> None:
    assert rewritten(Markdown(), text, lambda text: translation) == expected


@pytest.mark.parametrize(
    ("text", "texts"),
    [
        ("---\na: b\n---\nc", ["c"]),
        ("+++\na = 1\n+++\nc", ["c"]),
        ("---\na: b\n...\nc", ["c"]),
        ("---\n\na: b", ["a: b"]),
        ("a\n\n---\nb: c\n\n---\n", ["a", "b: c"]),
    ],
)
def test_front_matter_is_at_the_front(text: str, texts: list[str]) -> None:
    assert texts_of(Markdown(), text) == texts


PIECE = st.one_of(
    st.sampled_from(["a", "Two dogs", "ü", " ", "  ", "    ", "\t", "\n", "\r\n", "\n\n", "\r"]),
    st.sampled_from(["# ", "> ", "- ", "1. ", "1", "===\n", "---\n", "|", "|\n|---|---|\n"]),
    st.sampled_from(["```", "~~~\n", "`", "**", "_", "[", "](", ")", "[a]: b\n", "&amp;", "\\"]),
    st.sampled_from(["<b>", "<!--", "-->", "<div>\n", "\0", "\u2028", "\ufeff"]),
)


@given(st.lists(PIECE, max_size=40).map("".join))
def test_whatever_it_is_it_comes_back_if_nothing_is_translated(text: str) -> None:
    assert rewritten(Markdown(), text, unchanged) == text


@given(st.lists(PIECE, max_size=40).map("".join).filter(lambda text: "\0" not in text))
def test_blocks_are_the_same_after_a_translation(text: str) -> None:
    def blocks(page: str) -> list[str]:
        parser = MarkdownIt("commonmark").enable(["table", "strikethrough"])
        page = re.sub(r"\r(?!\n)", " ", page)  # which ends no line of a file
        return [token.type for token in parser.parse(page) if token.type != "text"]

    swapped = rewritten(Markdown(), text, lambda text: text.replace("a", "é"))
    assert blocks(swapped) == blocks(text)


def test_the_library_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "markdown_it", None)
    with pytest.raises(CommandError) as caught:
        Markdown()
    assert str(caught.value) == "Markdown needs markdown_it: pip install 'attendant[files]'"
    assert caught.value.exit_code == 2
