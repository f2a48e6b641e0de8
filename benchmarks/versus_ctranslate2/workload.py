"""What both engines are asked to do, and how each may be set up. Plain data that crosses a pipe."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Sentence:
    """A source and the bounds of its translation, in token ids; lengths without the end."""

    source: list[int]
    """Language tag, pieces, end of sentence."""
    least: int
    most: int


@dataclass(frozen=True)
class Line:
    """A line of the table: one way to ask."""

    name: str
    beam_size: int
    in_flight: int
    """How many sentences are asked for at a time; 1 waits for each before the next."""
    num_sentences: int
    floor: dict[str, float]
    """By model, how many times as fast as CTranslate2 it is to be at least."""
    aim: float


LINES = (
    Line("latency", 1, 1, 40, {"bundled": 1.25, "base": 2.5}, 4),
    Line("throughput", 1, 64, 512, {"bundled": 1, "base": 1}, 2),
    Line("beam4_latency", 4, 1, 40, {"bundled": 1, "base": 2}, 3),
    Line("beam4_throughput", 4, 16, 128, {"bundled": 1, "base": 1}, 2),
)


@dataclass(frozen=True)
class Setup:
    """How an engine is set up. Ours has no use for `batch_size`, CTranslate2 for `num_slots`."""

    workers: int
    threads: int
    """Of each worker."""
    compute_type: str
    batch_size: int = 0
    """Sentences that CTranslate2 decodes together at most; 0 for all it is given."""
    num_slots: int = 0
    """Rows that each of our workers decodes together at most."""

    def __str__(self) -> str:
        parts = [f"{self.workers} workers of {self.threads} threads", self.compute_type]
        if self.batch_size:
            parts.append(f"batches of {self.batch_size}")
        if self.num_slots:
            parts.append(f"{self.num_slots} rows")
        return ", ".join(parts)


@dataclass(frozen=True)
class Run:
    """What a run of a line took."""

    seconds: float
    tokens: int
    """Target tokens, without the end of sentence."""

    @property
    def tokens_per_s(self) -> float:
        """Target tokens a second: what the ratios compare, for outputs may differ in length."""
        return self.tokens / self.seconds
