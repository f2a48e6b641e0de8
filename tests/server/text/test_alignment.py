"""Links between tokens to links between words, on texts cut into tokens by hand."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.text.alignment import Alignment, TokenLink, align
from server.text.tokenizer import TokenizedText


def cut(marked: str, specials: tuple[int, int] = (0, 0)) -> TokenizedText:
    """Tokens of a text with "|" between them, after and before so many special ones."""
    pieces = marked.split("|") if marked else []
    ends = np.cumsum([0, *map(len, pieces)]).tolist()
    spans = list(itertools.pairwise(ends))
    length = ends[-1]
    spans = [(0, 0)] * specials[0] + spans + [(length, length)] * specials[1]
    names = ["<2de>"] * specials[0] + pieces + ["</s>"] * specials[1]
    return TokenizedText("".join(pieces), names, spans)


def attending(*sources: int, width: int) -> list[np.ndarray]:
    """Attention of one target token after another, most of it to the given source token."""
    rows = np.full((len(sources), width), 0.1, np.float32)
    for row, source in zip(rows, sources, strict=True):
        row[source] = 0.6
    return list(rows)


def aligned(source: str, target: str, *links: int) -> Alignment:
    tokens = cut(source, (1, 1))
    return align(tokens, cut(target), attending(*links, width=len(tokens.spans)))


def test_each_target_token_links_to_what_it_attends_to_most() -> None:
    weights = [[0.1, 0.7, 0.2], [0.5, 0.2, 0.3], [0.0, 0.0, 1.0]]
    found = align(cut("a| b| c"), cut("x| y| z"), [np.array(w, np.float32) for w in weights])
    expected = [(1, 0, 0.7), (0, 1, 0.5), (2, 2, 1.0)]
    assert [(link.source, link.target) for link in found.links] == [(s, t) for s, t, _ in expected]
    assert [link.weight for link in found.links] == pytest.approx([w for *_, w in expected])
    assert found.words == "0-1 1-0 2-2"
    assert found.source_pieces == ["a", " b", " c"]


def test_a_tie_goes_to_the_first() -> None:
    found = align(cut("a| b"), cut("x"), [np.array([0.5, 0.5], np.float32)])
    assert found.links == [TokenLink(0, 0, 0.5)]


@pytest.mark.parametrize(
    ("source", "target", "links", "words"),
    [
        # Specials are 0 and the last.
        ("two| dogs", "zwei| Hunde", (1, 2), "0-0 1-1"),
        ("two| dogs", "zwei| Hunde", (0, 3), ""),
        # Pieces of one word; several links between the same two.
        ("un|believ|able", "un|glaub|lich", (1, 2, 3), "0-0"),
        ("a| dog|s", "die| Hun|de", (3, 2, 3), "1-0 1-1"),
        # A word of the target with two of the source.
        ("fire| brigade", "Feuer|wehr", (1, 2), "0-0 1-0"),
        # Punctuation links nothing, whichever side it is on; letters beside it in a token do.
        ("a| dog|.", "ein| Hund|.", (1, 2, 3), "0-0 1-1"),
        ("a| dog|.", "ein| Hund|.", (3, 2, 2), "1-1"),
        ("so|,| yes", "ja|,|…|!", (3, 3, 3, 3), "1-0"),
        ("dog.", "Hund.", (1,), "0-0"),
        # A space of its own belongs to the word after it.
        ("a| |dog", "ein| |Hund", (1, 2, 3), "0-0 1-1"),
        ("a| |dog", "ein| |Hund", (2, 1, 1), "0-1 1-0"),
        ("a| |.", "ein| |.", (2, 2, 2), ""),
        # White space of any kind and length.
        ("a|\u3000\t dog", "ein|   Hund", (1, 2), "0-0 1-1"),
        ("a|\tdog|\u00a0barks", "ein|\nHund|\u2003bellt", (1, 2, 3), "0-0 1-1 2-2"),
        ("  a| dog", " ein| Hund", (1, 2), "0-0 1-1"),
        # Symbols are words.
        ("5| $", "5| $", (1, 2), "0-0 1-1"),
    ],
)
def test_words_are_what_white_space_separates(
    source: str, target: str, links: tuple[int, ...], words: str
) -> None:
    assert aligned(source, target, *links).words == words


def test_bytes_of_a_character_belong_to_its_word() -> None:
    # "ein 日": the character's first two bytes complete nothing.
    target = TokenizedText(
        "ein 日",
        ["▁ein", "▁", "<0xE6>", "<0x97>", "<0xA5>"],
        [(0, 3), (3, 4), (4, 4), (4, 4), (4, 5)],
    )
    for byte in (2, 3, 4):
        links = [0, 0, 0, 0, 0]
        links[byte] = 1
        found = align(cut("a| b", (0, 1)), target, attending(*links, width=3))
        assert "1-1" in found.words.split()


def test_words_come_sorted_by_number_and_once() -> None:
    source = "|".join(["w"] + [" w"] * 11)
    found = aligned(source, source, *(12, 1, 1, 3, 2, 11, 10, 4, 4, 4, 2, 12))
    pairs = [tuple(map(int, pair.split("-"))) for pair in found.words.split()]
    assert pairs == sorted(set(pairs))
    assert len(pairs) == 12


def test_nothing_translated_has_no_links() -> None:
    found = align(cut("a", (1, 1)), cut(""), [])
    assert (found.links, found.words) == ([], "")


texts = st.lists(st.sampled_from(["a", "b c", " d", ".", " ", "é", "\t", "…x"]), max_size=8)


@given(source=texts, target=texts, data=st.data())
def test_words_that_are_linked_exist(
    source: list[str], target: list[str], data: st.DataObject
) -> None:
    tokens = cut("|".join(source), (1, 1))
    count = len(cut("|".join(target)).spans)
    links = [data.draw(st.integers(0, len(tokens.spans) - 1)) for _ in range(count)]
    found = align(tokens, cut("|".join(target)), attending(*links, width=len(tokens.spans)))
    assert [(link.source, link.target) for link in found.links] == list(
        zip(links, range(count), strict=True)
    )
    for pair in found.words.split():
        s, t = map(int, pair.split("-"))
        assert s < len(tokens.text.split())
        assert t < len("".join(target).split())
