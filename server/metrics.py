"""Every metric, in one place. Names follow prometheus' conventions; no label holds text or a
caller's secret.
"""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from server.engine.engine import StepStats

BATCH_BUCKETS = (1, 2, 4, 8, 16, 24, 32, 48, 64, 96, 128, 256)
LATENCY_BUCKETS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)


class Metrics:
    """The metrics of one server, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "attendant_requests",
            "Requests answered, by model and gRPC status.",
            ["model", "code"],
            registry=self.registry,
        )
        self.latency = Histogram(
            "attendant_request_duration_seconds",
            "Time from a request's arrival to its answer.",
            ["model"],
            buckets=LATENCY_BUCKETS,
            registry=self.registry,
        )
        self.tokens = Counter(
            "attendant_tokens",
            "Tokens read (source) and generated (target).",
            ["model", "side"],
            registry=self.registry,
        )
        self._running = self._gauge(
            "attendant_sequences_running", "Sequences that are being decoded."
        )
        self._waiting = self._gauge("attendant_sequences_waiting", "Sequences that wait for rows.")
        self._slots_used = self._gauge(
            "attendant_cache_slots_used", "Cache slots, rows of a step, that hold a hypothesis."
        )
        self._slots = self._gauge("attendant_cache_slots", "Cache slots there are.")
        self._steps = Histogram(
            "attendant_decode_batch_size",
            "Rows of each decoder step.",
            ["model"],
            buckets=BATCH_BUCKETS,
            registry=self.registry,
        )

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
