"""Marks around the words of a translation that come from the words they were around."""

import pytest
from attendant.cli.formats.md import _MARKS
from attendant.cli.marks import Run, cut
from attendant.cli.placing import NowhereError, place
from attendant.translation import (
    Alignment,
    FinishReason,
    Hypothesis,
    TranslatedSentence,
    Translation,
)
from hypothesis import assume, given
from hypothesis import strategies as st


def aligned(sentences: list[tuple[str, str, str | None]]) -> tuple[str, Translation]:
    """A text and its translation, a space between sentences; each has its links between words."""
    text, translated, found = "", "", []
    for source, target, links in sentences:
        text, translated = f"{text} {source}".strip(), f"{translated} {target}".strip()
        alignment = None if links is None else Alignment((), (), (), links)
        best = Hypothesis(target, FinishReason.STOP, alignment=alignment)
        answer = Translation(target, FinishReason.STOP, 1, 1, hypotheses=(best,))
        spans = (
            (len(text) - len(source), len(text)),
            (len(translated) - len(target), len(translated)),
        )
        found.append(TranslatedSentence(*spans, answer))
    return text, Translation(translated, FinishReason.STOP, 1, 1, sentences=tuple(found))


def placed(marked: str, *sentences: tuple[str, str, str | None]) -> str:
    (run,) = cut(marked, _MARKS)
    assert isinstance(run, Run)
    text, translation = aligned(list(sentences))
    assert text == run.text
    return place(text, translation, run.pairs)


@pytest.mark.parametrize(
    ("marked", "target", "links", "expected"),
    [
        ("The **red** dog.", "Der rote Hund.", "0-0 1-1 2-2", "Der **rote** Hund."),
        ("A big **park**.", "Im Park, groß.", "1-2 2-1", "Im **Park**, groß."),
        ("**A big** park", "Ein Park, groß", "0-0 1-2 2-1", "**Ein** Park, groß"),
        ("A [dog](b) *runs*", "Es läuft ein Hund", "0-2 1-3 2-1", "Es *läuft* ein [Hund](b)"),
        ("[a *b* c](d) e", "E A B C", "0-1 1-2 2-3 3-0", "E [A *B* C](d)"),
        ("A **blue** sky", "einem blauen Himmel", "0-0 1-0 1-1 2-2", "einem **blauen** Himmel"),
        ("A **blue** sky", "Himmelblau", "0-0 1-0 2-0", "**Himmelblau**"),
        ("**two words** x", "ein - Wort x", "0-0 1-2 2-3", "**ein - Wort** x"),
        ('He **said "no."** x', "Er „Nein.“ x", "0-0 1-1 2-1 3-2", "Er „**Nein.“** x"),
        ("**All of it.**", "Das alles.", "", "**Das alles.**"),
        ("**All** *of* it", "A O I", "0-0 1-1 2-2", "**A** *O* I"),
        ("*a b* c", "a X b c", "0-0 1-2 2-3", "*a X b* c"),
        ("*a b* c", "a c b", "0-0 1-2 2-1", "*a* c b"),
    ],
)
def test_marks_go_where_their_words_go(marked: str, target: str, links: str, expected: str) -> None:
    (run,) = cut(marked, _MARKS)
    assert isinstance(run, Run)
    assert placed(marked, (run.text, target, links)) == expected


def test_marks_around_sentences_are_around_their_translations() -> None:
    sentences = ("One.", "Eins.", ""), ("Two x.", "Zwei y.", "0-0 1-1"), ("Three.", "Drei.", "0-0")
    assert placed("**One. Two x.** Three.", *sentences) == "**Eins. Zwei y.** Drei."
    assert placed("One. Two **x. Three.**", *sentences) == "Eins. Zwei **y. Drei.**"


@pytest.mark.parametrize(
    ("marked", "target", "links"),
    [
        ("The **red** dog.", "Der Hund.", "0-0 2-1"),
        ("**Sky** *blue*", "Himmelblau", "0-0 1-0"),
        ("The **red** dog.", "Der rote Hund.", None),
        ("The **red** dog.", "... ... ...", "0-0 1-1 2-2"),
        ("*a [b](c)* d", "A D B", "0-0 1-2 2-1"),
        ("The **red** dog.", "Der rote", "9-1"),
    ],
)
def test_what_the_alignment_does_not_say_is_not_guessed(
    marked: str, target: str, links: str | None
) -> None:
    (run,) = cut(marked, _MARKS)
    assert isinstance(run, Run)
    with pytest.raises(NowhereError):
        placed(marked, (run.text, target, links))


WORD = st.sampled_from(["a", "b,", "c.", "*d*", "**e", "f**", "[g", "h](i)", "<b>j</b>", "(k)"])


LINKS = st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7)))


@given(st.lists(WORD, min_size=1, max_size=6), LINKS, st.data())
def test_only_marks_are_added_and_all_of_them(
    words: list[str], links: list[tuple[int, int]], data: st.DataObject
) -> None:
    parts = cut(" ".join(words), _MARKS)
    assume(len(parts) == 1 and isinstance(parts[0], Run))
    (run,) = parts
    assert isinstance(run, Run)
    target = " ".join(data.draw(st.lists(st.sampled_from(["X", "Y.", "(Z)"]), min_size=1)))
    pharaoh = " ".join(f"{s}-{t}" for s, t in links)
    text, translation = aligned([(run.text, target, pharaoh)])
    try:
        found = place(text, translation, run.pairs)
    except NowhereError:
        return
    assert _MARKS.sub("", found) == target
    marks = [match.group() for match in _MARKS.finditer(run.source)]
    assert sorted(match.group() for match in _MARKS.finditer(found)) == sorted(marks)
