"""Beam search against a plain one, alone and in a crowd. The reference is reference.py."""

from __future__ import annotations

import dataclasses
import itertools
import random
from collections.abc import Iterator

import numpy as np
import pytest

from server.engine.beam import BeamSearch
from server.engine.constraints import constrain
from server.engine.hypothesis import FinishReason
from server.engine.options import DecodingOptions, EarlyStopping
from server.engine.sequence import Job
from server.runtime.search import pick
from tests.server.engine import reference
from tests.server.engine.reference import Ended
from tests.server.engine.toy_engine import (
    MODELS,
    any_beam,
    any_constraints,
    any_source,
    check_traces,
    decode,
    make_engine,
    results,
)
from tests.server.engine.toy_model import BOS, EOS, NEVER, Tokens, ToyModel

RULES = list(EarlyStopping)
SOURCE = (5, 6, 7)


@pytest.mark.parametrize("model", MODELS)
def test_a_beam_finds_what_the_plain_search_finds(model: ToyModel) -> None:
    for seed in range(60):
        draw = random.Random(seed)
        options, source = any_beam(draw, model), any_source(draw)
        hypotheses = decode(model, source, options)
        expected = reference.beam_search(model, source, options)
        assert (seed, results(hypotheses, options)) == (seed, expected)
        check_traces(model, source, options, hypotheses)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("length_penalty", [-1.0, 0.0, 1.0, 2.0])
