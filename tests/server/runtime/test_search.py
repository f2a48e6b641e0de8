from __future__ import annotations

import numpy as np

from server.runtime.search import greedy


def test_each_row_picks_its_best_token_and_never_a_forbidden_one() -> None:
    logits = np.array([[9.0, 1.0, 2.0, 3.0], [0.0, 9.0, 5.0, 4.0]], np.float32)
    assert greedy(logits, never=[0, 1]) == [3, 2]


def test_a_tie_goes_to_the_lowest_token() -> None:
    assert greedy(np.array([[0.0, 7.0, 7.0]], np.float32), never=[]) == [1]
