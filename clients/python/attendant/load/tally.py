"""Counts of what happened to requests: of a window, of the warm-up, or of a whole run."""

from collections import Counter
from dataclasses import dataclass, field

from attendant.load.answer import Answer
from attendant.load.histogram import Histogram

ANSWERED = "OK"
"""The status of a request that brought a translation."""


@dataclass(slots=True)
class Volume:
    """How much was translated."""

    answers: int = 0
    source_tokens: int = 0
    target_tokens: int = 0
    source_characters: int = 0
    target_characters: int = 0

    def count(self, answer: Answer) -> None:
        """Counts an answer."""
        self.answers += 1
        self.source_tokens += answer.source_tokens
        self.target_tokens += answer.target_tokens
        self.source_characters += answer.source_characters
        self.target_characters += answer.target_characters

    def add(self, other: "Volume") -> None:
        """Counts all that the other has counted."""
        self.answers += other.answers
        self.source_tokens += other.source_tokens
        self.target_tokens += other.target_tokens
        self.source_characters += other.source_characters
        self.target_characters += other.target_characters


@dataclass(slots=True)
class EntryTally:
    """What became of the requests of one entry of a mix."""

    statuses: Counter[str] = field(default_factory=Counter)
    """How they ended, by status."""

    latency: Histogram = field(default_factory=Histogram)
    """Of those that were answered, from when they were due."""

    def add(self, other: "EntryTally") -> None:
        """Counts all that the other has counted."""
        self.statuses.update(other.statuses)
        self.latency.add(other.latency)


@dataclass(slots=True)
class Tally:
    """Requests that were due in some time, and what ended in it."""

    arrivals: int = 0
    """Requests that were due."""

    statuses: Counter[str] = field(default_factory=Counter)
    """How they ended, by status; those that did not end are missing."""

    latency: Histogram = field(default_factory=Histogram)
    """Of those that were answered, from when they were due."""

    first_token: Histogram = field(default_factory=Histogram)
    """Of streams: from when they were due to their first text."""

    between_tokens: Histogram = field(default_factory=Histogram)
    """Of streams: from each part with text to the next."""

    lateness: Histogram = field(default_factory=Histogram)
    """Of those that left: after they were due."""

    answered: Volume = field(default_factory=Volume)
    """Of those that were due in this time, whenever they were answered."""

    finished: Volume = field(default_factory=Volume)
    """Of all that were answered in this time, whenever they were due."""

    cpu_s: float = 0.0
    """Processor time that the client used."""

    cpu_span_s: float = 0.0
    """Time in which it used that."""

    def add(self, other: "Tally") -> None:
        """Counts all that the other has counted."""
        self.arrivals += other.arrivals
        self.statuses.update(other.statuses)
        self.latency.add(other.latency)
        self.first_token.add(other.first_token)
        self.between_tokens.add(other.between_tokens)
        self.lateness.add(other.lateness)
        self.answered.add(other.answered)
        self.finished.add(other.finished)
        self.cpu_s += other.cpu_s
        self.cpu_span_s += other.cpu_span_s

    @property
    def cpu_share(self) -> float:
        """Processor time over time; 1.0 is one core."""
        return self.cpu_s / self.cpu_span_s if self.cpu_span_s > 0 else 0.0