@pytest.mark.parametrize("beam_size", [1, 2, 3, 5, 16])
def test_each_rule_and_penalty_at_each_width(
    rule: EarlyStopping, length_penalty: float, beam_size: int
) -> None:
    options = DecodingOptions(
        20, beam_size=beam_size, length_penalty=length_penalty, early_stopping=rule, is_scored=True
    )
    options = dataclasses.replace(options, num_hypotheses=(beam_size + 1) // 2)
    for model in (ToyModel(), ToyModel(spread=6.0, eos_bias=1.0)):
        expected = reference.search(model, SOURCE, options)
        assert results(decode(model, SOURCE, options), options) == expected


def test_rules_and_penalties_differ_where_they_should() -> None:
    """Else the tests above would show nothing about them."""
    sources = [(i,) for i in range(30)]
    plain = DecodingOptions(20, beam_size=4)
    others = [
        *(dataclasses.replace(plain, early_stopping=rule) for rule in RULES[1:]),
        *(dataclasses.replace(plain, patience=patience) for patience in (0.5, 2.0)),
        *(dataclasses.replace(plain, length_penalty=penalty) for penalty in (-1.0, 0.0, 2.0)),
    ]
    model = ToyModel(eos_bias=0.5)
    found = [
        tuple(tuple(decode(model, source, options)[0].tokens) for source in sources)
        for options in (plain, *others)
    ]
    assert len(set(found)) == len(found)


def test_a_beam_of_one_is_greedy_search() -> None:
    for seed in range(50):
        draw = random.Random(seed)
        model, source = draw.choice(MODELS), any_source(draw)
        options = dataclasses.replace(any_constraints(draw, model), is_scored=True)
        expected = reference.beam_search(model, source, options)
        assert results(decode(model, source, options), options) == expected


def every_translation(model: ToyModel, source: Tokens, options: DecodingOptions) -> list[Ended]:
    """All translations that there are, by falling score."""
    words = range(EOS + 1, model.vocabulary_size)
    longest = options.max_target_tokens
    endings = [
        *([*t, EOS] for n in range(longest) for t in itertools.product(words, repeat=n)),
        *(list(t) for t in itertools.product(words, repeat=longest)),
    ]
    found = [
        reference.grow(model, source, options, tokens, reference.best_token) for tokens in endings
    ]
    return sorted(found, key=lambda result: -result.score)


@pytest.mark.parametrize("length_penalty", [-1.0, 0.0, 1.0, 2.0])
@pytest.mark.parametrize("seed", range(5))
def test_a_wide_beam_over_few_words_finds_every_translation_in_order(
    seed: int, length_penalty: float
) -> None:
    options = DecodingOptions(
        3,
        beam_size=16,
        num_hypotheses=15,
        length_penalty=length_penalty,
        early_stopping=EarlyStopping.NEVER,
    )
    model = ToyModel(vocabulary_size=5)
    found = results(decode(model, (seed,), options), options)
    assert len(found) == 15  # 1 + 2 + 4 that stop, 8 that the limit cuts
    assert found == every_translation(model, (seed,), options)


@pytest.mark.parametrize("seed", range(20))
def test_a_beam_as_wide_as_the_tree_finds_the_best_translation_of_all(seed: int) -> None:
    options = DecodingOptions(
        5, beam_size=16, length_penalty=0.0, early_stopping=EarlyStopping.NEVER
    )
    model = ToyModel(vocabulary_size=5, spread=1.0, eos_bias=-4.0)
    found = results(decode(model, (seed,), options), options)
    assert found == every_translation(model, (seed,), options)[:1]


@pytest.mark.parametrize("model", MODELS)
def test_never_stopping_early_loses_nothing(model: ToyModel) -> None:
    for seed in range(60):
        draw = random.Random(seed)
        source, options = any_source(draw), any_beam(draw, model)
        options = dataclasses.replace(
            options, early_stopping=EarlyStopping.NEVER, patience=1.0, beam_size=draw.randint(2, 5)
        )
        exhaustive = reference.beam_search(model, source, options, never_stops=True)
        assert (seed, results(decode(model, source, options), options)) == (seed, exhaustive)


P, H, N = EarlyStopping.PATIENCE, EarlyStopping.HEURISTIC, EarlyStopping.NEVER


@pytest.mark.parametrize("num_forced", [0, 2])
@pytest.mark.parametrize(
    ("rule", "length_penalty", "first", "running", "is_done"),
    [
        (H, 1.0, -1.0, -1.9, False),  # two tokens: -0.95
        (H, 1.0, -1.0, -2.1, True),
        (N, 1.0, -1.0, -9.9, False),  # ten tokens at last: -0.99
        (N, 1.0, -1.0, -10.1, True),
        (P, 1.0, -1.0, -0.7, True),
        (H, 0.0, -5.0, -4.9, False),
        (N, 0.0, -5.0, -4.9, False),
        (N, 0.0, -5.0, -5.1, True),
        (H, -1.0, -5.0, -2.4, False),  # two tokens: -4.8, and worse with every token
        (N, -1.0, -5.0, -2.4, False),
        (N, -1.0, -5.0, -2.6, True),
    ],
)
def test_the_running_ones_are_given_up_when_none_can_beat_the_worst_result(
    rule: EarlyStopping,
    length_penalty: float,
    first: float,
    running: float,
    is_done: bool,
    num_forced: int,
) -> None:
    """Results of one token, `first`, and of two, the better; the best that runs has two."""
    options = DecodingOptions(
        10 + num_forced,
        beam_size=2,
        length_penalty=length_penalty,
        early_stopping=rule,
        prefix=(9,) * num_forced,
    )
    search = BeamSearch(options, EOS)
    for _ in range(num_forced):
        search.advance([[(9, -3.0)]])
    search.advance([[(3, -0.1), (EOS, first), (4, -20.0)]])
    assert not search.is_done
    search.advance([[(EOS, -0.5), (5, running + 0.1)], [(6, -20.0)]])
    assert len(search.finished) == 2
    assert search.is_done == is_done


@pytest.mark.parametrize("rule", [EarlyStopping.NEVER, EarlyStopping.HEURISTIC])
def test_a_loop_scores_well_and_is_no_measure_for_what_still_runs(rule: EarlyStopping) -> None:
    options = DecodingOptions(9, beam_size=2, early_stopping=rule, loop_guard=2)
    search = BeamSearch(options, EOS)
    search.advance([[(3, -0.1), (4, -1.0)]])
    search.advance([[(3, -0.1), (5, -1.1)], [(EOS, -0.1)]])
    assert [hypothesis.tokens for hypothesis in search.finished] == [[4, EOS], [3, 3]]
    assert [row.tokens for row in search.rows] == [[3, 5]]
    search.advance([[(EOS, -0.01), (6, -9.0)]])
    assert search.is_done
    assert search.results()[0].tokens == [3, 5, EOS]


def test_too_few_continuations_leave_a_narrower_beam() -> None:
    options = DecodingOptions(6, beam_size=8, num_hypotheses=8, suppressed=(3, 4, 5))
    model = ToyModel(vocabulary_size=7)  # one word is left, and the end of sentence
    found = [hypothesis.tokens for hypothesis in decode(model, SOURCE, options)]
    assert sorted(found) == sorted([*([6] * n + [EOS] for n in range(6)), [6] * 6])


def drive(model: ToyModel, source: Tokens, options: DecodingOptions) -> Iterator[BeamSearch]:
    """The search after each of its steps."""
    search = BeamSearch(options, EOS)
    while not search.is_done:
        logits = np.stack([model.logits(source, (BOS, *row.tokens)) for row in search.rows])
        logits[:, NEVER] = -np.inf
        for row, hypothesis in zip(logits, search.rows, strict=True):
            constrain(row, hypothesis.tokens, options, EOS)
        search.advance(pick(logits, [search.wants(row) for row in search.rows]))
        yield search


def shared_beginning(lists: list[list[int]]) -> list[int]:
    beginnings = [lists[0][:length] for length in range(len(lists[0]) + 1)]
    return [b for b in beginnings if all(tokens[: len(b)] == b for tokens in lists)][-1]


def test_what_was_streamed_is_the_beginning_of_every_later_answer() -> None:
    num_early, reasons = 0, set()
    for seed in range(200):
        draw = random.Random(seed)
        model, source = MODELS[seed % len(MODELS)], any_source(draw)
        options = any_beam(draw, model)
        before: list[int] = []
        for search in drive(model, source, options):
            stable = search.stable_tokens()
            assert stable[: len(before)] == before
            rivals = [*search.finished[:1], *search.rows]
            assert stable == shared_beginning([rival.token_ids for rival in rivals])
            before = stable if search.rows else before
        best = search.results()[0]
        assert best.token_ids[: len(before)] == before
        num_early += len(before) > len(options.prefix)
        reasons.add(best.finish_reason)
    assert num_early > 30
    assert reasons == {FinishReason.STOP, FinishReason.LENGTH, FinishReason.LOOP}


class Clock:
    """Stands still until it is set."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize("num_steps", [0, 1, 2, 3, 5, 8, 13])
def test_at_the_deadline_results_rank_before_what_was_cut_and_all_begin_as_streamed(
    num_steps: int,
) -> None:
    for seed in range(40):
        draw = random.Random(seed)
        model, source = MODELS[seed % len(MODELS)], any_source(draw)
        options = any_beam(draw, model)
        clock = Clock()
        engine = make_engine(model, options.num_rows, clock=clock)
        engine.add(Job(list(source), options, deadline=1.0, takes_partial=True, is_streamed=True))
        steps = [engine.step() for _ in range(num_steps)]
        clock.now = 1.0
        steps.append(engine.step())
        (hypotheses,) = [sequence.hypotheses for step in steps for sequence in step.ended]
        expected = reference.beam_search(model, source, options, num_steps)
        assert (seed, results(hypotheses, options)) == (seed, expected)
        streamed = [token for step in steps for _, tokens in step.streamed for token in tokens]
        assert hypotheses[0].token_ids[: len(streamed)] == streamed
