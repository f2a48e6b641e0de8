"""Runs a package's two graphs on ONNX Runtime, over caches that are bound, never copied. Knows
nothing of policy.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from server import package as names
from server.runtime.kv_cache import FloatArray, KVCache
from server.runtime.sessions import Sessions

ENCODER_PADDING = 16
"""Sources are always padded to a multiple of this, alone too: then a row's bits do not depend on
its neighbours.
"""


class ModelRunner:
    """`encode` fills slots, `decode_step` advances the first n of them by one token.

    The LLM world calls the encoder pass "prefill".
    """

    def __init__(self, sessions: Sessions, num_slots: int) -> None:
        """Allocates the caches; `sessions` may be shared with other runners."""
        architecture = sessions.manifest.architecture
        self._encoder, self._decoder = sessions.encoder, sessions.decoder
        self._pad_id = sessions.manifest.special_ids.pad
        self._num_layers = architecture.num_decoder_layers
        self.cache = KVCache(architecture, num_slots)
        self._tokens = np.zeros((num_slots, 1), np.int64)
        self._past_lengths = np.zeros(num_slots, np.int32)
        self._source_lengths = np.zeros(num_slots, np.int32)
        self._logits = np.zeros((num_slots, architecture.vocabulary_size), np.float32)
        self._queries = np.zeros((num_slots, architecture.d_model), np.float32)
        self._bindings: dict[int, ort.IOBinding] = {}

    @property
    def num_slots(self) -> int:
        """N: sequences that fit at once."""
        return self.cache.num_slots

    def encode(self, sources: Sequence[Sequence[int]], slots: Sequence[int]) -> None:
        """Encodes `sources` (token ids) and stores their cross-attention keys and values in
        `slots`.

        Sources of the same padded length share a batch.
        """
        groups: dict[int, list[int]] = defaultdict(list)
        for i, source in enumerate(sources):
            groups[-(-len(source) // ENCODER_PADDING) * ENCODER_PADDING].append(i)
        for padded_length, group in groups.items():
            projected = self._encode_batch([sources[i] for i in group], padded_length)
            for row, i in enumerate(group):
                self.cache.write_cross(slots[i], projected, row, len(sources[i]))
                self._source_lengths[slots[i]] = len(sources[i])
                self._past_lengths[slots[i]] = 0

    def _encode_batch(self, sources: list[Sequence[int]], length: int) -> list[FloatArray]:
        input_ids = np.full((len(sources), length), self._pad_id, np.int64)  # (B, S)
        attention_mask = np.zeros((len(sources), length), np.int32)  # (B, S)
        for row, source in enumerate(sources):
            input_ids[row, : len(source)] = source
            attention_mask[row, : len(source)] = 1
        inputs = {names.INPUT_IDS: input_ids, names.ATTENTION_MASK: attention_mask}
        outputs: list[FloatArray] = self._encoder.run(
            names.cross_cache_names(self._num_layers), inputs
        )
        return outputs

    def decode_step(self, tokens: Sequence[int]) -> FloatArray:
        """Feeds `tokens`, the last token of slots 0 .. n-1, and returns logits float32 (n, V).

        Every fed slot's past grows by one. The result is overwritten by the next step.
        """
        num_rows = len(tokens)
        self._tokens[:num_rows, 0] = tokens
        binding = self._bindings.get(num_rows)
        if binding is None:
            binding = self._bindings[num_rows] = self._bind(num_rows)
        self._decoder.run_with_iobinding(binding)
        self._past_lengths[:num_rows] += 1
        return self._logits[:num_rows]

    def _bind(self, num_rows: int) -> ort.IOBinding:
        """Binds the first `num_rows` slots; past and present are the same memory, so attention
        appends in place.
        """
        binding = self._decoder.io_binding()
        inputs: list[tuple[str, npt.NDArray[np.generic]]] = [
            (names.INPUT_IDS, self._tokens),
            (names.PAST_LENGTHS, self._past_lengths),
            (names.SOURCE_LENGTHS, self._source_lengths),
            *zip(
                names.cache_names(self._num_layers, "past_key_values"),
                self.cache.arrays,
                strict=True,
            ),
        ]
        for name, array in inputs:
            shape = (num_rows, *array.shape[1:])
            binding.bind_input(name, "cpu", 0, array.dtype, shape, array.ctypes.data)
        outputs = zip(
            names.cache_names(self._num_layers, "present"), self.cache.arrays, strict=True
        )
        scores = ((names.LOGITS, self._logits), (names.CROSS_QUERIES, self._queries))
        for name, array in (*scores, *outputs):
            shape = (num_rows, *array.shape[1:])
            binding.bind_output(name, "cpu", 0, array.dtype, shape, array.ctypes.data)
        return binding

    def attention(self, slot: int) -> FloatArray:
        """How the last step's row `slot` attended to its source in the last layer, the mean over
        the heads; float32 (S,).
        """
        length = int(self._source_lengths[slot])
        return self.cache.attention(slot, self._queries[slot], length)

    def copy(self, source: int, target: int, is_sibling: bool) -> None:
        """Gives slot `target` what slot `source` uses of its caches; siblings share a source
        sentence, so that `target` has its cross-attention already.
        """
        past_length = int(self._past_lengths[source])
        self.cache.copy_self(source, target, past_length)
        self._past_lengths[target] = past_length
        if not is_sibling:
            source_length = int(self._source_lengths[source])
            self.cache.copy_cross(source, target, source_length)
            self._source_lengths[target] = source_length
