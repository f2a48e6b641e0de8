"""The caches as ModelRunner uses them where sessions run on the CPU: bound, never copied."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import onnxruntime as ort

from server import package as names
from server.runtime.binding import bind_inputs, bind_outputs
from server.runtime.kv_cache import KVCache


class HostCache(KVCache):
    """A KVCache that sessions read and write."""

    def num_bound(self, num_rows: int) -> int:
        """How many slots a step over the first `num_rows` binds: those."""
        return num_rows

    def bind(self, binding: ort.IOBinding, num_rows: int) -> None:
        """Gives the decoder the first `num_rows` slots, as past and as present."""
        num_layers = len(self.self_arrays) // 2
        for prefix, bind in (("past_key_values", bind_inputs), ("present", bind_outputs)):
            cache_names = names.cache_names(num_layers, prefix)
            bind(binding, dict(zip(cache_names, self.arrays, strict=True)), num_rows)

    def before_step(self, binding: ort.IOBinding, inputs: Mapping[str, np.ndarray]) -> None:
        """Nothing to do: what is bound is this memory itself."""

    def encode(
        self,
        encoder: ort.InferenceSession,
        inputs: dict[str, np.ndarray],
        slots: Sequence[int],
        lengths: Sequence[int],
    ) -> None:
        """Runs `encoder` and stores each row's cross-attention, `lengths` positions, in its
        slot.
        """
        outputs = encoder.run(names.cross_cache_names(len(self.cross_arrays) // 2), inputs)
        for row, (slot, length) in enumerate(zip(slots, lengths, strict=True)):
            self.write_cross(slot, outputs, row, length)
