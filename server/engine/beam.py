"""Beam search for one sequence: the `beam_size` best hypotheses run, those that end compete by
normalised score.

At each step the 2 * beam_size best continuations are looked at, best first. Of the first beam_size
those that end are kept as results; the first beam_size that do not end run on. So a beam never
shrinks, and a hypothesis ends only where it is among the best. Log-probabilities add up in float64.
"""

from __future__ import annotations

import heapq
import math
from typing import NamedTuple

from server.engine.hypothesis import FinishReason, Hypothesis
from server.engine.loop_guard import is_loop
from server.engine.options import DecodingOptions, EarlyStopping
from server.runtime.search import AnyPick, Candidate, Forced, Pick


class _Continuation(NamedTuple):
    """Ordered best first: by log-probability, then by row and token, so that ties are no chance."""

    cost: float
    row: int
    token: int
    log_prob: float


class BeamSearch:
    """One row through the forced prefix and the first step; beam_size rows from then on."""

    def __init__(self, options: DecodingOptions, eos_id: int) -> None:
        self._options = options
        self._eos_id = eos_id
        self._num_forced = len(options.prefix)
        self._pick = Pick(2 * options.beam_size, True)
        self._num_wanted = max(1, round(options.beam_size * options.patience))
        self.rows: list[Hypothesis] = [Hypothesis()]
        self.finished: list[Hypothesis] = []
        """The best that have ended, best first."""

    @property
    def is_done(self) -> bool:
        """Whether nothing runs any more."""
        return not self.rows

    @property
    def num_rows(self) -> int:
        """Rows that it uses or will use."""
        return self._options.beam_size

    def wants(self, row: Hypothesis) -> AnyPick:
        """How the continuations of `row` are picked."""
        position = len(row.tokens)
        if position < self._num_forced:
            return Forced(self._options.prefix[position], self._options.is_scored)
        return self._pick

    def advance(self, candidates: list[list[Candidate]]) -> list[tuple[Hypothesis, Hypothesis]]:
        """Takes the candidates of each of `rows`; returns (parent, child) for every row that runs
        on, now in `rows`.
        """
        position = len(self.rows[0].tokens)
        if position < self._num_forced:
            ((token, log_prob),) = candidates[0]
            self.rows[0].append(token, log_prob, is_forced=True)
            return []
        length = position + 1
        children = self._grow(self._best(candidates), length)
        if not children and not self.finished:  # no number at all: a model that is broken
            self._end(self.rows[0], FinishReason.LENGTH)
        if self._must_stop(children, length):
            children = []
        self.rows = [child for _, child in children]
        return children

    def _best(self, candidates: list[list[Candidate]]) -> list[_Continuation]:
        """The 2 * beam_size best continuations of all rows, best first."""
        continuations = (
            _Continuation(-(parent.log_probability + log_prob), row, token, log_prob)
            for row, parent in enumerate(self.rows)
            for token, log_prob in candidates[row]
            if log_prob > -math.inf
        )
        return heapq.nsmallest(self._pick.count, continuations)

    def _grow(
        self, continuations: list[_Continuation], length: int
    ) -> list[tuple[Hypothesis, Hypothesis]]:
        """Ends what ends among the first beam_size; returns the beam_size that run on."""
        beam_size = self._options.beam_size
        is_last = length >= self._options.max_target_tokens
        children: list[tuple[Hypothesis, Hypothesis]] = []
        for rank, (_, row, token, log_prob) in enumerate(continuations):
            if len(children) == beam_size or (is_last and rank >= beam_size):
                break
            ends = token == self._eos_id
            if ends and rank >= beam_size:
                continue
            child = self.rows[row].fork()
            child.append(token, log_prob)
            reason = self._ending(child, ends, is_last)
            if reason is None:
                children.append((self.rows[row], child))
            elif rank < beam_size:
                self._end(child, reason)
        return children

    def _ending(self, child: Hypothesis, ends: bool, is_last: bool) -> FinishReason | None:
        if ends:
            return FinishReason.STOP
        if is_last:
            return FinishReason.LENGTH
        guard = self._options.loop_guard
        return FinishReason.LOOP if guard and is_loop(child.tokens, guard) else None

    def _end(self, hypothesis: Hypothesis, reason: FinishReason) -> None:
        """Keeps an ended hypothesis while it is among the best."""
        hypothesis.finish_reason = reason
        self.finished.append(hypothesis)
        self.finished.sort(key=self._rank)
        del self.finished[self._num_wanted :]

    def _rank(self, hypothesis: Hypothesis) -> tuple[int, float, int]:
        return hypothesis.rank(self._num_forced, self._options.length_penalty)

    def _must_stop(self, children: list[tuple[Hypothesis, Hypothesis]], length: int) -> bool:
        """Whether the running hypotheses are given up; see EarlyStopping."""
        options = self._options
        if not children:
            return True
        if len(self.finished) < self._num_wanted:
            return False
        if options.early_stopping is EarlyStopping.PATIENCE:
            return True
        if options.early_stopping is EarlyStopping.NEVER and options.length_penalty > 0:
            length = options.max_target_tokens
        best = children[0][1].log_probability
        reachable = best / float((length - self._num_forced) ** options.length_penalty)
        return (0, -reachable, 0) >= self._rank(self.finished[-1])

    def results(self) -> list[Hypothesis]:
        """The num_hypotheses best that have ended, best first."""
        return self.finished[: self._options.num_hypotheses]

    def stop(self) -> None:
        """Ends what still runs, as time ran out."""
        running, self.rows = self.rows, []
        for row in running:
            self._end(row, FinishReason.DEADLINE)

    def stable_tokens(self) -> list[int]:
        """The longest beginning that all hypotheses share which may still win: no later step can
        change it.
        """
        rivals = [hypothesis.token_ids for hypothesis in (*self.finished[:1], *self.rows)]
        shared = 0
        for tokens in zip(*rivals, strict=False):
            if len(set(tokens)) > 1:
                break
            shared += 1
        return rivals[0][:shared]
