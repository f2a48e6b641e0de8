"""Greedy search, sampling and alternatives. The reference is reference.py."""

from __future__ import annotations

import dataclasses
import math
import random

import pytest

from server.engine.beam import BeamSearch
from server.engine.draws import uniform
from server.engine.engine import StepStats
from server.engine.hypothesis import FinishReason, Hypothesis
from server.engine.independent import IndependentSearch
from server.engine.options import DecodingOptions, Sampling
from server.engine.sequence import Job
from server.runtime.search import GREEDY, Draw, Forced, Pick
from tests.server.engine import reference
from tests.server.engine.toy_engine import (
    MODELS,
    any_alternatives,
    any_constraints,
    any_sampling,
    any_source,
    check_traces,
    decode,
    make_engine,
    results,
)
from tests.server.engine.toy_model import EOS, ToyModel

SAMPLING = Sampling(seed=3, temperature=0.7, top_k=5, top_p=0.9)


@pytest.mark.parametrize("any_kind", [any_constraints, any_sampling, any_alternatives])
def test_each_kind_finds_what_the_plain_search_finds(any_kind: object) -> None:
    reasons = set()
    for seed in range(150):
        draw = random.Random(seed)
        model, source = MODELS[seed % len(MODELS)], any_source(draw)
        options = dataclasses.replace(any_kind(draw, model), is_scored=True)
        hypotheses = decode(model, source, options)
        expected = reference.independent_search(model, source, options)
        assert (seed, results(hypotheses, options)) == (seed, expected)
        check_traces(model, source, options, hypotheses)
        reasons |= {hypothesis.finish_reason for hypothesis in hypotheses}
    assert reasons == {FinishReason.STOP, FinishReason.LENGTH, FinishReason.LOOP}


def test_whether_scores_are_wanted_changes_no_token() -> None:
    for seed in range(60):
        draw = random.Random(seed)
        model, source = MODELS[seed % len(MODELS)], any_source(draw)
        options = draw.choice([any_constraints, any_sampling, any_alternatives])(draw, model)
        with_scores, without = (
            [h.tokens for h in decode(model, source, dataclasses.replace(options, is_scored=flag))]
            for flag in (True, False)
        )
        assert with_scores == without


def test_a_sample_is_the_same_however_many_there_are() -> None:
    options = DecodingOptions(20, sampling=SAMPLING, num_hypotheses=16)
    many = {h.index: h.tokens for h in decode(ToyModel(), (1,), options)}
    for count in (1, 2, 7):
        options = dataclasses.replace(options, num_hypotheses=count)
        few = {h.index: h.tokens for h in decode(ToyModel(), (1,), options)}
        assert few == {index: many[index] for index in range(count)}
    assert len({tuple(tokens) for tokens in many.values()}) > 8


def test_another_seed_gives_other_samples() -> None:
    found = {
        tuple(decode(ToyModel(), (1,), DecodingOptions(20, sampling=Sampling(seed)))[0].tokens)
        for seed in range(10)
    }
    assert len(found) == 10


def test_what_a_row_asks_for() -> None:
    plain = DecodingOptions(9, prefix=(4, 5), is_scored=True)
    rows = [Hypothesis() for _ in range(4)]
    for length, row in enumerate(rows):
        for token in (4, 5, 6)[:length]:
            row.append(token, -1.0)
    scored = IndependentSearch(plain, EOS)
    assert [scored.wants(row) for row in rows[:2]] == [Forced(4, True), Forced(5, True)]
    assert [scored.wants(row) for row in rows[2:]] == [Pick(1, True)] * 2
    unscored = IndependentSearch(dataclasses.replace(plain, is_scored=False), EOS)
    assert unscored.wants(rows[0]) == Forced(4, False)
    assert unscored.wants(rows[2]) is unscored.wants(rows[3]) is GREEDY  # as pick() looks for it
    wide = IndependentSearch(dataclasses.replace(plain, num_alternatives=3), EOS)
    assert [wide.wants(row).count for row in rows[2:]] == [3, 1]
    rows[3].index = 2
    sampled = dataclasses.replace(plain, sampling=SAMPLING, num_hypotheses=3)
    search = IndependentSearch(sampled, EOS)
    numbers = tuple(uniform(3, index, 2) for index in range(3))
    assert search.wants(rows[2]) == Draw(numbers, 0.7, 5, 0.9)
    assert search.wants(rows[3]) == Draw((uniform(3, 2, 3),), 0.7, 5, 0.9)


def test_a_fork_bears_only_those_that_run_on() -> None:
    search = IndependentSearch(DecodingOptions(9, prefix=(4,), num_alternatives=4), EOS)
    (root,) = search.rows
    assert search.advance([[(4, -0.1)]]) == []
    assert search.num_rows == 4
    births = search.advance([[(5, -0.2), (EOS, -0.3), (6, -0.4), (7, -0.5)]])
    assert [row.tokens for row in search.rows] == [[4, 5], [4, 6], [4, 7]]
    assert births == [(root, search.rows[1]), (root, search.rows[2])]
    assert search.rows[0] is root
    assert search.num_rows == 3
    assert [h.tokens for h in search.finished] == [[4, EOS]]


