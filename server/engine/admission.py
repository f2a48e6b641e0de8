"""Bounds what is pending, and says whose work gives way when it is too much."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from server.engine.sequence import Priority
from server.errors import QueueFullError


@dataclass(frozen=True, eq=False)
class Group:
    """Sequences of one request; they are admitted, and give way, together."""

    caller: str
    priority: Priority
    sequence_ids: tuple[int, ...]


class Admission:
    """Groups in flight, at most `max_pending` sequences.

    Where there is no room, the caller who has most pending gives way with its newest group, the
    least urgent first, if the newcomer would still have less: nobody can keep the others out by
    asking for everything at once.
    """

    def __init__(self, max_pending: int) -> None:
        self.max_pending = max_pending
        self.num_pending = 0
        self._groups: dict[str, OrderedDict[Group, None]] = {}
        self._counts: dict[str, int] = {}

    def check(self, caller: str, priority: Priority, count: int) -> None:
        """Raises QueueFullError where `admit` would for `count` sequences."""
        newcomer = Group(caller, priority, (0,) * count)
        self._victims(newcomer, self.num_pending + count - self.max_pending)

    def admit(self, group: Group) -> list[Group]:
        """Counts `group` in; returns the groups that had to give way, counted out.

        Raises QueueFullError if there is no room and `group` has no better claim to it.
        """
        size = len(group.sequence_ids)
        victims = self._victims(group, self.num_pending + size - self.max_pending)
        for victim in victims:
            self.leave(victim)
        self._groups.setdefault(group.caller, OrderedDict())[group] = None
        self._counts[group.caller] = self._counts.get(group.caller, 0) + size
        self.num_pending += size
        return victims

    def leave(self, group: Group) -> None:
        """Counts `group` out, if it is in."""
        groups = self._groups.get(group.caller, OrderedDict())
        if group not in groups:
            return
        del groups[group]
        self._counts[group.caller] -= len(group.sequence_ids)
        self.num_pending -= len(group.sequence_ids)
        if not groups:
            del self._groups[group.caller], self._counts[group.caller]

    def _victims(self, group: Group, excess: int) -> list[Group]:
        """Groups whose leaving makes room for `excess` sequences more; none changes hands yet."""
        victims: list[Group] = []
        if excess <= 0:
            return victims
        greediest = max(self._counts, key=self._counts.__getitem__, default="")
        left = self._counts.get(greediest, 0)
        claim = self._counts.get(group.caller, 0) + len(group.sequence_ids)
        if greediest == group.caller or claim >= left:
            raise self._full()
        candidates = sorted(
            self._groups.get(greediest, ()), key=lambda g: (-g.priority, -g.sequence_ids[0])
        )
        while excess > 0:
            if not candidates or claim >= left:
                raise self._full()
            victims.append(candidates.pop(0))
            num_freed = len(victims[-1].sequence_ids)
            excess, left = excess - num_freed, left - num_freed
        return victims

    def _full(self) -> QueueFullError:
        return QueueFullError(
            f"the queue is full: {self.num_pending} texts are pending, "
            f"{self.max_pending} are allowed"
        )
