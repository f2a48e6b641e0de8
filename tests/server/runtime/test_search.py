from __future__ import annotations

import math
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.engine.draws import uniform
from server.engine.options import Sampling
from server.runtime.search import (
    BLOCK_WIDTH,
    GREEDY,
    NUM_NUCLEUS_CANDIDATES,
    AnyPick,
    Candidate,
    Draw,
    Forced,
    Pick,
    log_normalisers,
    pick,
    top_k,
)
from tests.server.engine.reference import draw_token

LARGEST = 1.0 - 2.0**-53
"""The largest number that a draw is given."""
SEEDS = st.integers(0, 2**32 - 1)


def random_logits(
    seed: int, shape: tuple[int, int], num_levels: int = 0, share_impossible: float = 0.0
) -> np.ndarray:
    """float32 of `shape`, of `num_levels` values or of any; at least one of a row is finite."""
    random = np.random.default_rng(seed)
    logits = random.normal(size=shape) * 3
    if num_levels:
        logits = random.integers(num_levels, size=shape) - num_levels / 2
    is_impossible = random.random(shape) < share_impossible
    is_impossible[np.arange(shape[0]), random.integers(shape[1], size=shape[0])] = False
    return np.where(is_impossible, -np.inf, logits).astype(np.float32)


def bits(candidates: list[Candidate]) -> list[tuple[int, bytes]]:
    """Equal for NaN and NaN, unequal for 0.0 and -0.0."""
    return [(token, struct.pack("d", log_prob)) for token, log_prob in candidates]


def one(row: list[float] | np.ndarray, wanted: AnyPick) -> list[Candidate]:
    return pick(np.array([row], np.float32), [wanted])[0]


@settings(max_examples=300)
@given(
    seed=SEEDS,
    num_rows=st.integers(1, 4),
    num_columns=st.integers(1, 12 * BLOCK_WIDTH),
    k=st.integers(1, 6),
    num_levels=st.sampled_from([0, 1, 2, 5, 50]),
    share_impossible=st.sampled_from([0.0, 0.5, 0.99]),
)
def test_the_k_best_are_those_of_a_sort(
    seed: int, num_rows: int, num_columns: int, k: int, num_levels: int, share_impossible: float
) -> None:
    k = min(k, num_columns)
    logits = random_logits(seed, (num_rows, num_columns), num_levels, share_impossible)
    ids, values = top_k(logits, k)
    for row, its_ids, its_values in zip(logits, ids.tolist(), values, strict=True):
        assert its_ids == sorted(range(num_columns), key=lambda i: (-row[i], i))[:k]
        assert its_values.tobytes() == row[its_ids].tobytes()


@given(seed=SEEDS, best=st.sets(st.integers(0, 999), min_size=8, max_size=8))
def test_the_k_best_are_found_wherever_they_are(seed: int, best: set[int]) -> None:
    logits = random_logits(seed, (1, 1000), share_impossible=0.5)
    logits[0, list(best)] = 100.0
    for k in (1, 4, 8):  # some of the equals, too, lie in blocks that need not be looked at
        assert top_k(logits, k)[0].tolist() == [sorted(best)[:k]]


@given(
    seed=SEEDS,
    num_columns=st.sampled_from([1, 7, 100, 9000, 33000]),
    shift=st.sampled_from([0.0, 1e4, -1e4]),
)
def test_normalisers_are_those_of_float64(seed: int, num_columns: int, shift: float) -> None:
    logits = random_logits(seed, (2, num_columns), share_impossible=0.3) + np.float32(shift)
    exact = np.log(np.exp(logits.astype(np.float64) - shift).sum(axis=1)) + shift
    found = log_normalisers(logits)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, exact, rtol=2e-7, atol=2e-6)


def test_the_best_is_the_lowest_of_equals_and_never_an_impossible_one() -> None:
    assert one([-np.inf, 0.0, 7.0, 7.0], GREEDY)[0][0] == 2
    assert [token for token, _ in one([0.0, 7.0, 3.0, 7.0], Pick(3))] == [1, 3, 2]


