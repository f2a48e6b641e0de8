from __future__ import annotations

import itertools
import pickle

from hypothesis import given, settings
from hypothesis import strategies as st

from server.engine.hypothesis import FinishReason, Hypothesis
from server.engine.options import DecodingOptions, Sampling
from server.engine.sequence import Job, Priority, SequenceStatus
from server.engine.times import Times
from server.engine.wire import Outcome, Report, Unpacker, pack
from server.engine.worker import Add, Cancel

JOB = Job(
    [4, 20, 2],
    DecodingOptions(9, sampling=Sampling(7, 0.5), prefix=(8,)),
    Priority.BULK,
    "somebody",
    deadline=12.5,
)


@settings(deadline=None)
@given(cuts=st.lists(st.integers(0, 2000), max_size=20))
def test_messages_come_out_whole_however_the_bytes_arrive(cuts: list[int]) -> None:
    messages = [Add({1: JOB, 2: JOB}), Cancel([2, 3]), Cancel([])]
    data = b"".join(map(pack, messages))
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    unpacker = Unpacker()
    found = [
        message
        for begin, end in itertools.pairwise(edges)
        for message in unpacker.feed(data[begin:end])
    ]
    assert found == messages


def test_a_hypothesis_arrives_as_it_was() -> None:
    hypothesis = Hypothesis(index=3)
    hypothesis.append(20, -0.125)
    hypothesis.append(2, -0.5)
    hypothesis.finish_reason = FinishReason.STOP
    outcome = Outcome(7, SequenceStatus.FINISHED, [hypothesis], Times(0.5, 0.25, 1.0, 2.0))
    report = Report(0.0, 0.0, [], [(7, [20])], [outcome])
    (found,) = Unpacker().feed(pack(report))
    (copy,) = found.ended[0].hypotheses
    for name in Hypothesis.__slots__:
        assert getattr(copy, name) == getattr(hypothesis, name), name
    assert found.streamed == report.streamed
    assert pickle.loads(pickle.dumps(found)).ended[0].status is SequenceStatus.FINISHED
