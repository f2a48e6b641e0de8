"""Keys and values of every running row, in slots, allocated once.

A slot is one row of every cache. Slots 0 .. n-1 of a cache are one contiguous block, so a session
can be given the first n without a copy. Dimension letters: L decoder layers, N slots, H heads, P
positions, K head width, S source length.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from server.package import Architecture

FloatArray = npt.NDArray[np.float32]


class KVCache:
    """Self- and cross-attention caches of `num_slots` rows, all of it resident from the start: what
    a long text will need is there before it comes.
    """

    def __init__(self, architecture: Architecture, num_slots: int) -> None:
        shape = (
            2 * architecture.num_decoder_layers,
            num_slots,
            architecture.num_heads,
            architecture.max_length,
            architecture.d_head,
        )
        self.num_slots = num_slots
        self._self = np.full(shape, 0.0, np.float32)  # (2 * L, N, H, P, K): key, value, key, ..
        self._cross = np.full(shape, 0.0, np.float32)  # (2 * L, N, H, P, K)

    @property
    def num_bytes(self) -> int:
        """Bytes of all caches."""
        return self._self.nbytes + self._cross.nbytes

    @property
    def arrays(self) -> list[FloatArray]:
        """Four a layer, each float32 (N, H, P, K): self key, self value, cross key, cross value, as
        the decoder's inputs are ordered.
        """
        layers = range(0, len(self._self), 2)
        return [
            array
            for i in layers
            for array in (self._self[i], self._self[i + 1], self._cross[i], self._cross[i + 1])
        ]

    @property
    def cross_arrays(self) -> list[FloatArray]:
        """Cross key and cross value of each layer, as the encoder's outputs are ordered."""
        return list(self._cross)

    @property
    def self_arrays(self) -> list[FloatArray]:
        """Self key and self value of each layer."""
        return list(self._self)

    def write_cross(
        self, slot: int, projected: Sequence[FloatArray], row: int, length: int
    ) -> None:
        """Stores row `row` of the encoder's outputs, each float32 (B, H, S, K), of which `length`
        positions count.
        """
        for cache, array in zip(self._cross, projected, strict=True):
            cache[slot, :, :length] = array[row, :, :length]

    def copy_self(self, source: int, target: int, length: int) -> None:
        """Copies the first `length` positions of self-attention of one slot to another."""
        self._self[:, target, :, :length] = self._self[:, source, :, :length]

    def copy_cross(self, source: int, target: int, length: int) -> None:
        """Copies the first `length` positions of cross-attention of one slot to another."""
        self._cross[:, target, :, :length] = self._cross[:, source, :, :length]

    def attention(self, slot: int, query: FloatArray, length: int) -> FloatArray:
        """Cross-attention of `query` float32 (H * K) of the last layer over the `length` source
        positions of `slot`, the mean over the heads; float32 (S,).
        """
        keys = self._cross[-2, slot, :, :length]  # (H, S, K)
        heads = query.reshape(len(keys), -1, 1)  # (H, K, 1)
        scores = (keys @ heads)[:, :, 0] / np.float32(np.sqrt(heads.shape[1]))  # (H, S)
        weights = np.exp(scores - scores.max(axis=1, keepdims=True))  # (H, S)
        mean: FloatArray = (weights / weights.sum(axis=1, keepdims=True)).mean(axis=0)
        return mean
