from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from server.engine.loop_guard import is_loop

WORDS = st.sampled_from([7, 8])
MAX_BLOCK = 16
"""As the API says."""


def ends_in_loop(tokens: list[int], num_repeats: int) -> bool:
    return any(
        tokens[i:] == tokens[i : i + size] * num_repeats
        for size in range(1, MAX_BLOCK + 1)
        for i in [len(tokens) - size * num_repeats]
        if i >= 0
    )


@given(
    beginning=st.lists(WORDS, max_size=6),
    block=st.lists(WORDS, max_size=20),
    times=st.integers(0, 5),
    ending=st.lists(WORDS, max_size=3),
    num_repeats=st.integers(2, 5),
)
@example([], [], 0, [], 2)
def test_a_loop_is_one_block_so_many_times_in_a_row(
    beginning: list[int], block: list[int], times: int, ending: list[int], num_repeats: int
) -> None:
    tokens = [*beginning, *block * times, *ending]
    assert is_loop(tokens, num_repeats) == ends_in_loop(tokens, num_repeats)


@pytest.mark.parametrize("num_repeats", [2, 3, 8])
def test_blocks_up_to_the_longest_are_seen_and_one_repeat_less_is_none(num_repeats: int) -> None:
    longest, longer = list(range(MAX_BLOCK)), list(range(MAX_BLOCK + 1))
    assert is_loop([99, *longest * num_repeats], num_repeats)
    assert not is_loop(longer * num_repeats, num_repeats)
    assert not is_loop(longest * num_repeats, num_repeats + 1)
    assert not is_loop([5] * (num_repeats - 1), num_repeats)
    assert is_loop([5] * num_repeats, num_repeats)
