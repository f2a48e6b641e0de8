"""Searches of every kind in one engine, coming and going: each gets what it gets alone, and gives
back what it used.
"""

from __future__ import annotations

import dataclasses
import random

import pytest

from server.engine.engine import Engine, StepStats
from server.engine.hypothesis import Hypothesis
from server.engine.options import DecodingOptions
from server.engine.sequence import Job, Priority
from tests.server.engine import reference
from tests.server.engine.toy_engine import (
    MODELS,
    any_options,
    any_source,
    check_traces,
    make_engine,
    results,
)
from tests.server.engine.toy_model import Tokens, ToyModel


@dataclasses.dataclass
class Member:
    """One of a crowd."""

    source: Tokens
    options: DecodingOptions
    is_streamed: bool
    leaves_after: int
    """Steps until it is cancelled."""
    streamed: list[int] = dataclasses.field(default_factory=list)


def any_member(draw: random.Random, model: ToyModel) -> Member:
    options = any_options(draw, model)
    is_single = options.beam_size > 1 or options.num_rows == 1
    leaves_after = draw.randrange(20) if draw.random() < 0.3 else 10**9
    return Member(any_source(draw), options, is_single, leaves_after)


def run_crowd(
    engine: Engine, members: list[Member], draw: random.Random
) -> dict[int, list[Hypothesis]]:
    """Results by index of the member; those who left have none."""
    found, indices, alive = {}, {}, {}
    arriving = list(enumerate(members))
    while arriving or engine.has_work:
        for _ in range(min(len(arriving), draw.choice([0, 0, 1, 3]))):
            index, member = arriving.pop()
            job = Job(
                list(member.source),
                member.options,
                priority=draw.choice(list(Priority)),
                caller=draw.choice("ab"),
                is_streamed=member.is_streamed,
            )
            sequence_id = engine.add(job)
            indices[sequence_id], alive[sequence_id] = index, member.leaves_after
        step = engine.step()
        for sequence_id, tokens in step.streamed:
            members[indices[sequence_id]].streamed += tokens
        for sequence in step.ended:
            found[indices[sequence.sequence_id]] = sequence.hypotheses
            del alive[sequence.sequence_id]
        for sequence_id in [i for i, steps in alive.items() if steps == 0]:
            assert engine.cancel(sequence_id)
            del alive[sequence_id]
        alive = {i: steps - 1 for i, steps in alive.items()}
    return found


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("num_slots", [16, 40])
def test_in_a_crowd_everyone_gets_what_it_gets_alone(model: ToyModel, num_slots: int) -> None:
    draw = random.Random(num_slots)
    members = [any_member(draw, model) for _ in range(80)]
    engine = make_engine(model, num_slots)
    stats: list[StepStats] = []
    engine.on_step = stats.append
    found = run_crowd(engine, members, draw)
    assert 40 < len(found) < 80
    assert max(step.num_running for step in stats) > 3
    for index, hypotheses in found.items():
        member = members[index]
        expected = reference.search(model, member.source, member.options)
        got = results(hypotheses, member.options)
        if needs_scores(member.options):
            assert got == expected
        else:
            assert [(r.tokens, r.reason) for r in got] == [(r.tokens, r.reason) for r in expected]
        check_traces(model, member.source, member.options, hypotheses)
        assert hypotheses[0].token_ids[: len(member.streamed)] == member.streamed
    assert sum(len(member.streamed) for member in members) > 50
    assert stats[-1].num_rows_used == stats[-1].num_running == 0
    engine.add(Job([1], DecodingOptions(3, beam_size=16)))
    engine.step()
    assert stats[-1].num_encoded == 1  # whatever was set aside has been given back


def needs_scores(options: DecodingOptions) -> bool:
    return options.beam_size > 1 or options.sampling is not None or options.is_scored
