"""Every metric, in one place. Names follow prometheus' conventions; no label holds text or a
caller's secret.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from server.engine.engine import StepStats
from server.engine.times import Times

BATCH_BUCKETS = (1, 2, 4, 8, 16, 24, 32, 48, 64, 96, 128, 256)
TOKEN_BUCKETS = (0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1)
LATENCY_BUCKETS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)


class Metrics:
    """The metrics of one server, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = self._counter(
            "attendant_requests", "Requests answered, by model and gRPC status.", "code"
        )
        self.latency = self._histogram(
            "attendant_request_duration_seconds", "Time from a request's arrival to its answer."
        )
        self.tokens = self._counter(
            "attendant_tokens", "Tokens read (source) and generated (target).", "side"
        )
        self._texts = self._counter(
            "attendant_texts", "Texts answered, by why their translation ended.", "outcome"
        )
        self._queue_time = self._histogram(
            "attendant_queue_time_seconds", "Time from a sequence's arrival until it got rows."
        )
        self._first_token = self._histogram(
            "attendant_time_to_first_token_seconds",
            "Time from a sequence's arrival until its first token was chosen.",
        )
        self._per_token = self._histogram(
            "attendant_time_per_output_token_seconds",
            "Mean time from a token of a sequence to the next, the first one's apart.",
            TOKEN_BUCKETS,
        )
        self._running = self._gauge(
            "attendant_sequences_running", "Sequences that are being decoded."
        )
        self._waiting = self._gauge("attendant_sequences_waiting", "Sequences that wait for rows.")
        self._slots_used = self._gauge(
            "attendant_cache_slots_used", "Cache slots, rows of a step, that hold a hypothesis."
        )
        self._slots = self._gauge("attendant_cache_slots", "Cache slots there are.")
        self._steps = self._histogram(
            "attendant_decode_batch_size", "Rows of each decoder step.", BATCH_BUCKETS
        )

    def _counter(self, name: str, text: str, label: str) -> Counter:
        return Counter(name, text, ["model", label], registry=self.registry)

    def _histogram(
        self, name: str, text: str, buckets: Sequence[float] = LATENCY_BUCKETS
    ) -> Histogram:
        return Histogram(name, text, ["model"], buckets=buckets, registry=self.registry)

    def observe_sequence(self, model: str, times: Times, num_tokens: int) -> None:
        """Takes the times of a sequence whose best result has `num_tokens`."""
        self._queue_time.labels(model).observe(times.waited_s)
        self._first_token.labels(model).observe(times.first_token_s)
        if num_tokens > 1:
            rest = (times.total_s - times.first_token_s) / (num_tokens - 1)
            self._per_token.labels(model).observe(rest)

    def observe_text(
        self, model: str, outcome: str, num_source_tokens: int, num_target_tokens: int
    ) -> None:
        """Counts a text and its tokens; `outcome` is why its translation ended."""
        self._texts.labels(model, outcome).inc()
        self.tokens.labels(model, "source").inc(num_source_tokens)
        self.tokens.labels(model, "target").inc(num_target_tokens)

    def _gauge(self, name: str, text: str) -> Gauge:
        return Gauge(name, text, ["model"], registry=self.registry)

    def engine(self, model: str, num_slots: int) -> EngineMetrics:
        """What one worker of `model` reports; several add up."""
        slots = self._slots.labels(model)
        slots.inc(num_slots)
        return EngineMetrics(
            self._running.labels(model),
            self._waiting.labels(model),
            self._slots_used.labels(model),
            self._steps.labels(model),
            lambda: slots.dec(num_slots),
        )


class EngineMetrics:
    """What one engine reports after each step; labels are resolved once, for a step is short."""

    def __init__(
        self,
        running: Gauge,
        waiting: Gauge,
        slots_used: Gauge,
        steps: Histogram,
        on_close: Callable[[], None],
    ) -> None:
        self._gauges = (running, waiting, slots_used)
        self._last = (0, 0, 0)
        self._steps = steps
        self._on_close = on_close

    def observe(self, stats: StepStats) -> None:
        """Takes a step's figures; a cancellation between steps reports 0 rows."""
        now = (stats.num_running, stats.num_waiting, stats.num_rows_used)
        for gauge, value, before in zip(self._gauges, now, self._last, strict=True):
            if value != before:
                gauge.inc(value - before)
        self._last = now
        if stats.num_rows:
            self._steps.observe(stats.num_rows)

    def close(self) -> None:
        """The engine is gone: it runs nothing and has no slots."""
        self.observe(StepStats(0, 0, 0, 0, 0))
        self._on_close()
