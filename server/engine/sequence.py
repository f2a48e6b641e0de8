"""One sentence in flight: what it was given, who asked, what it has produced, where it stands."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import Protocol

from server.engine.beam import BeamSearch
from server.engine.hypothesis import Hypothesis
from server.engine.independent import IndependentSearch
from server.engine.options import DecodingOptions
from server.engine.times import Times
from server.runtime.search import AnyPick, Candidate


class SequenceStatus(enum.Enum):
    """Where a sequence stands; it only ever moves down this list."""

    WAITING = "waiting"
    RUNNING = "running"
    FINISHED = "finished"
    EXPIRED = "expired"
    """Its deadline passed, and no partial result was asked for."""
    REFUSED = "refused"
    """Never begun: those before it would have taken the time that it had."""
    CANCELLED = "cancelled"


class Priority(enum.IntEnum):
    """Classes of urgency, most urgent first."""

    INTERACTIVE = 0
    """Somebody waits in front of a screen."""
    STANDARD = 1
    BULK = 2
    """Fills the gaps that the others leave."""


@dataclass(frozen=True)
class Job:
    """A source and how, for whom and until when it is to be decoded."""

    source: list[int]
    """Token ids."""
    options: DecodingOptions
    priority: Priority = Priority.STANDARD
    caller: str = ""
    """Whom fairness counts it to."""
    deadline: float = float("inf")
    """When it must have ended, in seconds of the engine's clock."""
    takes_partial: bool = False
    """Whether the best so far is wanted at the deadline, instead of nothing."""
    is_streamed: bool = False
    """Whether tokens are wanted as soon as they are certain."""


class Search(Protocol):
    """How one sequence's hypotheses grow: BeamSearch or IndependentSearch."""

    rows: list[Hypothesis]

    @property
    def is_done(self) -> bool:
        """Whether nothing runs any more."""

    @property
    def num_rows(self) -> int:
        """Rows that it uses or will use."""

    def wants(self, row: Hypothesis) -> AnyPick:
        """How the next token of `row` is picked."""

    def advance(self, candidates: list[list[Candidate]]) -> list[tuple[Hypothesis, Hypothesis]]:
        """Takes what was picked for each of `rows`; returns (parent, child) for each new row."""

    def results(self) -> list[Hypothesis]:
        """What has ended, best first."""

    def stop(self) -> None:
        """Ends what still runs, as time ran out."""

    def stable_tokens(self) -> list[int]:
        """Tokens of the best result that nothing can change any more."""


def make_search(options: DecodingOptions, eos_id: int) -> Search:
    """The search that `options` ask for."""
    if options.beam_size > 1:
        return BeamSearch(options, eos_id)
    return IndependentSearch(options, eos_id)


@dataclass(eq=False)
class Sequence:
    """A source on its way to a translation, as token ids."""

    sequence_id: int
    job: Job
    search: Search
    arrival: float = 0.0
    """When it was added, in seconds of the engine's clock."""
    times: Times = field(default_factory=Times)
    status: SequenceStatus = SequenceStatus.WAITING
    num_reserved: int = 0
    """Rows set aside for it while it runs."""
    num_streamed: int = 0
    """Tokens that have been handed out already."""
    hypotheses: list[Hypothesis] = field(default_factory=list)
    """The results, once it has finished; best first."""

    @property
    def token_ids(self) -> list[int]:
        """Tokens of the best result without the end of sentence."""
        return self.hypotheses[0].token_ids

    @property
    def cost(self) -> int:
        """What fairness charges for it: rows times source tokens, which output grows with."""
        return self.job.options.num_rows * len(self.job.source)
