"""Hands out slots so that those in use stay close to 0 .. n-1: the decoder runs over the first
n.
"""

from __future__ import annotations

import heapq


class SlotAllocator:
    """Slots 0 .. num_slots - 1; the lowest free one goes first."""

    def __init__(self, num_slots: int) -> None:
        self._free = list(range(num_slots))
        self.num_slots = num_slots

    @property
    def num_free(self) -> int:
        """Slots that can be allocated."""
        return len(self._free)

    @property
    def num_used(self) -> int:
        """Slots in use."""
        return self.num_slots - len(self._free)

    def allocate(self) -> int:
        """The lowest free slot; there must be one."""
        return heapq.heappop(self._free)

    def release(self, slot: int) -> None:
        """Gives `slot` back."""
        heapq.heappush(self._free, slot)
