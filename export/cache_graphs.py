"""What the server does to caches that live on a device, as three small graphs: store what the
encoder projected, give rows to other rows, and say what a row attends to. No weights.

They work on all layers' keys and values in one tensor `cache`, fp16 (C, N, H, P, K): C = 2 * L,
N slots, P positions. Where input and output are bound to the same memory, ScatterND writes in
place: onnxruntime/core/providers/cuda/tensor/scatter_nd.cc copies its input only if the pointers
differ.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, ValueInfoProto, helper, numpy_helper

from server import package as names
from training.config import ModelConfig

OPSET = 21
IR_VERSION = 10
UPDATED = names.UPDATED_CACHE
HALF, FLOAT, INT64 = TensorProto.FLOAT16, TensorProto.FLOAT, TensorProto.INT64


def export_cache_graphs(config: ModelConfig, folder: Path) -> None:
    """Writes the three graphs into `folder`."""
    d_head = config.d_model // config.num_heads
    graphs = {
        names.WRITE_CROSS_FILE: _write_cross(config.num_decoder_layers, config.num_heads, d_head),
        names.COPY_ROWS_FILE: _copy_rows(config.num_decoder_layers, config.num_heads, d_head),
        names.ALIGN_FILE: _align(config.num_heads, d_head),
    }
    for file, graph in graphs.items():
        (folder / file).write_bytes(graph.SerializeToString())


def _write_cross(num_layers: int, num_heads: int, d_head: int) -> onnx.ModelProto:
    """Stores the encoder's outputs, each (B, H, S, K), in the slots that `targets` int64 (C, B, 2)
    names by cache and slot; `pads` int64 (10,) fill S up to P.
    """
    outputs = names.cross_cache_names(num_layers)
    nodes = [
        *(helper.make_node("Unsqueeze", [name, "first"], [f"{name}.row"]) for name in outputs),
        helper.make_node("Concat", [f"{name}.row" for name in outputs], ["projected"], axis=0),
        helper.make_node("Pad", ["projected", names.PADS], ["padded"]),  # (C, B, H, P, K)
        helper.make_node("ScatterND", [names.CACHE, names.TARGETS, "padded"], [UPDATED]),
    ]
    cache = _cache(2 * num_layers, num_heads, d_head)
    inputs = [
        cache,
        helper.make_tensor_value_info(names.TARGETS, INT64, [2 * num_layers, "B", 2]),
        helper.make_tensor_value_info(names.PADS, INT64, [10]),
        *(
            helper.make_tensor_value_info(name, HALF, ["B", num_heads, "S", d_head])
            for name in outputs
        ),
    ]
    return _model(names.WRITE_CROSS_FILE, nodes, inputs, [cache], {"first": np.array([0])})


def _copy_rows(num_layers: int, num_heads: int, d_head: int) -> onnx.ModelProto:
    """Gives the rows `targets` int64 (R, 2), by cache and slot, what the rows `sources` held: all
    are read before one is written.
    """
    nodes = [
        helper.make_node("GatherND", [names.CACHE, names.SOURCES], ["rows"]),  # (R, H, P, K)
        helper.make_node("ScatterND", [names.CACHE, names.TARGETS, "rows"], [UPDATED]),
    ]
    cache = _cache(2 * num_layers, num_heads, d_head)
    pairs = (
        helper.make_tensor_value_info(name, INT64, ["R", 2])
        for name in (names.SOURCES, names.TARGETS)
    )
    return _model(names.COPY_ROWS_FILE, nodes, [cache, *pairs], [cache], {})


def _align(num_heads: int, d_head: int) -> onnx.ModelProto:
    """softmax(q K^T / sqrt(K)) of one row's `query` fp32 (H * K) over the first `length` int64 (1,)
    of its `keys` fp16 (1, H, P, K), the mean over the heads: `attention` fp32 (S,).
    """
    nodes = [
        helper.make_node("Slice", [names.KEYS, "zero", names.LENGTH, "two"], ["read"]),
        helper.make_node("Cast", ["read"], ["read_fp32"], to=FLOAT),
        helper.make_node("Squeeze", ["read_fp32", "zero"], ["rows"]),  # (H, S, K)
        helper.make_node("Reshape", [names.QUERY, "column"], ["heads"]),  # (H, K, 1)
        helper.make_node("Mul", ["heads", "scale"], ["scaled"]),
        helper.make_node("MatMul", ["rows", "scaled"], ["scores"]),  # (H, S, 1)
        helper.make_node("Softmax", ["scores"], ["weights"], axis=1),
        helper.make_node("ReduceMean", ["weights", "zero_two"], [names.ATTENTION], keepdims=0),
    ]
    inputs = [
        helper.make_tensor_value_info(names.KEYS, HALF, [1, num_heads, "P", d_head]),
        helper.make_tensor_value_info(names.QUERY, FLOAT, [num_heads * d_head]),
        helper.make_tensor_value_info(names.LENGTH, INT64, [1]),
    ]
    outputs = [helper.make_tensor_value_info(names.ATTENTION, FLOAT, ["S"])]
    constants = {
        "zero": np.array([0]),
        "two": np.array([2]),
        "zero_two": np.array([0, 2]),
        "column": np.array([num_heads, d_head, 1]),
        "scale": np.array(1 / math.sqrt(d_head), np.float32),
    }
    return _model(names.ALIGN_FILE, nodes, inputs, outputs, constants)


def _cache(num_caches: int, num_heads: int, d_head: int) -> ValueInfoProto:
    return helper.make_tensor_value_info(
        names.CACHE, HALF, [num_caches, "N", num_heads, "P", d_head]
    )


def _model(
    name: str,
    nodes: Sequence[onnx.NodeProto],
    inputs: Sequence[ValueInfoProto],
    outputs: Sequence[ValueInfoProto],
    constants: dict[str, np.ndarray],
) -> onnx.ModelProto:
    """An output that is the cache has a name of its own."""
    renamed = [ValueInfoProto.FromString(output.SerializeToString()) for output in outputs]
    for output in renamed:
        output.name = UPDATED if output.name == names.CACHE else output.name
    initializers = [numpy_helper.from_array(value, key) for key, value in constants.items()]
    graph = helper.make_graph(nodes, name, inputs, renamed, initializers)
    opset = helper.make_opsetid("", OPSET)
    model = helper.make_model(graph, opset_imports=[opset], ir_version=IR_VERSION)
    onnx.checker.check_model(model)
    return model
