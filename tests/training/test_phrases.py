from __future__ import annotations

import random
from pathlib import Path

import pytest

from training.__main__ import main
from training.aligned import AlignedText
from training.phrases import extract_phrases

WHO = {"dog": "chien", "man": "homme", "boy": "garçon", "bird": "oiseau", "child": "enfant"}
HOW = {"red": "rouge", "big": "énorme", "young": "jeune", "wet": "mouillé"}
DOES = {"runs": "court", "sleeps": "dort", "sings": "chante", "waits": "attend"}
WHERE = {"park": "parc", "garden": "jardin", "forest": "bois", "hall": "couloir"}


def sentences(count: int) -> AlignedText:
    """Sentences of two languages, of which the second has its adjectives behind the noun."""
    draw = random.Random(1)
    rows = []
    for _ in range(count):
        who, how, does, where = (draw.choice(list(d.items())) for d in (WHO, HOW, DOES, WHERE))
        place = (f" in the {where[0]}", f" dans le {where[1]}") if draw.random() < 0.6 else ("", "")
        rows.append(
            (
                f"A {how[0]} {who[0]} {does[0]}{place[0]}.",
                f"Un {who[1]} {how[1]} {does[1]}{place[1]}.",
            )
        )
    english, french = zip(*rows, strict=True)
    return AlignedText("sentences", {"en": list(english), "fr": list(french)})


def test_what_sentences_begin_with_has_its_translation() -> None:
    text = sentences(400)
    text.sides["en"] += [f"A {how} {who}." for how in HOW for who in WHO] * 3
    text.sides["fr"] += [f"Un {WHO[who]} {HOW[how]}." for how in HOW for who in WHO] * 3
    found = extract_phrases(text, ("en", "fr"), max_words=7)
    assert ("A red dog", "Un chien rouge") in found
    assert ("A red dog.", "Un chien rouge.") in found
    assert ("A wet bird sings", "Un oiseau mouillé chante") in found
    assert ("A red dog runs in the park.", "Un chien rouge court dans le parc.") in found
    meaning = {"A": "Un", "in": "dans", "the": "le"} | WHO | HOW | DOES | WHERE
    for one, two in found:
        assert sorted(meaning[word] for word in one.strip(".").split()) == sorted(
            two.strip(".").split()
        )


def test_a_phrase_ends_as_sentences_do_and_is_no_longer_than_asked_for() -> None:
    found = extract_phrases(sentences(400), ("fr", "en"), max_words=4)
    assert {len(one.split()) for one, _ in found} == {4}  # nothing else ends with a noun here
    last = {one.strip(".").split()[-1] for one, _ in found}
    assert last <= set(DOES.values())


def test_what_was_seen_once_is_left_out() -> None:
    text = sentences(400)
    text.sides["en"].append("A green dog runs.")
    text.sides["fr"].append("Un chien vert court.")
    assert not [one for one, _ in extract_phrases(text, ("en", "fr")) if "green" in one]


def test_a_text_without_words_has_no_phrases() -> None:
    text = AlignedText("empty", {"en": ["", " ", "."], "fr": ["", "a", "."]})
    assert extract_phrases(text, ("en", "fr")) == []


def test_the_command_writes_a_corpus_for_every_two_languages(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = sentences(200)
    path = tmp_path / "text.tsv"
    rows = zip(text.sides["en"], text.sides["fr"], text.sides["fr"], strict=True)
    path.write_text("".join("\t".join(row) + "\n" for row in rows), encoding="utf-8")
    arguments = ["--corpus", f"tsv:{path}", "--languages", "en", "fr", "cs"]
    assert main(["phrases", str(tmp_path / "out"), *arguments]) == 0
    said = capsys.readouterr().out.splitlines()
    names = ["en-fr", "en-cs", "fr-cs"]
    assert [line.split(",")[1].split(":")[0] for line in said] == [name[3:] for name in names]
    for name in names:
        lines = (tmp_path / "out" / f"{name}.tsv").read_text(encoding="utf-8").splitlines()
        assert lines
        assert all(line.count("\t") == 1 for line in lines)


def test_a_language_that_the_corpus_lacks_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["phrases", "out", "--corpus", "tsv@en,de:x", "--languages", "en", "fr"]) == 2
    assert "'de' is none of data.languages (en, fr)" in capsys.readouterr().err
