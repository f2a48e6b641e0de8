"""Keys and values of every running sequence, in slots, allocated once.

A slot is one row of every cache. Slots 0 .. n-1 of a cache are one contiguous block, so a session
can be given the
first n without a copy. Dimension letters: N slots, H heads, P positions, K head width, L decoder
layers, S source length.
"""

from __future__ import annotations

import contextlib
import mmap
from collections.abc import Sequence
from math import prod

import numpy as np
import numpy.typing as npt

from server.package import Architecture

FloatArray = npt.NDArray[np.float32]


class KVCache:
    """Self- and cross-attention caches of `num_slots` sequences, each float32 (N, H, P, K).

    Pages are touched, and so resident, only where a sequence has been.
    """

    def __init__(self, architecture: Architecture, num_slots: int) -> None:
        shape = (num_slots, architecture.num_heads, architecture.max_length, architecture.d_head)
        self.num_slots = num_slots
        self.arrays: list[FloatArray] = [
            _allocate(shape) for _ in range(4 * architecture.num_decoder_layers)
        ]
        """Four a layer: self key, self value, cross key, cross value, as the decoder's inputs are
        ordered.
        """

    @property
    def num_bytes(self) -> int:
        """Bytes of all caches."""
        return sum(array.nbytes for array in self.arrays)

    @property
    def cross_arrays(self) -> list[FloatArray]:
        """Cross key and cross value of each layer, as the encoder's outputs are ordered."""
        return [array for i, array in enumerate(self.arrays) if i % 4 >= 2]

    @property
    def self_arrays(self) -> list[FloatArray]:
        """Self key and self value of each layer."""
        return [array for i, array in enumerate(self.arrays) if i % 4 < 2]

    def write_cross(
        self, slot: int, projected: Sequence[FloatArray], row: int, length: int
    ) -> None:
        """Stores row `row` of the encoder's outputs, each float32 (B, H, S, K), of which `length`
        positions count.
        """
        for cache, array in zip(self.cross_arrays, projected, strict=True):
            cache[slot, :, :length] = array[row, :, :length]

    def copy(self, source: int, target: int, past_length: int, source_length: int) -> None:
        """Copies what slot `source` uses of its caches to slot `target`."""
        for cache in self.self_arrays:
            cache[target, :, :past_length] = cache[source, :, :past_length]
        for cache in self.cross_arrays:
            cache[target, :, :source_length] = cache[source, :, :source_length]


def _allocate(shape: tuple[int, ...]) -> FloatArray:
    """Zeros float32 of `shape` in small pages: in huge ones, which NumPy asks for, a sequence of
    twenty tokens would make its slot's room for hundreds resident.
    """
    memory = mmap.mmap(-1, 4 * prod(shape))
    with contextlib.suppress(OSError):  # a kernel without huge pages has none to decline
        memory.madvise(mmap.MADV_NOHUGEPAGE)
    return np.frombuffer(memory, np.float32).reshape(shape)
