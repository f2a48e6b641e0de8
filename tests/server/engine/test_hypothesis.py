from __future__ import annotations

import math

import pytest

from server.engine.hypothesis import FinishReason, Hypothesis


def grown(*tokens: int) -> Hypothesis:
    hypothesis = Hypothesis()
    for i, token in enumerate(tokens):
        hypothesis.append(token, -0.5 * (i + 1))
    return hypothesis


def test_forced_tokens_keep_their_log_probability_and_do_not_count() -> None:
    hypothesis = Hypothesis()
    hypothesis.append(5, math.nan, is_forced=True)
    hypothesis.append(6, -7.0, is_forced=True)
    hypothesis.append(7, -1.0)
    hypothesis.append(8, -2.0)
    assert hypothesis.tokens == [5, 6, 7, 8]
    assert hypothesis.log_probs[1:] == [-7.0, -1.0, -2.0]
    assert hypothesis.log_probability == -3.0
    assert hypothesis.score(num_forced=2, length_penalty=1.0) == -1.5


@pytest.mark.parametrize(
    ("length_penalty", "score"), [(0.0, -3.0), (1.0, -1.0), (2.0, -3.0 / 9), (-1.0, -9.0)]
)
def test_a_score_is_the_log_probability_over_a_power_of_the_length(
    length_penalty: float, score: float
) -> None:
    hypothesis = grown(5, 6, 2)
    hypothesis.finish_reason = FinishReason.STOP  # the end of sentence counts
    assert hypothesis.score(0, length_penalty) == pytest.approx(score, rel=1e-15)


def test_what_was_cut_before_its_first_own_token_has_a_score() -> None:
    assert Hypothesis().score(num_forced=3, length_penalty=2.0) == 0.0
    assert Hypothesis().score(num_forced=0, length_penalty=-1.0) == 0.0


def test_a_fork_goes_its_own_way() -> None:
    parent = grown(5, 6)
    parent.attention.append("row")
    parent.slot = 3
    child = parent.fork()
    assert (child.tokens, child.log_probs) == ([5, 6], [-0.5, -1.0])
    assert (child.log_probability, child.attention) == (-1.5, ["row"])
    assert (child.slot, child.index, child.finish_reason) == (-1, 0, None)
    child.append(7, -4.0)
    child.attention.append("another")
    assert (parent.tokens, parent.log_probs) == ([5, 6], [-0.5, -1.0])
    assert (parent.log_probability, parent.attention) == (-1.5, ["row"])
    assert child.log_probability == -5.5


def test_a_fork_is_the_sample_that_its_parent_was_unless_told() -> None:
    parent = Hypothesis(index=4)
    assert parent.fork().index == 4
    assert parent.fork(index=0).index == 0
    assert parent.fork(index=9).index == 9


@pytest.mark.parametrize("reason", [None, *FinishReason])
def test_only_the_end_of_sentence_is_left_out_of_the_text(reason: FinishReason | None) -> None:
    hypothesis = grown(5, 6, 2)
    hypothesis.finish_reason = reason
    assert hypothesis.token_ids == ([5, 6] if reason is FinishReason.STOP else [5, 6, 2])
    hypothesis.token_ids.append(9)
    assert hypothesis.tokens == [5, 6, 2]
