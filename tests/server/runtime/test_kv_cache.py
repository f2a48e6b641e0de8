from __future__ import annotations

import numpy as np
import pytest

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


@pytest.mark.parametrize("kind", ["self", "cross"])
def test_a_copy_takes_what_is_used_and_nothing_else(kind: str) -> None:
    cache, before = filled_cache(), filled_cache()
    getattr(cache, f"copy_{kind}")(source=2, target=0, length=2)
    others = {"self": "cross", "cross": "self"}[kind]
    copied, kept = (
        zip(getattr(cache, f"{k}_arrays"), getattr(before, f"{k}_arrays"), strict=True)
        for k in (kind, others)
    )
    for now, then in copied:
        assert np.array_equal(now[0, :, :2], then[2, :, :2])
        assert np.array_equal(now[0, :, 2:], then[0, :, 2:])
        assert np.array_equal(now[1:], then[1:])
    for now, then in kept:
        assert np.array_equal(now, then)


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


def attended(cache: KVCache, slot: int, query: np.ndarray, length: int) -> list[float]:
    """softmax(q k / sqrt(d_head)) of each head by itself, then their mean, in float64."""
    keys = cache.cross_arrays[-2].astype(np.float64)  # of the last layer
    heads = []
    for head, part in enumerate(query.astype(np.float64).reshape(2, 4)):
        weights = np.exp([part @ keys[slot, head, i] / 2.0 for i in range(length)])
        heads.append(weights / weights.sum())
    mean: list[float] = np.mean(heads, axis=0).tolist()
    return mean


@pytest.mark.parametrize("length", [1, 3, 6])
def test_attention_is_the_mean_of_the_heads_softmax(length: int) -> None:
    cache = KVCache(SHAPE, num_slots=3)
    random = np.random.default_rng(1)
    for array in cache.arrays:
        array[:] = random.standard_normal(array.shape)
    for slot in range(3):
        query = random.standard_normal(8).astype(np.float32)
        found = cache.attention(slot, query, length)
        assert found.shape == (length,)
        assert found.tolist() == pytest.approx(attended(cache, slot, query, length), rel=1e-5)
        assert float(found.sum()) == pytest.approx(1.0, abs=1e-6)


def test_attention_bears_large_scores() -> None:
    cache = KVCache(SHAPE, num_slots=1)
    for array in cache.arrays:
        array[:] = 0.0
        array[:, :, 1] = 1e4
    found = cache.attention(0, np.full(8, 1e4, np.float32), 3)
    assert found.tolist() == [0.0, 1.0, 0.0]