def test_where_the_first_ends_at_once_its_siblings_are_born_of_it_all_the_same() -> None:
    search = IndependentSearch(DecodingOptions(9, num_alternatives=3), EOS)
    (root,) = search.rows
    births = search.advance([[(EOS, -0.2), (5, -0.3), (6, -0.4)]])
    assert births == [(root, row) for row in search.rows]
    assert root not in search.rows
    assert search.num_rows == 2


def test_rows_of_samples_that_ended_let_others_in() -> None:
    """They are counted back at once, not when the last sample ends."""
    model, samples = ToyModel(eos_bias=0.5), DecodingOptions(40, sampling=SAMPLING)
    samples = dataclasses.replace(samples, num_hypotheses=6)
    beam = DecodingOptions(3, beam_size=3)
    num_waited = set()
    for seed in range(20):
        expected = reference.independent_search(model, (seed,), samples)
        lengths = [len(sample.tokens) for sample in expected]
        num_full = sorted(lengths)[2]  # steps until three of the six have ended
        engine = make_engine(model, 6)
        stats: list[StepStats] = []
        engine.on_step = stats.append
        engine.add(Job([seed], samples))
        engine.add(Job([1], beam))
        while engine.has_work:
            engine.step()
        admitted = [step.num_encoded for step in stats]
        assert admitted == [1, *[0] * (num_full - 1), 1, *[0] * (len(stats) - num_full - 1)]
        used = [sum(length > step for length in lengths) for step in range(1, num_full + 1)]
        assert [step.num_rows_used for step in stats[:num_full]] == used
        num_waited.add(max(lengths) - num_full)
    assert max(num_waited) > 3


def test_samples_come_by_score_and_alternatives_by_their_first_token() -> None:
    def ended(options: DecodingOptions) -> list[list[int]]:
        search = IndependentSearch(options, EOS)
        search.advance([[(5, -1.0), (6, -2.0), (7, -2.0)]])
        search.advance([[(EOS, -9.0)], [(8, -1.0)], [(EOS, -1.0)]])
        search.advance([[(EOS, 0.0)]])
        assert search.is_done
        return [hypothesis.tokens[:1] for hypothesis in search.results()]

    sampled = DecodingOptions(9, sampling=SAMPLING, num_hypotheses=3, length_penalty=0.0)
    assert ended(sampled) == [[6], [7], [5]]  # the lower index first where equal
    assert ended(dataclasses.replace(sampled, length_penalty=-1.0)) == [[7], [6], [5]]
    assert ended(DecodingOptions(9, num_alternatives=3)) == [[5], [6], [7]]


def test_more_alternatives_than_there_are_words_are_all_the_words() -> None:
    options = DecodingOptions(4, num_alternatives=9, min_target_tokens=1, suppressed=(4,))
    found = decode(ToyModel(vocabulary_size=7), (1,), options)
    assert sorted(hypothesis.tokens[0] for hypothesis in found) == [3, 5, 6]
    assert [hypothesis.index for hypothesis in found] == [0, 1, 2]


def test_when_time_runs_out_what_ran_is_a_result_as_it_stands() -> None:
    search = IndependentSearch(DecodingOptions(9, num_alternatives=3), EOS)
    search.advance([[(5, -1.0), (6, -2.0), (7, -3.0)]])
    search.advance([[(8, -1.0)], [(EOS, -1.0)], [(8, -1.0)]])
    search.stop()
    assert search.is_done
    found = [(h.token_ids, h.finish_reason) for h in search.results()]
    deadline = FinishReason.DEADLINE
    assert found == [([5, 8], deadline), ([6], FinishReason.STOP), ([7, 8], deadline)]


def test_a_forced_prefix_neither_ends_nor_loops_by_itself() -> None:
    search = IndependentSearch(DecodingOptions(9, prefix=(5, 5, 5), loop_guard=2), EOS)
    for _ in range(3):
        search.advance([[(5, -1.0)]])
        assert not search.is_done
    search.advance([[(5, -1.0)]])
    assert search.finished[0].finish_reason is FinishReason.LOOP


def test_every_token_of_a_single_hypothesis_is_certain_at_once() -> None:
    options = DecodingOptions(12, prefix=(4,), min_target_tokens=4)
    engine = make_engine(ToyModel(), 1)
    engine.add(Job([1], options, is_streamed=True))
    streamed: list[int] = []
    while not (step := engine.step()).ended:
        ((_, tokens),) = step.streamed
        assert len(tokens) == 1
        streamed += tokens
    (sequence,) = step.ended
    assert len(sequence.hypotheses[0].tokens) > 4
    assert sequence.hypotheses[0].tokens[:-1] == streamed
    assert step.streamed == []  # the rest is in the result
    assert sequence.search.stable_tokens() == sequence.token_ids


def test_a_model_without_numbers_ends_what_it_was_asked_and_harms_no_one() -> None:
    nothing = [(3, math.nan), (4, math.nan)]
    alternatives = IndependentSearch(DecodingOptions(2, num_alternatives=2), eos_id=2)
    assert alternatives.advance([nothing]) == []
    alternatives.advance([[(3, math.nan)]])
    assert [h.tokens for h in alternatives.results()] == [[3, 3]]
    beam = BeamSearch(DecodingOptions(9, beam_size=2), eos_id=2)
    assert beam.advance([[(3, math.nan)]]) == []
    assert beam.is_done
    assert [h.finish_reason for h in beam.results()] == [FinishReason.LENGTH]
