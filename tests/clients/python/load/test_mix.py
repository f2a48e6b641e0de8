"""What requests ask for."""

import re
from collections import Counter
from itertools import islice

import pytest
from attendant import EarlyStopping, Options, Priority, Sampling
from attendant.load.config import Content, Share, WeightedOptions
from attendant.load.mix import describe_options, parse_weighted_options, requests_of

TEXTS = ("one", "two", "three", "four")
WHOLE = Share(0, 1)


def test_texts_come_in_turn_as_often_as_they_are_there() -> None:
    requests = islice(requests_of(Content((*TEXTS, "one"), "en", "de"), 1, WHOLE), 500)
    assert Counter(request.text for request in requests) == {
        "one": 200,
        "two": 100,
        "three": 100,
        "four": 100,
    }


@pytest.mark.parametrize("count", [2, 3, 4, 7])
def test_workers_together_send_each_text_equally_often(count: int) -> None:
    sent = Counter[str]()
    for index in range(count):
        requests = requests_of(Content(TEXTS, "en", "de"), 1, Share(index, count))
        sent.update(request.text for request in islice(requests, 40))
    assert set(sent.values()) == {10 * count}


def test_workers_take_turns() -> None:
    content = Content(TEXTS, "en", "de")
    sent = [list(islice(requests_of(content, 1, Share(index, 2)), 3)) for index in range(2)]
    assert [request.text for request in sent[0]] == ["one", "three", "one"]
    assert [request.text for request in sent[1]] == ["two", "four", "two"]


def test_options_are_drawn_by_weight_and_by_seed() -> None:
    mix = (WeightedOptions(3, Options()), WeightedOptions(1, Options(beam_size=4)))
    content = Content(TEXTS, "en", "de", mix)

    def drawn(seed: int, share: Share = WHOLE) -> list[int | None]:
        requests = islice(requests_of(content, seed, share), 4000)
        return [request.options.beam_size for request in requests]

    assert drawn(1) == drawn(1) != drawn(2)
    assert drawn(1, Share(0, 2)) != drawn(1, Share(1, 2))
    # 1,000 expected, with a standard deviation of 27.
    assert 880 < drawn(1).count(4) < 1120


def test_requests_of_a_mix_carry_the_name_of_their_entry() -> None:
    mix = (WeightedOptions(1, Options()), WeightedOptions(1, Options(beam_size=4)))
    mixed = islice(requests_of(Content(TEXTS, "en", "de", mix), 1, WHOLE), 50)
    assert {(request.options.beam_size, request.entry) for request in mixed} == {
        (None, "defaults"),
        (4, "beam_size=4"),
    }
    alone = next(requests_of(Content(TEXTS, "en", "de", mix[1:]), 1, WHOLE))
    assert (alone.options.beam_size, alone.entry) == (4, "")


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("2", Options()),
        ("2:beam_size=4,length_penalty=0.6", Options(beam_size=4, length_penalty=0.6)),
        ("2:priority=bulk,scores=true", Options(priority=Priority.BULK, scores=True)),
        ("2:early_stopping=never", Options(early_stopping=EarlyStopping.NEVER)),
        ("2:temperature=0.8,seed=7", Options(sampling=Sampling(temperature=0.8, seed=7))),
        (
            "2:suppressed_tokens=a b,target_prefix=Zwei",
            Options(suppressed_tokens=("a", "b"), target_prefix="Zwei"),
        ),
    ],
)
def test_options_are_read_and_described_alike(text: str, options: Options) -> None:
    found = parse_weighted_options(text)
    assert found == WeightedOptions(2, options)
    described = describe_options(options)
    again = "2" if described == "defaults" else f"2:{described}"
    assert parse_weighted_options(again) == found


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("often", "weight: must be a number above 0, not often"),
        ("0:beam_size=4", "weight: must be a number above 0, not 0.0"),
        ("1:beam=4", "beam: there is no such option; there are max_target_tokens, "),
        ("1:beam_size", "beam_size: must be NAME=VALUE"),
        ("1:beam_size=many", "beam_size: must be a whole number, not 'many'"),
        ("1:scores=yes", "scores: must be true or false, not 'yes'"),
        ("1:priority=top", "priority: must be interactive or standard or bulk, not 'top'"),
        ("1:temperature=hot", "temperature: must be a number, not 'hot'"),
        ("1:sampling=x", "sampling: there is no such option"),
    ],
)
def test_what_is_wrong_is_named(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(problem)}"):
        parse_weighted_options(text)
