"""What a recorder notes, and where."""

import pickle

import pytest
from attendant.load.answer import Answer
from attendant.load.config import Timing
from attendant.load.recorder import Recorder, Recording
from attendant.load.summary import Summary, summarize
from attendant.load.tally import ANSWERED

ANSWER = Answer(source_tokens=3, target_tokens=4, source_characters=10, target_characters=20)
TIMING = Timing(duration_s=10, warm_up_s=2, num_windows=5)


def answered(recorder: Recorder, due_s: float, latency_s: float, answer: Answer = ANSWER) -> None:
    recorder.due(due_s)
    recorder.sent(due_s, due_s)
    recorder.answered(due_s, due_s + latency_s, answer)


def summary_of(recorder: Recorder) -> Summary:
    return summarize(recorder.recording())


def test_latency_is_from_when_a_request_was_due() -> None:
    recorder = Recorder(TIMING)
    recorder.due(3.0)
    recorder.sent(3.0, 5.0)
    recorder.answered(3.0, 7.0, ANSWER)
    recorder.due(3.0)
    recorder.failed(3.0, "INTERNAL")
    latency = summary_of(recorder).latency
    assert latency is not None
    assert (latency.count, latency.max_s, latency.mean_s) == (1, 4.0, 4.0)


def test_the_warm_up_is_apart() -> None:
    recorder = Recorder(TIMING)
    answered(recorder, 1.9, 50.0)
    recorder.due(1.0)
    recorder.failed(1.0, "UNAVAILABLE")
    answered(recorder, 2.0, 1.0)
    summary = summary_of(recorder)
    assert (summary.arrivals, summary.answered, summary.errors) == (1, 1, {})
    assert summary.elapsed_s == 10.0  # the late answer to the warm-up's request is none of it
    assert summary.warm_up.arrivals == 2
    assert summary.warm_up.errors == {"UNAVAILABLE": 1}
    assert summary.warm_up.latency is not None
    assert summary.warm_up.latency.max_s == 50.0


def test_a_request_belongs_to_the_window_it_was_due_in_and_its_answer_to_that_of_its_end() -> None:
    recorder = Recorder(TIMING)
    answered(recorder, 2.5, 5.0)  # due in the first window, answered in the third
    recorder.due(11.9)
    recorder.failed(11.9, "INTERNAL")
    windows = summary_of(recorder).windows
    assert [window.start_s for window in windows] == [0, 2, 4, 6, 8]
    assert [window.arrivals for window in windows] == [1, 0, 0, 0, 1]
    assert [window.answered for window in windows] == [1, 0, 0, 0, 0]
    assert [window.rates.answers for window in windows] == [0, 0, 0.5, 0, 0]
    assert windows[2].rates.target_tokens == 2.0
    assert windows[0].p99_s == pytest.approx(5.0, rel=1e-3)
    assert windows[2].p99_s is None
    assert windows[4].errors == {"INTERNAL": 1}


def test_an_answer_after_the_end_counts_in_the_whole_and_in_no_window() -> None:
    recorder = Recorder(TIMING)
    answered(recorder, 11.0, 9.0)
    summary = summary_of(recorder)
    assert summary.answered == 1
    assert summary.elapsed_s == 18.0
    assert summary.throughput == 1 / 18
    assert all(window.rates.answers == 0 for window in summary.windows)


def test_every_request_is_accounted_for() -> None:
    recorder = Recorder(TIMING)
    for due_s in (2, 3, 4):
        answered(recorder, due_s, 1.0)
    for status in ("RESOURCE_EXHAUSTED", "RESOURCE_EXHAUSTED", "INTERNAL"):
        recorder.due(5)
        recorder.failed(5, status)
    recorder.due(6)
    summary = summary_of(recorder)
    assert (summary.arrivals, summary.answered, summary.unfinished) == (7, 3, 1)
    assert summary.errors == {"INTERNAL": 1, "RESOURCE_EXHAUSTED": 2}
    assert summary.error_share == pytest.approx(4 / 7)


