from __future__ import annotations

import numpy as np

from server.package import Architecture
from server.runtime.kv_cache import KVCache

SHAPE = Architecture(
    num_encoder_layers=1,
    num_decoder_layers=2,
    d_model=8,
    num_heads=2,
    d_head=4,
    vocabulary_size=10,
    max_length=6,
)


def filled_cache() -> KVCache:
    cache = KVCache(SHAPE, num_slots=3)
    for i, array in enumerate(cache.arrays):
        array[:] = np.arange(array.size, dtype=np.float32).reshape(array.shape) + 1000 * i
    return cache


def test_a_copy_moves_what_is_used_and_nothing_else() -> None:
    cache, before = filled_cache(), filled_cache()
    cache.copy(source=2, target=0, past_length=2, source_length=3)
    for now, then in zip(cache.self_arrays, before.self_arrays, strict=True):
        assert np.array_equal(now[0, :, :2], then[2, :, :2])
        assert np.array_equal(now[0, :, 2:], then[0, :, 2:])
        assert np.array_equal(now[1:], then[1:])
    for now, then in zip(cache.cross_arrays, before.cross_arrays, strict=True):
        assert np.array_equal(now[0, :, :3], then[2, :, :3])
        assert np.array_equal(now[0, :, 3:], then[0, :, 3:])


def test_cross_keys_land_in_their_slot_without_the_padding() -> None:
    cache = filled_cache()
    projected = [np.full((2, 2, 16, 4), 7.0 + i, np.float32) for i in range(4)]
    cache.write_cross(slot=1, projected=projected, row=0, length=5)
    for i, array in enumerate(cache.cross_arrays):
        assert (array[1, :, :5] == 7.0 + i).all()
        assert not (array[1, :, 5:] == 7.0 + i).any()
        assert not (array[[0, 2]] == 7.0 + i).any()


def test_the_first_slots_are_one_block_of_memory() -> None:
    cache = filled_cache()
    for array in cache.arrays:
        assert array[:2].flags.c_contiguous
        assert array[:2].ctypes.data == array.ctypes.data
    assert cache.num_bytes == 8 * 3 * 2 * 6 * 4 * 4