def test_scores_are_log_probabilities_and_nan_where_nobody_asked() -> None:
    row = np.log([0.5, 0.2, 0.3])
    found = one(row, Pick(2, is_scored=True))
    assert [token for token, _ in found] == [0, 2]
    assert [log_prob for _, log_prob in found] == pytest.approx(np.log([0.5, 0.3]), abs=1e-6)
    assert one(row, Forced(1, is_scored=True))[0] == (1, pytest.approx(math.log(0.2), abs=1e-6))
    for wanted in (GREEDY, Pick(1), Pick(3), Forced(1)):
        assert all(math.isnan(log_prob) for _, log_prob in one(row, wanted))


def test_more_than_there_are_is_all_that_there_are() -> None:
    assert [token for token, _ in one([1.0, 3.0, 2.0], Pick(9, is_scored=True))] == [1, 2, 0]
    assert [token for token, _ in one([1.0], Pick(2))] == [0]


NUM_COLUMNS = (5, 40, 3000)
PICKS = st.one_of(
    st.just(GREEDY),
    st.builds(Pick, st.integers(1, 8), st.booleans()),
    st.builds(Forced, st.integers(0, min(NUM_COLUMNS) - 1), st.booleans()),
    st.builds(
        Draw,
        st.lists(st.floats(0, LARGEST), min_size=1, max_size=4).map(tuple),
        st.sampled_from([0.5, 1.0, 2.0]),
        st.sampled_from([0, 1, 3]),
        st.sampled_from([1.0, 0.9, 0.2]),
    ),
)


@settings(max_examples=200)
@given(
    seed=SEEDS,
    picks=st.lists(PICKS, min_size=1, max_size=10),
    num_columns=st.sampled_from(NUM_COLUMNS),
    num_levels=st.sampled_from([0, 4]),
    data=st.data(),
)
def test_a_row_gets_the_same_bits_alone_and_in_any_batch_and_order(
    seed: int, picks: list[AnyPick], num_columns: int, num_levels: int, data: st.DataObject
) -> None:
    logits = random_logits(seed, (len(picks), num_columns), num_levels, share_impossible=0.2)
    before = logits.copy()
    alone = [bits(pick(logits[i : i + 1].copy(), [wanted])[0]) for i, wanted in enumerate(picks)]
    order = data.draw(st.permutations(range(len(picks))))
    together = pick(logits[order], [picks[i] for i in order])
    assert [bits(row) for row in together] == [alone[i] for i in order]
    assert [bits(row) for row in pick(logits, picks)] == alone
    assert logits.tobytes() == before.tobytes()


@settings(max_examples=200)
@given(
    seed=SEEDS,
    num_columns=st.sampled_from([1, 2, 9, 60, 3 * NUM_NUCLEUS_CANDIDATES]),
    sampling=st.builds(
        Sampling,
        st.just(0),
        st.floats(0.3, 5.0),
        st.sampled_from([0, 0, 1, 2, 7, 1000]),
        st.one_of(st.just(1.0), st.floats(0.01, 0.999)),
    ),
    share_impossible=st.sampled_from([0.0, 0.5]),
)
def test_a_draw_inverts_the_distribution_function(
    seed: int, num_columns: int, sampling: Sampling, share_impossible: float
) -> None:
    logits = random_logits(seed, (1, num_columns), share_impossible=share_impossible)
    numbers = np.random.default_rng(seed).random(20).tolist()
    wanted = Draw(tuple(numbers), sampling.temperature, sampling.top_k, sampling.top_p)
    drawn = [token for token, _ in pick(logits, [wanted])[0]]
    log_probs = (logits[0].astype(np.float64) - logits.max()).tolist()
    assert drawn == [draw_token(log_probs, number, sampling) for number in numbers]


def drawable(row: list[float] | np.ndarray, temperature: float, top_k: int, top_p: float) -> set:
    """Tokens that some number draws."""
    numbers = (*np.linspace(0, 1, 2001)[:-1].tolist(), LARGEST)
    return {token for token, _ in one(row, Draw(numbers, temperature, top_k, top_p))}


HALVES = [math.log(p) for p in (0.5, 0.25, 0.15, 0.1)]


