"""The caches of HostCache on a device, which they never leave: what is done to them is done there,
by small graphs of the package. Dimension letters as in kv_cache.py, and C = 2 * L caches.

A device's kernels are chosen by shape, and another kernel may add in another order. So shapes are
always the same: a step decodes all N slots, whoever is in them, and the encoder gets batches of one
size. Then a row's bits do not depend on how many neighbours it has.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnxruntime as ort

from server import package as names
from server.package import Architecture
from server.runtime.binding import bind_inputs
from server.runtime.kv_cache import FloatArray

ENCODER_ROWS = 16
"""Sources in each batch of the encoder; missing ones are repetitions of the first."""


@dataclass(frozen=True)
class CacheGraphs:
    """What is done to caches on a device, as sessions there; see export/cache_graphs.py."""

    write_cross: ort.InferenceSession
    copy_rows: ort.InferenceSession
    align: ort.InferenceSession
    device: str
    """`cuda`; `cpu` in tests."""


class _Tensor:
    """fp16 (C, N, H, P, K) on a device, zeros at first: a kernel that multiplies what it masks must
    not meet a NaN.
    """

    def __init__(self, shape: tuple[int, ...], device: str) -> None:
        self.shape = shape
        self._device = device
        self.value = ort.OrtValue.ortvalue_from_numpy(np.zeros(shape, np.float16), device, 0)
        """Shared with no one else; its address never changes."""
        self.num_bytes = 2 * int(np.prod(shape))

    def place(self, cache: int, slot: int, num_rows: int) -> tuple[object, ...]:
        """What IOBinding takes after the name, for `num_rows` rows of `cache` from `slot` on:
        (num_rows, H, P, K).
        """
        row_bytes = self.num_bytes // (self.shape[0] * self.shape[1])
        address = self.value.data_ptr() + (cache * self.shape[1] + slot) * row_bytes
        return self._device, 0, np.float16, (num_rows, *self.shape[2:]), address

    def bind_in_place(self, binding: ort.IOBinding) -> None:
        """Binds all of it as input and output of a graph that updates it."""
        place = (self._device, 0, np.float16, self.shape, self.value.data_ptr())
        binding.bind_input(names.CACHE, *place)
        binding.bind_output(names.UPDATED_CACHE, *place)


class _Copies:
    """Copies between slots that are yet to be done, all at once: for each target the slot that
    holds now what the target is to have.
    """

    def __init__(self) -> None:
        self._origins: dict[int, int] = {}

    def add(self, source: int, target: int) -> None:
        """One more copy, after all that were added before."""
        self._origins[target] = self._origins.get(source, source)

    def take(self) -> tuple[list[int], list[int]]:
        """Sources and targets of what is to be done; nothing is left to do."""
        moved = {target: origin for target, origin in self._origins.items() if target != origin}
        self._origins.clear()
        return list(moved.values()), list(moved)


class DeviceCache:
    """What HostCache is, over memory of a device.

    Every run of a session ends when the device has done it
    (disable_synchronize_execution_providers is 0 unless it is set:
    onnxruntime_run_options_config_keys.h), so that sessions may share memory.
    """

    def __init__(self, architecture: Architecture, num_slots: int, graphs: CacheGraphs) -> None:
        num_layers = architecture.num_decoder_layers
        shape = (
            2 * num_layers,
            num_slots,
            architecture.num_heads,
            architecture.max_length,
            architecture.d_head,
        )
        self.num_slots = num_slots
        self._num_layers = num_layers
        self._graphs = graphs
        self._self, self._cross = (_Tensor(shape, graphs.device) for _ in range(2))
        self._self_copies, self._cross_copies = _Copies(), _Copies()
        self._past_lengths = np.zeros(num_slots, np.int32)

    @property
    def num_bytes(self) -> int:
        """Bytes of all caches."""
        return self._self.num_bytes + self._cross.num_bytes

    def num_bound(self, num_rows: int) -> int:
        """All slots, whatever `num_rows`."""
        return self.num_slots

    def bind(self, binding: ort.IOBinding, num_rows: int) -> None:
        """See HostCache."""
        for prefix, bind in (
            ("past_key_values", binding.bind_input),
            ("present", binding.bind_output),
        ):
            cache_names = iter(names.cache_names(self._num_layers, prefix))
            for i in range(0, 2 * self._num_layers, 2):
                for tensor, cache in (
                    (self._self, i),
                    (self._self, i + 1),
                    (self._cross, i),
                    (self._cross, i + 1),
                ):
                    bind(next(cache_names), *tensor.place(cache, 0, num_rows))

    def before_step(self, binding: ort.IOBinding, inputs: Mapping[str, np.ndarray]) -> None:
        """Does the copies that were asked for, and hands over what `inputs` hold now: a device sees
        a bound array of the host as it was when it was bound (microsoft/onnxruntime#5857).
        """
        self._copy_rows()
        # A slot that is not fed writes what nobody reads where its next token will, or at its end.
        np.minimum(inputs[names.PAST_LENGTHS], self._self.shape[3] - 1, out=self._past_lengths)
        bind_inputs(binding, {**inputs, names.PAST_LENGTHS: self._past_lengths}, self.num_slots)
        binding.synchronize_inputs()

    def encode(
        self,
        encoder: ort.InferenceSession,
        inputs: dict[str, np.ndarray],
        slots: Sequence[int],
        lengths: Sequence[int],
    ) -> None:
        """See HostCache; `lengths` are the attention's business here."""
        self._copy_rows()
        for start in range(0, len(slots), ENCODER_ROWS):
            rows = list(range(start, min(start + ENCODER_ROWS, len(slots))))
            rows += [start] * (ENCODER_ROWS - len(rows))
            batch = {name: array[rows] for name, array in inputs.items()}
            self._write_cross(self._project(encoder, batch), [slots[row] for row in rows])

    def _project(
        self, encoder: ort.InferenceSession, inputs: dict[str, np.ndarray]
    ) -> list[ort.OrtValue]:
        """The encoder's outputs, each fp16 (B, H, S, K), on the device."""
        binding = encoder.io_binding()
        bind_inputs(binding, inputs, ENCODER_ROWS)
        for name in names.cross_cache_names(self._num_layers):
            binding.bind_output(name, self._graphs.device, 0)
        binding.synchronize_inputs()
        encoder.run_with_iobinding(binding)
        outputs: list[ort.OrtValue] = binding.get_outputs()
        return outputs

    def _write_cross(self, projected: Sequence[ort.OrtValue], slots: Sequence[int]) -> None:
        pads = np.zeros(10, np.int64)  # of (C, B, H, S, K): before each dimension, then after
        pads[8] = self._cross.shape[3] - projected[0].shape()[2]
        targets = _pairs(2 * self._num_layers, slots).reshape(-1, len(slots), 2)  # (C, B, 2)
        binding = self._graphs.write_cross.io_binding()
        for name, value in zip(names.cross_cache_names(self._num_layers), projected, strict=True):
            binding.bind_ortvalue_input(name, value)
        self._update(self._graphs.write_cross, binding, self._cross, targets, {names.PADS: pads})

    def copy_self(self, source: int, target: int, length: int) -> None:
        """Copies self-attention of one slot to another, before the next step."""
        self._self_copies.add(source, target)

    def copy_cross(self, source: int, target: int, length: int) -> None:
        """Copies cross-attention of one slot to another, before the next step."""
        self._cross_copies.add(source, target)

    def _copy_rows(self) -> None:
        graph = self._graphs.copy_rows
        for tensor, copies in ((self._self, self._self_copies), (self._cross, self._cross_copies)):
            sources, targets = (_pairs(tensor.shape[0], slots) for slots in copies.take())
            if len(sources):
                inputs = {names.SOURCES: sources}
                self._update(graph, graph.io_binding(), tensor, targets, inputs)

    def _update(
        self,
        graph: ort.InferenceSession,
        binding: ort.IOBinding,
        tensor: _Tensor,
        targets: np.ndarray,
        inputs: dict[str, np.ndarray],
    ) -> None:
        """Runs `graph` over `tensor` in place."""
        for name, array in (*inputs.items(), (names.TARGETS, targets)):
            bind_inputs(binding, {name: array}, len(array))
        tensor.bind_in_place(binding)
        binding.synchronize_inputs()
        graph.run_with_iobinding(binding)

    def attention(self, slot: int, query: FloatArray, length: int) -> FloatArray:
        """See HostCache: computed on the device."""
        self._copy_rows()
        graph = self._graphs.align
        binding = graph.io_binding()
        last_keys = self._cross.place(2 * self._num_layers - 2, slot, num_rows=1)
        binding.bind_input(names.KEYS, *last_keys)
        lengths = np.array([length])  # bound by address: it must live until the run is over
        bind_inputs(binding, {names.QUERY: query}, len(query))
        bind_inputs(binding, {names.LENGTH: lengths}, 1)
        binding.bind_output(names.ATTENTION, "cpu", 0)
        binding.synchronize_inputs()
        graph.run_with_iobinding(binding)
        weights: FloatArray = binding.get_outputs()[0].numpy()
        return weights


def _pairs(num_caches: int, slots: Sequence[int]) -> np.ndarray:
    """(cache, slot) for each of `slots` in every cache, int64 (num_caches * len(slots), 2)."""
    caches = np.repeat(np.arange(num_caches), len(slots))
    return np.stack([caches, np.tile(np.asarray(slots, np.int64), num_caches)], axis=1)
