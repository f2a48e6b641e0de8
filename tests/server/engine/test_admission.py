from __future__ import annotations

import contextlib
import itertools
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.engine.admission import Admission, Group
from server.engine.sequence import Priority
from server.errors import QueueFullError
from tests.server.engine.jobs import BULK, INTERACTIVE, STANDARD, memory

NUMBERS = itertools.count()


def make_group(caller: str, size: int = 1, priority: Priority = STANDARD) -> Group:
    return Group(caller, priority, tuple(next(NUMBERS) for _ in range(size)))


def fill(admission: Admission, *groups: Group) -> None:
    for group in groups:
        assert admission.admit(group) == []


def test_there_is_room_up_to_the_bound_and_none_beyond() -> None:
    admission = Admission(5)
    fill(admission, first := make_group("a", 3), make_group("a", 2))
    with pytest.raises(QueueFullError, match="5 texts are pending, 5 are allowed"):
        admission.admit(make_group("a"))
    admission.leave(first)
    fill(admission, make_group("a", 3))
    assert admission.num_pending == 5


def test_a_request_larger_than_the_bound_never_fits() -> None:
    admission = Admission(5)
    with pytest.raises(QueueFullError):
        admission.admit(make_group("a", 6))
    assert admission.num_pending == 0


def test_the_caller_with_most_gives_way_with_its_newest() -> None:
    admission = Admission(8)
    old, new = make_group("greedy", 3), make_group("greedy", 3)
    fill(admission, make_group("modest", 2), old, new)
    assert admission.admit(make_group("newcomer", 2)) == [new]
    assert admission.num_pending == 7


def test_the_least_urgent_gives_way_before_the_newest() -> None:
    admission = Admission(4)
    groups = [make_group("greedy", 1, p) for p in (STANDARD, BULK, BULK, INTERACTIVE)]
    fill(admission, *groups)
    assert admission.admit(make_group("newcomer")) == [groups[2]]
    assert admission.admit(make_group("newcomer")) == [groups[1]]


def test_as_many_give_way_as_are_needed() -> None:
    admission = Admission(6)
    groups = [make_group("greedy") for _ in range(6)]
    fill(admission, *groups)
    assert admission.admit(make_group("newcomer", 3)) == [groups[5], groups[4], groups[3]]
    assert admission.num_pending == 6


@pytest.mark.parametrize("size", [3, 4])
def test_nobody_gives_way_to_a_claim_as_big_as_its_own(size: int) -> None:
    admission = Admission(4)
    fill(admission, make_group("a", 1), make_group("b", 3))
    with pytest.raises(QueueFullError):
        admission.admit(make_group("newcomer", size))
    with pytest.raises(QueueFullError):
        admission.admit(make_group("a", 2))
    assert len(admission.admit(make_group("a"))) == 1


def test_a_caller_never_pushes_out_its_own() -> None:
    admission = Admission(4)
    fill(admission, make_group("a", 2, BULK), make_group("a", 1), make_group("b"))
    with pytest.raises(QueueFullError):
        admission.admit(make_group("a", 1, INTERACTIVE))


def test_who_is_refused_changes_nothing() -> None:
    """Two of the greedy one's groups would go, and then it would have less than the newcomer."""
    admission = Admission(6)
    fill(admission, *(make_group("greedy") for _ in range(4)), make_group("other", 2))
    before = memory(admission)
    with pytest.raises(QueueFullError):
        admission.admit(make_group("newcomer", 3))
    assert (admission.num_pending, memory(admission)) == (6, before)


def test_leaving_counts_once() -> None:
    admission = Admission(2)
    fill(admission, make_group("b"), victim := make_group("b"))
    newcomer = make_group("a")
    assert admission.admit(newcomer) == [victim]
    for group in (victim, newcomer, newcomer):
        admission.leave(group)
    assert admission.num_pending == 1


ARRIVALS = st.lists(
    st.tuples(st.sampled_from("abcd"), st.integers(1, 6), st.sampled_from(Priority)),
    min_size=1,
    max_size=40,
)


@given(arrivals=ARRIVALS, leaves=st.lists(st.integers(0, 99), max_size=40), bound=st.integers(1, 9))
def test_counts_are_right_and_only_a_better_claim_pushes_out(
    arrivals: list[tuple[str, int, Priority]], leaves: list[int], bound: int
) -> None:
    admission, inside = Admission(bound), []
    for (caller, size, priority), i in itertools.zip_longest(
        arrivals, leaves[: len(arrivals)], fillvalue=None
    ):
        group, claims = make_group(caller, size, priority), count_by_caller(inside)
        try:
            victims = admission.admit(group)
        except QueueFullError:
            assert sum(claims.values()) + size > bound
        else:
            check_victims(group, victims, claims, bound)
            inside = [g for g in inside if g not in victims] + [group]
        if inside and i is not None:
            admission.leave(inside.pop(i % len(inside)))
        assert admission.num_pending == count_by_caller(inside).total() <= bound
    for group in inside:
        admission.leave(group)
    assert memory(admission) <= memory(Admission(bound))


def count_by_caller(groups: list[Group]) -> Counter[str]:
    return Counter(group.caller for group in groups for _ in group.sequence_ids)


def check_victims(group: Group, victims: list[Group], claims: Counter[str], bound: int) -> None:
    """All of one caller, who had most, and more than the newcomer has then; none to spare."""
    claim = claims[group.caller] + len(group.sequence_ids)
    excess = claims.total() + len(group.sequence_ids) - bound
    assert bool(victims) == (excess > 0)
    freed = 0
    for victim in victims:
        assert freed < excess
        assert claims[victim.caller] == max(claims.values())
        assert claim < claims[victim.caller] - freed
        freed += len(victim.sequence_ids)
    assert freed >= excess
    assert len({victim.caller for victim in victims} - {group.caller}) == bool(victims)


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 4)), max_size=12),
    st.sampled_from("abcd"),
    st.integers(1, 6),
)
def test_a_check_says_what_admission_would_and_changes_nothing(
    groups: list[tuple[str, int]], caller: str, size: int
) -> None:
    admission = Admission(10)
    for name, count in groups:
        with contextlib.suppress(QueueFullError):
            admission.admit(make_group(name, count))
    before = admission.num_pending
    try:
        admission.check(caller, STANDARD, size)
        is_fine = True
    except QueueFullError:
        is_fine = False
    assert admission.num_pending == before
    try:
        admission.admit(make_group(caller, size))
    except QueueFullError:
        assert not is_fine
    else:
        assert is_fine
