from __future__ import annotations

import random

import numpy as np
import pytest

from server.engine.constraints import constrain
from server.engine.options import DecodingOptions
from tests.server.engine.toy_engine import any_constraints
from tests.server.engine.toy_model import EOS, ToyModel

FORBIDDEN = -np.inf


def constrained(logits: list[float], tokens: list[int], **options: object) -> list[float]:
    row = np.array(logits, np.float32)
    constrain(row, tokens, DecodingOptions(20, **options), EOS)
    return row.tolist()


FLAT = [1.0] * 6


def test_nothing_asked_is_nothing_changed() -> None:
    assert constrained(FLAT, [3, 4, 3, 4]) == FLAT


def test_the_sentence_ends_after_its_least_tokens_and_not_before() -> None:
    until = [1.0, 1.0, FORBIDDEN, 1.0, 1.0, 1.0]
    assert constrained(FLAT, [], min_target_tokens=2) == until
    assert constrained(FLAT, [3], min_target_tokens=2) == until
    assert constrained(FLAT, [3, 4], min_target_tokens=2) == FLAT


def test_suppressed_tokens_are_impossible() -> None:
    expected = [1.0, 1.0, 1.0, FORBIDDEN, 1.0, FORBIDDEN]
    assert constrained(FLAT, [], suppressed=(3, 5)) == expected


def test_no_ngram_comes_twice() -> None:
    expected = [1.0, 1.0, 1.0, 1.0, FORBIDDEN, 1.0]
    assert constrained(FLAT, [3, 4, 5, 3], no_repeat_ngram_size=2) == expected
    assert constrained(FLAT, [3, 4, 5, 3], no_repeat_ngram_size=3) == FLAT


def test_what_the_target_has_is_penalised_and_stays_so_if_forbidden() -> None:
    logits = [1.0, 1.0, 1.0, 4.0, -4.0, 4.0]
    expected = [1.0, 1.0, 1.0, 2.0, -8.0, FORBIDDEN]
    found = constrained(logits, [3, 4, 5, 3], repetition_penalty=2.0, suppressed=(5,))
    assert found == expected
    assert constrained(logits, [], repetition_penalty=2.0) == logits


def test_a_prefix_is_left_alone_and_counts_afterwards() -> None:
    options = {
        "prefix": (3, 4),
        "suppressed": (5,),
        "min_target_tokens": 3,
        "repetition_penalty": 2.0,
        "no_repeat_ngram_size": 1,
    }
    assert constrained(FLAT, [], **options) == FLAT
    assert constrained(FLAT, [3], **options) == FLAT
    expected = [1.0, 1.0, FORBIDDEN, FORBIDDEN, FORBIDDEN, FORBIDDEN]
    assert constrained(FLAT, [3, 4], **options) == expected


@pytest.mark.parametrize("tokens", [[3, 4, 5], [3, 4, 5, 3]])
def test_where_nothing_is_possible_the_sentence_may_end(tokens: list[int]) -> None:
    logits = [FORBIDDEN, FORBIDDEN, 1.0, 1.0, 1.0, 1.0]  # the engine forbids 0 and 1 itself
    expected = [FORBIDDEN, FORBIDDEN, 0.0, FORBIDDEN, FORBIDDEN, FORBIDDEN]
    assert constrained(logits, tokens, no_repeat_ngram_size=1, min_target_tokens=9) == expected
    assert constrained(logits, tokens, suppressed=(3, 4, 5), min_target_tokens=9) == expected


def test_options_say_whether_logits_would_change() -> None:
    """The engine does not ask where they say no."""
    num_changed = 0
    for seed in range(300):
        draw = random.Random(seed)
        model = ToyModel(spread=6.0)
        options = any_constraints(draw, model)
        tokens = [*options.prefix, *draw.choices(range(3, 12), k=draw.randrange(8))]
        row = model.logits((seed,), tuple(tokens)).copy()
        before = row.copy()
        constrain(row, tokens, options, EOS)
        is_changed = row.tobytes() != before.tobytes()
        assert options.is_constrained or not is_changed
        num_changed += is_changed
    assert num_changed > 100
