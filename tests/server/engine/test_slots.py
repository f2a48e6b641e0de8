from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from server.engine.slots import SlotAllocator


@given(st.lists(st.booleans(), max_size=60), st.integers(1, 8))
def test_the_lowest_free_slot_goes_first(choices: list[bool], num_slots: int) -> None:
    slots, used = SlotAllocator(num_slots), set[int]()
    for allocates in choices:
        if allocates and slots.num_free:
            slot = slots.allocate()
            assert slot == min(set(range(num_slots)) - used)
            used.add(slot)
        elif used:
            slots.release(used.pop())
        assert slots.num_used == len(used)
