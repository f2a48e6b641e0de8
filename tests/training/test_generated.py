from __future__ import annotations

import pytest

from training.aligned import CorpusError
from training.generated import KINDS, NUMBERS_LIMIT, generate

LANGUAGES = {"numbers": ("en", "de", "fr", "cs"), "ordinals": ("en", "de", "fr")}


def pairs(kind: str, source: str, target: str, part: str = "train") -> dict[str, str]:
    text = generate(kind, (source, target), part)
    return dict(zip(text.sides[source], text.sides[target], strict=True))


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_held_out_for_validation_is_unseen_in_training(kind: str) -> None:
    languages = LANGUAGES.get(kind, ("en", "de", "fr", "cs"))
    train, validation = (generate(kind, languages, part) for part in ("train", "val"))
    assert len(train) + len(validation) == KINDS[kind].num_values
    assert len(validation) == KINDS[kind].num_held_out
    rows = [{*zip(*text.sides.values(), strict=True)} for text in (train, validation)]
    assert not rows[0] & rows[1]
    assert (len(rows[0]), len(rows[1])) == (len(train), len(validation))


def test_numbers_are_spelled_out() -> None:
    found = pairs("numbers", "en", "de") | pairs("numbers", "en", "de", "val")
    assert len(found) == NUMBERS_LIMIT
    assert found["forty-two"] == "zweiundvierzig"


def test_ordinals_are_spelled_out() -> None:
    found = pairs("ordinals", "en", "fr") | pairs("ordinals", "en", "fr", "val")
    assert found["twenty-first"] == "vingt et unième"


def test_dates_come_in_three_styles() -> None:
    found = pairs("dates", "en", "cs") | pairs("dates", "en", "cs", "val")
    assert found["Monday, January 1, 1990"] == "pondělí 1. ledna 1990"
    assert found["January 2, 1990"] == "2. ledna 1990"
    assert found["Jan 3, 1990"] == "3. 1. 1990"


def test_times_are_written_as_each_language_does() -> None:
    found = pairs("times", "en", "de") | pairs("times", "en", "de", "val")
    assert found["3:05 PM"] == "15:05"
    assert found["12:00 AM"] == "00:00"


@pytest.mark.parametrize("kind", KINDS)
def test_the_order_is_the_same_each_time(kind: str) -> None:
    assert generate(kind, ("en", "de"), "val") == generate(kind, ("en", "de"), "val")


@pytest.mark.parametrize(("kind", "language"), [(k, "xx") for k in KINDS] + [("ordinals", "cs")])
def test_a_language_without_a_generator_is_refused(kind: str, language: str) -> None:
    with pytest.raises(CorpusError, match=f"{kind}: there is no generator for .*{language}"):
        generate(kind, ("en", language), "val")
