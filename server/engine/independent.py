"""Greedy search, sampling and alternatives: hypotheses that grow side by side and never compete."""

from __future__ import annotations

import math

from server.engine.draws import uniform
from server.engine.hypothesis import FinishReason, Hypothesis
from server.engine.loop_guard import is_loop
from server.engine.options import DecodingOptions
from server.runtime.search import GREEDY, AnyPick, Candidate, Draw, Forced, Pick


class IndependentSearch:
    """One row through the forced prefix; then one a hypothesis, until each has ended."""

    def __init__(self, options: DecodingOptions, eos_id: int) -> None:
        self._options = options
        self._eos_id = eos_id
        self._num_forced = len(options.prefix)
        self._width = max(options.num_hypotheses, options.num_alternatives)
        self._pick = Pick(1, options.is_scored) if options.is_scored else GREEDY
        self.rows: list[Hypothesis] = [Hypothesis()]
        self.finished: list[Hypothesis] = []

    @property
    def is_done(self) -> bool:
        """Whether nothing runs any more."""
        return not self.rows

    @property
    def num_rows(self) -> int:
        """Rows that it uses or will use."""
        is_forked = bool(self.finished) or len(self.rows[0].tokens) > self._num_forced
        return len(self.rows) if is_forked else self._width

    def wants(self, row: Hypothesis) -> AnyPick:
        """How the next token of `row` is picked."""
        position = len(row.tokens)
        if position < self._num_forced:
            return Forced(self._options.prefix[position], self._options.is_scored)
        is_fork = position == self._num_forced
        if self._options.sampling is not None:
            return self._draw(row, position, is_fork)
        if is_fork and self._width > 1:
            return Pick(self._width, True)  # the score tells what is impossible
        return self._pick

    def _draw(self, row: Hypothesis, position: int, is_fork: bool) -> Draw:
        sampling = self._options.sampling
        assert sampling is not None
        indices = range(self._width) if is_fork else (row.index,)
        uniforms = tuple(uniform(sampling.seed, index, position) for index in indices)
        return Draw(uniforms, sampling.temperature, sampling.top_k, sampling.top_p)

    def advance(self, candidates: list[list[Candidate]]) -> list[tuple[Hypothesis, Hypothesis]]:
        """Takes what was picked for each of `rows`; returns (parent, child) for rows that are
        new, a child that goes on in its parent's row being the parent itself.
        """
        born: list[tuple[Hypothesis, Hypothesis]] = []
        if len(candidates[0]) > 1:
            born = self._fork(candidates[0])
        else:
            for row, ((token, log_prob),) in zip(self.rows, candidates, strict=True):
                row.append(token, log_prob, len(row.tokens) < self._num_forced)
        for row in self.rows:
            row.finish_reason = self._ending(row)
        if any(row.finish_reason is not None for row in self.rows):
            self.finished += [row for row in self.rows if row.finish_reason is not None]
            self.rows = [row for row in self.rows if row.finish_reason is None]
        return [(parent, child) for parent, child in born if child.finish_reason is None]

    def _fork(self, candidates: list[Candidate]) -> list[tuple[Hypothesis, Hypothesis]]:
        (root,) = self.rows
        possible = [c for c in candidates if c[1] > -math.inf] or candidates[:1]
        children = [root.fork(i) for i in range(1, len(possible))]
        self.rows = [root, *children]
        for row, (token, log_prob) in zip(self.rows, possible, strict=True):
            row.append(token, log_prob)
        return [(root, child) for child in children]

    def _ending(self, row: Hypothesis) -> FinishReason | None:
        if len(row.tokens) <= self._num_forced:
            return None
        if row.tokens[-1] == self._eos_id:
            return FinishReason.STOP
        if len(row.tokens) >= self._options.max_target_tokens:
            return FinishReason.LENGTH
        guard = self._options.loop_guard
        return FinishReason.LOOP if guard and is_loop(row.tokens, guard) else None

    def results(self) -> list[Hypothesis]:
        """What has ended: samples by falling score, alternatives by the probability of their first
        token.
        """
        if self._options.num_alternatives:
            return sorted(self.finished, key=lambda hypothesis: hypothesis.index)
        penalty = self._options.length_penalty
        return sorted(self.finished, key=lambda h: h.rank(self._num_forced, penalty))

    def stop(self) -> None:
        """Ends what still runs, as time ran out."""
        for row in self.rows:
            row.finish_reason = FinishReason.DEADLINE
        self.finished += self.rows
        self.rows = []

    def stable_tokens(self) -> list[int]:
        """Tokens of the first hypothesis: they cannot change any more."""
        (first,) = self.rows or self.finished
        return first.token_ids
