from __future__ import annotations

import itertools
import random

from hypothesis import given
from hypothesis import strategies as st

from server.engine.hypothesis import Hypothesis
from server.engine.rows import Copy, Rows


def fill(num_rows: int, capacity: int = 16) -> tuple[Rows, list[Hypothesis]]:
    rows, hypotheses = Rows(capacity), [Hypothesis() for _ in range(num_rows)]
    for hypothesis in hypotheses:
        rows.place(hypothesis)
    return rows, hypotheses


def test_a_newcomer_takes_the_lowest_gap() -> None:
    rows, hypotheses = fill(5)
    for slot in (3, 1):
        rows.remove(hypotheses[slot])
        assert hypotheses[slot].slot == -1
    newcomers = [Hypothesis() for _ in range(3)]
    for newcomer in newcomers:
        rows.place(newcomer)
    assert [newcomer.slot for newcomer in newcomers] == [1, 3, 5]
    assert rows.close_gaps() == []
    assert rows.num_used == 6


def test_the_highest_rows_close_the_gaps_that_are_left() -> None:
    rows, hypotheses = fill(6)
    for slot in (5, 0, 2):
        rows.remove(hypotheses[slot])
    assert rows.num_used == 3
    assert rows.close_gaps() == [Copy(4, 0, is_sibling=False), Copy(3, 2, is_sibling=False)]
    assert rows.dense() == [hypotheses[4], hypotheses[1], hypotheses[3]]
    assert [row.slot for row in rows.dense()] == [0, 1, 2]
    assert rows.close_gaps() == []


def test_gaps_above_the_highest_row_are_forgotten() -> None:
    rows, hypotheses = fill(3)
    for hypothesis in hypotheses:
        rows.remove(hypothesis)
    assert rows.close_gaps() == []
    assert rows.dense() == []
    rows.place(hypotheses[0])
    assert hypotheses[0].slot == 0


def test_the_first_child_stays_and_only_the_others_are_copied() -> None:
    rows, (root, _) = fill(2)
    children = [Hypothesis() for _ in range(3)]
    copies = rows.regroup([root], children, [(root, child) for child in children])
    assert copies == [Copy(0, 2, is_sibling=False), Copy(0, 3, is_sibling=False)]
    assert [child.slot for child in children] == [0, 2, 3]
    assert root.slot == -1


def test_a_child_in_a_dead_siblings_row_has_its_source_already() -> None:
    rows, beam = fill(3)
    children = [Hypothesis() for _ in range(3)]
    copies = rows.regroup(beam, children, [(beam[1], child) for child in children])
    assert sorted(copies) == [Copy(1, 0, is_sibling=True), Copy(1, 2, is_sibling=True)]
    assert sorted(child.slot for child in children) == [0, 1, 2]
    assert {row.slot for row in beam} == {-1}


def test_a_child_in_a_strangers_gap_needs_the_source_too() -> None:
    rows, (stranger, root) = fill(2)
    rows.remove(stranger)
    child = Hypothesis()
    assert rows.regroup([root], [root, child], [(root, child)]) == [Copy(1, 0, is_sibling=False)]
    assert (root.slot, child.slot) == (1, 0)


def test_a_root_that_ends_where_it_forks_leaves_its_row_to_a_child() -> None:
    rows, (root,) = fill(1)
    child = Hypothesis()
    assert rows.regroup([root], [child], [(root, child)]) == []
    assert (root.slot, child.slot) == (-1, 0)


def test_rows_without_a_successor_are_free_for_others() -> None:
    rows, beam = fill(3)
    assert rows.regroup(beam, [beam[2]], []) == []
    assert rows.num_used == 1
    stranger = Hypothesis()
    rows.place(stranger)
    assert (stranger.slot, beam[2].slot) == (0, 2)


class Family:
    """Rows of one sequence, and what each row's cache must hold."""

    def __init__(self, number: int, width: int) -> None:
        self.number, self.width = number, width
        self.rows = [Hypothesis()]
        self.histories: dict[Hypothesis, tuple[int, ...]] = {self.rows[0]: ()}


class Caches:
    """Rows with families in them, and a cache that only copies change: slot -> what it holds."""

    def __init__(self, capacity: int, chance: random.Random) -> None:
        self.rows = Rows(capacity)
        self.capacity, self.chance = capacity, chance
        self.families: list[Family] = []
        self.content: dict[int, tuple[int, tuple[int, ...]]] = {}
        self.numbers = itertools.count()

    def copy(self, copies: list[Copy]) -> None:
        for source, target, is_sibling in copies:
            if is_sibling:
                assert self.content[source][0] == self.content[target][0]
            self.content[target] = self.content[source]

    def step(self, newcomers: list[Family]) -> None:
        """Places `newcomers`, closes gaps, encodes, decodes."""
        for family in newcomers:
            self.rows.place(family.rows[0])
        self.families += newcomers
        places = [family.rows[0].slot for family in newcomers]
        self.copy(self.rows.close_gaps())
        assert [family.rows[0].slot for family in newcomers] == places
        self.content |= {family.rows[0].slot: (family.number, ()) for family in newcomers}
        everyone = [row for family in self.families for row in family.rows]
        assert [row.slot for row in self.rows.dense()] == list(range(len(everyone)))
        assert set(self.rows.dense()) == set(everyone)
        for family in self.families:
            for row in family.rows:
                assert self.content[row.slot] == (family.number, family.histories[row])
                family.histories[row] += (next(self.numbers),)
                self.content[row.slot] = (family.number, family.histories[row])

    def regroup(self, family: Family) -> None:
        """Some rows live on, some die, some have children, in a random way."""
        before = family.rows
        kept = [row for row in before if self.chance.random() < 0.4]
        num_children = self.chance.randint(0, family.width - len(kept))
        births = [(self.chance.choice(before), Hypothesis()) for _ in range(num_children)]
        family.rows = [*kept, *(child for _, child in births)]
        family.histories |= {child: family.histories[parent] for parent, child in births}
        copies = self.rows.regroup(before, family.rows, births)
        self.chance.shuffle(copies)  # they are free to run in any order
        self.copy(copies)
        assert {row.slot for row in before if row not in kept} <= {-1}

    def end_empty(self) -> None:
        self.families = [family for family in self.families if family.rows]

    def newcomers(self) -> list[Family]:
        """As many as chance wants, while rows for the whole of them last."""
        free = self.capacity - sum(family.width for family in self.families)
        newcomers: list[Family] = []
        while free and self.chance.random() < 0.6:
            newcomers.append(Family(next(self.numbers), self.chance.randint(1, free)))
            free -= newcomers[-1].width
        return newcomers


@given(capacity=st.integers(1, 20), seed=st.integers(0, 2**32), num_steps=st.integers(1, 25))
def test_every_row_keeps_its_cache_whoever_forks_dies_or_joins(
    capacity: int, seed: int, num_steps: int
) -> None:
    caches = Caches(capacity, random.Random(seed))
    for _ in range(num_steps):
        caches.step(caches.newcomers())
        for family in caches.families:
            caches.regroup(family)
        caches.end_empty()
        assert caches.rows.num_used == sum(len(family.rows) for family in caches.families)
