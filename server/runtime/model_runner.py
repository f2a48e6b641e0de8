"""Runs a package's two graphs on ONNX Runtime, over caches that are bound, never copied. Knows
nothing of policy.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import onnxruntime as ort

from server import package as names
from server.runtime.binding import bind_inputs, bind_outputs
from server.runtime.device_cache import DeviceCache
from server.runtime.host_cache import HostCache
from server.runtime.kv_cache import FloatArray
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
        self.cache: HostCache | DeviceCache = (
            HostCache(architecture, num_slots)
            if sessions.cache_graphs is None
            else DeviceCache(architecture, num_slots, sessions.cache_graphs)
        )
        self._tokens = np.zeros((num_slots, 1), np.int64)
        self._past_lengths = np.zeros(num_slots, np.int32)
        self._source_lengths = np.ones(num_slots, np.int32)
        self._logits = np.zeros((num_slots, architecture.vocabulary_size), np.float32)
        self._queries = np.zeros((num_slots, architecture.d_model), np.float32)
        self._inputs: dict[str, np.ndarray] = {
            names.INPUT_IDS: self._tokens,
            names.PAST_LENGTHS: self._past_lengths,
            names.SOURCE_LENGTHS: self._source_lengths,
        }
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
            inputs = self._encoder_inputs([sources[i] for i in group], padded_length)
            lengths = [len(sources[i]) for i in group]
            self.cache.encode(self._encoder, inputs, [slots[i] for i in group], lengths)
            for i in group:
                self._source_lengths[slots[i]] = len(sources[i])
                self._past_lengths[slots[i]] = 0

    def _encoder_inputs(self, sources: list[Sequence[int]], length: int) -> dict[str, np.ndarray]:
        input_ids = np.full((len(sources), length), self._pad_id, np.int64)  # (B, S)
        attention_mask = np.zeros((len(sources), length), np.int32)  # (B, S)
        for row, source in enumerate(sources):
            input_ids[row, : len(source)] = source
            attention_mask[row, : len(source)] = 1
        return {names.INPUT_IDS: input_ids, names.ATTENTION_MASK: attention_mask}

    def decode_step(self, tokens: Sequence[int]) -> FloatArray:
        """Feeds `tokens`, the last token of slots 0 .. n-1, and returns logits float32 (n, V).

        Every fed slot's past grows by one. The result is overwritten by the next step.
        """
        num_rows = len(tokens)
        self._tokens[:num_rows, 0] = tokens
        num_bound = self.cache.num_bound(num_rows)
        binding = self._bindings.get(num_bound)
        if binding is None:
            binding = self._bindings[num_bound] = self._bind(num_bound)
        self.cache.before_step(binding, self._inputs)
        self._decoder.run_with_iobinding(binding)
        self._past_lengths[:num_rows] += 1
        return self._logits[:num_rows]

    def _bind(self, num_rows: int) -> ort.IOBinding:
        """Binds the first `num_rows` slots; past and present are the same memory, so attention
        appends in place.
        """
        binding = self._decoder.io_binding()
        bind_inputs(binding, self._inputs, num_rows)
        self.cache.bind(binding, num_rows)
        outputs = {names.LOGITS: self._logits, names.CROSS_QUERIES: self._queries}
        bind_outputs(binding, outputs, num_rows)
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
