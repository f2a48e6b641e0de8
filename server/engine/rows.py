"""Which hypothesis is in which row of the caches. The decoder runs over rows 0 .. n-1, so before
each step the rows in use are made exactly those.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from typing import NamedTuple

from server.engine.hypothesis import Hypothesis


class Copy(NamedTuple):
    """A row whose caches another one is to have."""

    source: int
    target: int
    is_sibling: bool
    """Whether the target has the source sentence in its cross-attention caches already."""


class Rows:
    """Rows 0 .. capacity - 1; a newcomer takes the lowest gap."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._rows: list[Hypothesis | None] = []
        self._gaps: list[int] = []

    @property
    def num_used(self) -> int:
        """Rows in use."""
        return len(self._rows) - len(self._gaps)

    def dense(self) -> list[Hypothesis]:
        """The hypotheses by row; there must be no gap."""
        assert not self._gaps
        return self._rows  # type: ignore[return-value]

    def place(self, hypothesis: Hypothesis) -> None:
        """Gives `hypothesis` a row; there must be a free one."""
        if self._gaps:
            hypothesis.slot = heapq.heappop(self._gaps)
            self._rows[hypothesis.slot] = hypothesis
        else:
            assert len(self._rows) < self.capacity
            hypothesis.slot = len(self._rows)
            self._rows.append(hypothesis)

    def remove(self, hypothesis: Hypothesis) -> None:
        """Frees the row of `hypothesis`."""
        self._free(hypothesis.slot)
        hypothesis.slot = -1

    def _free(self, slot: int) -> None:
        self._rows[slot] = None
        heapq.heappush(self._gaps, slot)

    def close_gaps(self) -> list[Copy]:
        """Moves the highest rows into the gaps that are left."""
        moves = []
        for gap in sorted(self._gaps):
            while self._rows and self._rows[-1] is None:
                self._rows.pop()
            if gap >= len(self._rows):
                break
            mover = self._rows.pop()
            assert mover is not None
            moves.append(Copy(mover.slot, gap, is_sibling=False))
            mover.slot = gap
            self._rows[gap] = mover
        self._gaps.clear()
        return moves

    def regroup(
        self,
        before: Sequence[Hypothesis],
        after: Sequence[Hypothesis],
        births: Sequence[tuple[Hypothesis, Hypothesis]],
    ) -> list[Copy]:
        """Rows of one sequence, `before` a step and `after` it, where `births` are (parent, child).

        The first child stays in a parent's row, so that only the others need a copy; copies are
        free to run in any order, for no row is both read and written.
        """
        kept = {row.slot for row in after if row.slot >= 0}
        born_elsewhere = []
        for parent, child in births:
            if parent.slot in kept:
                born_elsewhere.append((parent, child))
            else:
                kept.add(parent.slot)
                child.slot = parent.slot
                self._rows[child.slot] = child
        spare = [row.slot for row in before if row.slot not in kept]
        copies = []
        for parent, child in born_elsewhere:
            is_sibling = bool(spare)
            if is_sibling:
                child.slot = spare.pop()
                self._rows[child.slot] = child
            else:
                self.place(child)
            copies.append(Copy(parent.slot, child.slot, is_sibling))
        for slot in spare:
            self._free(slot)
        survivors = set(after)
        for row in before:
            if row not in survivors:
                row.slot = -1
        return copies
