from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from server.runtime.logits import forbid, penalise_repetition, repeating_tokens

WORDS = range(4)


def test_what_is_forbidden_is_impossible_and_the_rest_untouched() -> None:
    row = np.arange(5, dtype=np.float32)
    forbid(row, [])
    assert row.tolist() == [0, 1, 2, 3, 4]
    forbid(row, (1, 4, 1))
    assert row.tolist() == [0, -np.inf, 2, 3, -np.inf]


def test_a_repeated_token_is_penalised_once_and_by_its_sign() -> None:
    row = np.array([2.0, -2.0, 0.0, 2.0, -2.0, -np.inf], np.float32)
    penalise_repetition(row, [0, 1, 2, 5, 0, 1, 0], penalty=2.0)
    assert row.tolist() == [1.0, -4.0, 0.0, 2.0, -2.0, -np.inf]
    penalise_repetition(row, [3, 4], penalty=0.5)
    assert row.tolist() == [1.0, -4.0, 0.0, 4.0, -1.0, -np.inf]


@given(st.lists(st.sampled_from(WORDS), max_size=20), st.integers(1, 6))
def test_a_token_repeats_if_the_last_ngram_would_have_been_there_before(
    tokens: list[int], size: int
) -> None:
    def repeats(token: int) -> bool:
        longer = [*tokens, token]
        last = longer[-size:]
        earlier = [longer[i : i + size] for i in range(len(longer) - size)]
        return len(last) == size and last in earlier

    assert set(repeating_tokens(tokens, size)) == {token for token in WORDS if repeats(token)}
