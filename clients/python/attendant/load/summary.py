"""The figures of a run, drawn from what was recorded. Plain data: every report is made of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from attendant.load.confidence import Interval, median_interval
from attendant.load.config import Timing
from attendant.load.histogram import Histogram
from attendant.load.recorder import Recording
from attendant.load.tally import ANSWERED, EntryTally, Tally, Volume

PERCENTS: Mapping[str, float] = {
    "p50_s": 50,
    "p75_s": 75,
    "p90_s": 90,
    "p95_s": 95,
    "p99_s": 99,
    "p99_9_s": 99.9,
    "p99_99_s": 99.99,
}
"""Fields of `Latency`, and which percentile each is."""

_BUSY_CPU_SHARE = 0.8
_LATE_SEND_S = 0.010


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """A distribution of times, in seconds."""

    count: int
    """How many times there are. A percentile needs some above it: p99.99 some ten thousands."""

    mean_s: float
    p50_s: float
    p75_s: float
    p90_s: float
    p95_s: float
    p99_s: float
    p99_9_s: float
    p99_99_s: float
    max_s: float
    histogram: str
    """All of them: an encoded HDR histogram of microseconds (V2, compressed, base64)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientUse:
    """What the measuring itself cost: whether the figures are the server's or the client's."""

    cpu_shares: Sequence[float]
    """Processor time of each worker over the measured time; 1.0 is one core."""

    send_lateness_p50_s: float
    send_lateness_p99_s: float
    """How late requests left, in seconds after they were due; in a closed loop, how late timers
    went off."""

    send_lateness_max_s: float
    sent_per_s: float
    """Requests that left, a second, of all workers."""

    @property
    def cpu_share(self) -> float:
        """Of the busiest worker."""
        return max(self.cpu_shares, default=0.0)

    @property
    def is_bottleneck(self) -> bool:
        """Whether this client, not the server, may have set the figures.

        A worker's event loop is one thread: near one core of use it cannot send or receive on time.
        """
        return self.cpu_share > _BUSY_CPU_SHARE or self.send_lateness_p99_s > _LATE_SEND_S

    @property
    def ceiling_per_s(self) -> float | None:
        """About how many such requests a second as many workers could send at most.

        As many as take the busiest of them to the share where it counts as a bottleneck.
        """
        if self.cpu_share <= 0:
            return None
        return self.sent_per_s * _BUSY_CPU_SHARE / self.cpu_share


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """What was translated in a second."""

    answers: float
    source_tokens: float
    target_tokens: float
    source_characters: float
    target_characters: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A part of the measured time. Latency and errors are of requests that were due in it, rates
    are of all that was answered in it."""

    start_s: float
    """From the beginning of the measured time."""

    arrivals: int
    answered: int
    errors: Mapping[str, int]
    rates: Rates
    p50_s: float | None
    p99_s: float | None
    first_token_p50_s: float | None
    first_token_p99_s: float | None
    cpu_share: float
    """Of the client; the mean over its workers."""

    send_lateness_p99_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class WarmUp:
    """What was sent before the measured time."""

    arrivals: int
    answered: int
    errors: Mapping[str, int]
    latency: Latency | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Confidence:
    """Medians over windows with intervals; None where there are too few windows."""

    p50_s: Interval | None
    p99_s: Interval | None
    throughput: Interval | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """The requests of one entry of a mix that were due in the measured time."""

    options: str
    """As --options has them."""

    answered: int
    errors: Mapping[str, int]
    latency: Latency | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """The figures of one run. `arrivals` is `answered`, `errors` and `unfinished` together."""

    arrivals: int
    """Requests that were due in the measured time."""

    answered: int
    """Requests that brought a translation."""

    errors: Mapping[str, int]
    """Failed requests by status code."""

    unfinished: int
    """Requests that had neither an answer nor an error when the wait for them was over."""

    elapsed_s: float
    """Time from the start of the measuring to the last answer, and no less than it was to take."""

    rates: Rates
    """What was translated in a second of `elapsed_s`."""

    latency: Latency | None
    """Of answered requests, from when they were due; None if there are none."""

    first_token: Latency | None
    """Of streams, from when they were due to their first text."""

    between_tokens: Latency | None
    """Of streams, from each part with text to the next."""

    mix: Sequence[Entry]
    """The same by options, where requests differ in them."""

    client: ClientUse
    """What the measuring cost."""

    warm_up: WarmUp
    window_s: float
    """Length of a window."""

    windows: Sequence[Window]
    confidence: Confidence

    @property
    def throughput(self) -> float:
        """Answered requests a second."""
        return self.rates.answers

    @property
    def error_share(self) -> float:
        """What part of the requests that were due was not answered."""
        return 1 - self.answered / self.arrivals if self.arrivals else 0.0


def summarize(recording: Recording) -> Summary:
    """Returns the figures of all that has been recorded."""
    total, timing = recording.measured(), recording.timing
    last_s = max(recording.last_answer_s, timing.end_s)
    elapsed_s = last_s - timing.warm_up_s
    windows = [_window(tally, n, timing) for n, tally in enumerate(recording.windows)]
    return Summary(
        arrivals=total.arrivals,
        answered=total.statuses[ANSWERED],
        errors=_errors(total),
        unfinished=total.arrivals - total.statuses.total(),
        elapsed_s=elapsed_s,
        rates=_rates(total.answered, elapsed_s),
        latency=latency_of(total.latency),
        first_token=latency_of(total.first_token),
        between_tokens=latency_of(total.between_tokens),
        mix=[_entry(name, entry) for name, entry in sorted(recording.entries.items())],
        client=_client_use(total, recording),
        warm_up=_warm_up(recording.warm_up),
        window_s=timing.window_s,
        windows=windows,
        confidence=_confidence(windows),
    )


def latency_of(histogram: Histogram) -> Latency | None:
    """Returns the figures of a distribution; None if it is empty."""
    if not histogram.count:
        return None
    found = histogram.percentiles_s(list(PERCENTS.values()))
    return Latency(
        count=histogram.count,
        mean_s=histogram.mean_s,
        max_s=histogram.max_s,
        histogram=histogram.encoded(),
        **dict(zip(PERCENTS, found, strict=True)),
    )


def _entry(options: str, tally: EntryTally) -> Entry:
    return Entry(
        options=options,
        answered=tally.statuses[ANSWERED],
        errors=_errors(tally),
        latency=latency_of(tally.latency),
    )


def _errors(tally: Tally | EntryTally) -> dict[str, int]:
    return {status: n for status, n in sorted(tally.statuses.items()) if status != ANSWERED}


def _rates(volume: Volume, seconds: float) -> Rates:
    return Rates(
        answers=volume.answers / seconds,
        source_tokens=volume.source_tokens / seconds,
        target_tokens=volume.target_tokens / seconds,
        source_characters=volume.source_characters / seconds,
        target_characters=volume.target_characters / seconds,
    )


def _client_use(total: Tally, recording: Recording) -> ClientUse:
    p50_s, p99_s = total.lateness.percentiles_s([50, 99])
    return ClientUse(
        cpu_shares=recording.cpu_shares,
        send_lateness_p50_s=p50_s,
        send_lateness_p99_s=p99_s,
        send_lateness_max_s=total.lateness.max_s,
        sent_per_s=total.arrivals / recording.timing.duration_s,
    )


def _warm_up(tally: Tally) -> WarmUp:
    return WarmUp(
        arrivals=tally.arrivals,
        answered=tally.statuses[ANSWERED],
        errors=_errors(tally),
        latency=latency_of(tally.latency),
    )


def _window(tally: Tally, number: int, timing: Timing) -> Window:
    p50_s, p99_s = _two_percentiles(tally.latency)
    first_p50_s, first_p99_s = _two_percentiles(tally.first_token)
    return Window(
        start_s=number * timing.window_s,
        arrivals=tally.arrivals,
        answered=tally.statuses[ANSWERED],
        errors=_errors(tally),
        rates=_rates(tally.finished, timing.window_s),
        p50_s=p50_s,
        p99_s=p99_s,
        first_token_p50_s=first_p50_s,
        first_token_p99_s=first_p99_s,
        cpu_share=tally.cpu_share,
        send_lateness_p99_s=tally.lateness.percentile_s(99),
    )


def _two_percentiles(histogram: Histogram) -> tuple[float | None, float | None]:
    if not histogram.count:
        return None, None
    p50_s, p99_s = histogram.percentiles_s([50, 99])
    return p50_s, p99_s


def _confidence(windows: Sequence[Window]) -> Confidence:
    return Confidence(
        p50_s=median_interval([window.p50_s for window in windows if window.p50_s is not None]),
        p99_s=median_interval([window.p99_s for window in windows if window.p99_s is not None]),
        throughput=median_interval([window.rates.answers for window in windows]),
    )