@pytest.mark.parametrize(
    ("temperature", "top_k", "top_p", "tokens"),
    [
        (1.0, 0, 1.0, {0, 1, 2, 3}),
        (1.0, 3, 1.0, {0, 1, 2}),
        (1.0, 9, 1.0, {0, 1, 2, 3}),
        (1.0, 0, 0.49, {0}),
        (1.0, 0, 0.51, {0, 1}),  # the one that crosses the threshold is in
        (1.0, 0, 0.76, {0, 1, 2}),
        (1.0, 0, 0.999, {0, 1, 2, 3}),
        (1.0, 2, 0.6, {0}),  # 0.5 of the 0.75 that top-k leaves
        (1.0, 0, 0.6, {0, 1}),
        (2.0, 0, 0.7, {0, 1, 2}),  # temperature comes first: 0.37, 0.26, 0.20, 0.17
        (0.5, 0, 0.7, {0}),  # 0.72
    ],
)
def test_temperature_then_top_k_then_top_p(
    temperature: float, top_k: int, top_p: float, tokens: set[int]
) -> None:
    assert drawable(HALVES, temperature, top_k, top_p) == tokens
    backwards = drawable(HALVES[::-1], temperature, top_k, top_p)
    assert backwards == {3 - token for token in tokens}


def test_of_equals_the_lowest_are_drawn_from() -> None:
    assert drawable([0.0] * 8, 1.0, 2, 1.0) == {0, 1}
    assert drawable([0.0] * 8, 1.0, 0, 0.25) == {0, 1}
    assert drawable([0.0] * 400, 1.0, 0, 0.75) == set(range(300))  # a nucleus wider than usual


@settings(max_examples=200)
@given(
    seed=SEEDS,
    num_columns=st.integers(1, 40),
    numbers=st.lists(
        st.one_of(st.sampled_from([0.0, 2.0**-53, 0.5, LARGEST]), st.floats(0, LARGEST)), min_size=1
    ),
    top_k=st.sampled_from([0, 3, 40]),
    top_p=st.sampled_from([1.0, 0.9999999, 0.5]),
)
def test_no_number_draws_what_is_impossible(
    seed: int, num_columns: int, numbers: list[float], top_k: int, top_p: float
) -> None:
    logits = random_logits(seed, (1, num_columns), share_impossible=0.7)
    found = pick(logits, [Draw(tuple(numbers), 1.0, top_k, top_p)])[0]
    assert len(found) == len(numbers)
    assert all(np.isfinite(logits[0, token]) for token, _ in found)


def test_the_least_and_the_largest_number_draw_the_first_and_the_last_token() -> None:
    row = [-np.inf, 0.0, -50.0, 0.0, -np.inf]
    found = one(row, Draw((0.0, LARGEST, 0.5, math.nextafter(0.5, 0)), 1.0, 0, 1.0))
    assert [token for token, _ in found] == [1, 3, 3, 1]


def test_a_draw_has_the_log_probability_that_the_model_gave_it() -> None:
    logits = random_logits(7, (1, 50))
    own = dict(pick(logits, [Pick(50, is_scored=True)])[0])
    found = pick(logits, [Draw((0.1, 0.5, 0.9), 3.0, 20, 0.8)])[0]
    assert bits(found) == bits([(token, own[token]) for token, _ in found])


@pytest.mark.parametrize("seed", [11, 12, 13])
@pytest.mark.parametrize(("top_k", "top_p"), [(0, 1.0), (8, 1.0), (0, 0.8), (8, 0.9)])
def test_tokens_are_drawn_as_often_as_their_probabilities_say(
    seed: int, top_k: int, top_p: float
) -> None:
    temperature, num_draws = 0.7, 20_000
    row = random_logits(seed, (1, 12))[0] / 3
    weights = np.exp(row.astype(np.float64) / temperature)
    order = np.argsort(-weights)[: top_k or None]
    before = np.cumsum(weights[order]) - weights[order]
    kept = order[before < top_p * weights[order].sum()]
    numbers = tuple(uniform(seed, 0, position) for position in range(num_draws))
    tokens = [token for token, _ in one(row, Draw(numbers, temperature, top_k, top_p))]
    counts = np.bincount(tokens, minlength=12)
    expected = num_draws * weights[kept] / weights[kept].sum()
    assert counts[kept].sum() == num_draws
    freedom = len(kept) - 1
    chi_square = ((counts[kept] - expected) ** 2 / expected).sum()
    assert freedom >= 3
    assert chi_square < freedom + 4 * math.sqrt(2 * freedom)