def test_throughput_is_of_the_whole_time_even_if_all_answers_come_early() -> None:
    recorder = Recorder(TIMING)
    answered(recorder, 2.0, 0.1)
    answered(recorder, 2.1, 0.1)
    rates = summary_of(recorder).rates
    assert (rates.answers, rates.source_tokens, rates.target_characters) == (0.2, 0.6, 4.0)


def test_streams_are_timed_to_their_first_text_and_from_part_to_part() -> None:
    recorder = Recorder(TIMING)
    recorder.streamed(3.0, [3.5, 3.6, 3.8])
    recorder.streamed(4.0, [])
    summary = summary_of(recorder)
    assert summary.first_token is not None
    assert summary.between_tokens is not None
    assert (summary.first_token.count, summary.first_token.max_s) == (1, 0.5)
    assert summary.between_tokens.count == 2
    assert summary.between_tokens.mean_s == pytest.approx(0.15)
    assert summary.windows[0].first_token_p50_s == pytest.approx(0.5, rel=1e-3)


def test_the_clients_own_use_is_that_of_the_measured_time() -> None:
    recorder = Recorder(TIMING)
    recorder.used(0.0, 2.0, 2.0)  # warm-up, all of a core
    recorder.used(2.0, 4.0, 0.2)
    recorder.used(4.0, 6.0, 0.6)
    for n in range(100):
        recorder.sent(3.0, 3.5 if n < 2 else 3.001)
    summary = summary_of(recorder)
    assert summary.client.cpu_share == pytest.approx(0.2)
    assert [window.cpu_share for window in summary.windows[:2]] == pytest.approx([0.1, 0.3])
    assert summary.client.send_lateness_p99_s == pytest.approx(0.5, rel=1e-3)
    assert summary.client.send_lateness_max_s == 0.5


def test_workers_add_up() -> None:
    recorders = [Recorder(TIMING), Recorder(TIMING)]
    for recorder, cpu_s in zip(recorders, (1.0, 9.0), strict=True):
        answered(recorder, 1.0, 1.0)
        answered(recorder, 3.0, cpu_s)
        recorder.used(2.0, 12.0, cpu_s)
    first, second = (recorder.recording() for recorder in recorders)
    there: Recording = pickle.loads(pickle.dumps(second))  # as it comes from another process
    first.add(there)
    summary = summarize(first)
    assert (summary.arrivals, summary.answered, summary.warm_up.arrivals) == (2, 2, 2)
    assert summary.client.cpu_shares == pytest.approx([0.1, 0.9])
    assert summary.client.is_bottleneck
    assert summary.latency is not None
    assert summary.latency.max_s == 9.0
    assert first.measured().statuses == {ANSWERED: 2}


def test_entries_of_a_mix_have_figures_of_their_own_and_add_up() -> None:
    recorders = [Recorder(TIMING), Recorder(TIMING)]
    for recorder, took_s in zip(recorders, (0.5, 1.5), strict=True):
        recorder.answered(1.0, 90.0, ANSWER, "beam_size=4")  # of the warm-up
        recorder.answered(3.0, 3.0 + took_s, ANSWER, "beam_size=4")
        recorder.failed(4.0, "INTERNAL", "beam_size=4")
    recorders[1].answered(5.0, 5.25, ANSWER, "defaults")
    first, second = (recorder.recording() for recorder in recorders)
    first.add(pickle.loads(pickle.dumps(second)))
    beam, plain = summarize(first).mix
    assert (beam.options, beam.answered, beam.errors) == ("beam_size=4", 2, {"INTERNAL": 2})
    assert (plain.options, plain.answered, plain.errors) == ("defaults", 1, {})
    assert beam.latency is not None
    assert plain.latency is not None
    assert (beam.latency.count, beam.latency.max_s) == (2, 1.5)
    assert (plain.latency.count, plain.latency.max_s) == (1, 0.25)


def test_a_run_without_requests_has_figures_too() -> None:
    summary = summary_of(Recorder(TIMING))
    assert (summary.arrivals, summary.throughput, summary.latency) == (0, 0.0, None)
    assert (summary.error_share, summary.client.ceiling_per_s) == (0.0, None)
    assert summary.confidence.p99_s is None
