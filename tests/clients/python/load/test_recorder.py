"""The figures of a run."""

import pytest
from attendant.load.recorder import ANSWERED, ClientUse, Recorder, percentile
from hypothesis import given
from hypothesis import strategies as st


def recorded(*latencies_s: float) -> Recorder:
    """A recorder of requests due one second apart, each answered after its latency."""
    recorder = Recorder()
    for due_s, latency_s in enumerate(latencies_s):
        recorder.due()
        recorder.sent(due_s, due_s)
        recorder.finished(due_s, due_s + latency_s, ANSWERED)
    return recorder


def test_percentiles_are_by_nearest_rank() -> None:
    values = [float(n) for n in range(1, 101)]
    assert [percentile(values, p) for p in (50, 95, 99, 100)] == [50, 95, 99, 100]
    assert percentile([1.0, 2.0, 3.0], 50) == 2.0
    assert percentile([7.0], 99) == 7.0


@given(st.lists(st.floats(0, 1e6), min_size=1).map(sorted), st.floats(0.1, 100))
def test_a_percentile_is_the_first_value_that_enough_do_not_exceed(
    ordered: list[float], percent: float
) -> None:
    value = percentile(ordered, percent)
    needed = len(ordered) * percent / 100
    assert value in ordered
    assert sum(each <= value for each in ordered) >= needed
    assert sum(each < value for each in ordered) < needed


def test_latency_is_of_answered_requests_from_when_they_were_due() -> None:
    recorder = Recorder()
    recorder.sent(1.0, 3.0)
    recorder.finished(1.0, 5.0, ANSWERED)
    recorder.finished(1.0, 9.0, "INTERNAL")
    latency = recorder.summary().latency
    assert latency is not None
    assert (latency.p50_s, latency.max_s) == (4.0, 4.0)


def test_the_maximum_is_not_lost_beyond_the_last_percentile() -> None:
    latency = recorded(*[0.1] * 199, 8.0).summary().latency
    assert latency is not None
    assert latency.p99_s == pytest.approx(0.1)
    assert latency.max_s == pytest.approx(8.0)


def test_every_request_is_accounted_for() -> None:
    recorder = recorded(1, 1, 1)
    for status in ("RESOURCE_EXHAUSTED", "RESOURCE_EXHAUSTED", "INTERNAL"):
        recorder.due()
        recorder.finished(3, 4, status)
    recorder.due()
    summary = recorder.summary()
    assert (summary.arrivals, summary.answered, summary.unfinished) == (7, 3, 1)
    assert summary.errors == {"RESOURCE_EXHAUSTED": 2, "INTERNAL": 1}


def test_throughput_counts_answers_until_the_last() -> None:
    recorder = recorded(1, 1, 1, 5)  # The last is due at 3 s and answered at 8 s.
    recorder.sending_ended(now_s=3.0, cpu_s=0.0)
    assert recorder.summary().throughput == 4 / 8


def test_throughput_is_no_better_for_answers_that_end_early() -> None:
    recorder = recorded(1, 1)
    recorder.sending_ended(now_s=10.0, cpu_s=0.0)
    assert recorder.summary().throughput == 2 / 10


def test_a_run_without_requests_has_figures_too() -> None:
    summary = Recorder().summary()
    assert (summary.arrivals, summary.throughput, summary.latency) == (0, 0.0, None)


def test_the_clients_own_use_is_measured_while_it_sends() -> None:
    recorder = Recorder()
    for n in range(100):
        recorder.sent(due_s=n, sent_s=n + (0.5 if n < 2 else 0.001))
    recorder.sending_ended(now_s=50.0, cpu_s=20.0)
    client = recorder.summary().client
    assert client.cpu_share == 0.4
    assert client.send_lateness_p99_s == 0.5


@pytest.mark.parametrize(
    ("use", "is_bottleneck"),
    [
        (ClientUse(cpu_share=0.3, send_lateness_p99_s=0.002), False),
        (ClientUse(cpu_share=0.95, send_lateness_p99_s=0.002), True),
        (ClientUse(cpu_share=0.3, send_lateness_p99_s=0.2), True),
    ],
)
def test_a_busy_or_late_client_is_a_bottleneck(use: ClientUse, is_bottleneck: bool) -> None:
    assert use.is_bottleneck is is_bottleneck
