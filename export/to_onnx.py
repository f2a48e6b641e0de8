"""torch.onnx.export of encoder and decoder into one variant's folder; weights that both read are
stored once.
"""

from __future__ import annotations

import copy
import hashlib
import logging
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import onnx
import torch
from onnx import TensorProto
from torch import nn

from export.cache_graphs import export_cache_graphs
from export.graphs import DecoderGraph, EncoderGraph, Float32, LinearFactory
from export.quantize import RowWiseInt8
from server import package as names
from training.checkpoint import CheckpointError
from training.config import ModelConfig
from training.model import Transformer

OPSET = 21
INLINE_BYTES = 1024
"""Tensors up to this size stay inside the graph: shape arithmetic reads them while the graph is
loaded.
"""
ALIGNMENT = 64
"""Offset of each weight, in bytes: a cache line."""
HEAD_WIDTH_UNIT = 8
"""GroupQueryAttention refuses other head widths, but only when it runs."""

PRECISIONS: dict[str, LinearFactory] = {
    "cpu-fp32": Float32(),
    "cpu-int8": RowWiseInt8(),
    "cuda-fp16": Float32(),
}
"""How each variant multiplies."""
HALF_VARIANTS = ("cuda-fp16",)
"""Made of a copy of the model in fp16, norms and positions too; their caches live on the device."""


def export_variant(model: Transformer, variant: str, folder: Path) -> None:
    """Writes encoder, decoder and weights of `variant` into `folder`. Raises CheckpointError for a
    head width that ONNX Runtime's attention cannot compute.
    """
    d_head = model.config.d_model // model.config.num_heads
    if d_head % HEAD_WIDTH_UNIT:
        raise CheckpointError(
            f"model.d_model / model.num_heads is {d_head}: to be served, it must be a multiple of "
            f"{HEAD_WIDTH_UNIT}"
        )
    factory = PRECISIONS[variant]
    if variant in HALF_VARIANTS:
        model = copy.deepcopy(model).half()
    words = factory.word_table(model.embedding.words.weight.detach())
    encoder = _export_encoder(EncoderGraph(model, factory, words).eval(), model.config)
    decoder = _export_decoder(DecoderGraph(model, factory, words).eval(), model.config)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / names.WEIGHTS_FILE).write_bytes(_move_weights_out([encoder, decoder]))
    for file, graph in ((names.ENCODER_FILE, encoder), (names.DECODER_FILE, decoder)):
        (folder / file).write_bytes(graph.SerializeToString())
    if variant in HALF_VARIANTS:
        export_cache_graphs(model.config, folder)


def _export_encoder(graph: EncoderGraph, config: ModelConfig) -> onnx.ModelProto:
    ids = torch.ones(2, 16, dtype=torch.int64)
    dynamic = {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC}
    return _export(
        graph,
        (ids, ids.to(torch.int32)),
        (dynamic, dynamic),
        [names.INPUT_IDS, names.ATTENTION_MASK],
        names.cross_cache_names(config.num_decoder_layers),
    )


def _export_decoder(graph: DecoderGraph, config: ModelConfig) -> onnx.ModelProto:
    d_head = config.d_model // config.num_heads
    caches = [
        torch.zeros(2, config.num_heads, 8, d_head, dtype=graph.bias.dtype)
        for _ in range(4 * config.num_decoder_layers)
    ]
    # Two tensors: torch.export takes one tensor passed twice for one input.
    past_lengths, source_lengths = (
        torch.full((2,), length, dtype=torch.int32) for length in (3, 4)
    )
    rows = {0: torch.export.Dim.DYNAMIC}
    slots = {0: torch.export.Dim.DYNAMIC, 2: torch.export.Dim.DYNAMIC}
    return _export(
        graph,
        (torch.ones(2, 1, dtype=torch.int64), past_lengths, source_lengths, caches),
        (rows, rows, rows, [slots] * len(caches)),
        [
            names.INPUT_IDS,
            names.PAST_LENGTHS,
            names.SOURCE_LENGTHS,
            *names.cache_names(config.num_decoder_layers, "past_key_values"),
        ],
        [
            names.LOGITS,
            names.CROSS_QUERIES,
            *names.cache_names(config.num_decoder_layers, "present"),
        ],
    )


def _export(
    graph: nn.Module,
    arguments: tuple[Any, ...],
    dynamic_shapes: tuple[Any, ...],
    input_names: Sequence[str],
    output_names: Sequence[str],
) -> onnx.ModelProto:
    logging.getLogger("torch.onnx").setLevel(
        logging.ERROR
    )  # says that torchvision is not installed
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecations between torch's own parts
        program = torch.onnx.export(
            graph,
            arguments,
            dynamo=True,
            opset_version=OPSET,
            input_names=input_names,
            output_names=output_names,
            dynamic_shapes=dynamic_shapes,
            verbose=False,
        )
    assert program is not None
    proto: onnx.ModelProto = program.model_proto
    for node in proto.graph.node:
        del node.metadata_props[:]  # stack traces with paths of this machine
        node.doc_string = ""
    return proto


def _move_weights_out(graphs: Sequence[onnx.ModelProto]) -> bytes:
    """Moves the large tensors of `graphs` into one file's content, equal ones once, and points the
    graphs at it.
    """
    content = bytearray()
    offsets: dict[tuple[bytes, int], int] = {}
    for graph in graphs:
        for tensor in graph.graph.initializer:
            raw = onnx.numpy_helper.to_array(tensor).tobytes()
            if len(raw) <= INLINE_BYTES:
                continue
            key = (hashlib.sha256(raw).digest(), tensor.data_type)
            if key not in offsets:
                content.extend(b"\0" * (-len(content) % ALIGNMENT))
                offsets[key] = len(content)
                content.extend(raw)
            _point(tensor, offsets[key], len(raw))
    return bytes(content)


def _point(tensor: TensorProto, offset: int, length: int) -> None:
    """Makes `tensor` say that its data lies in the weights file."""
    for field in ("raw_data", "float_data", "int32_data", "int64_data"):
        tensor.ClearField(field)
    del tensor.external_data[:]
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (
        ("location", names.WEIGHTS_FILE),
        ("offset", str(offset)),
        ("length", str(length)),
    ):
        tensor.external_data.add(key=key, value=value)
