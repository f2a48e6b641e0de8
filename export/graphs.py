"""EncoderGraph and DecoderGraph: the trained Transformer as two functions of tensors, with no
Python state.

They read the weights of training's Transformer and emit ONNX Runtime's fused attention operators.
How a linear
layer is computed is the precision's business: a `LinearFactory` makes it. Dimension letters as in
training/model.py,
and N, the number of positions that a cache has room for.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from training.model import AddNorm, DecoderLayer, EncoderLayer, Transformer

MICROSOFT = "com.microsoft"
MASKED_SCORE = -1e4
"""Added to the score of padding in fp16: small enough that softmax gives it exactly 0."""


class WordTable(nn.Module):
    """The joint embedding matrix: rows for ids, and, where it is tied, the output projection."""

    def rows(self, ids: Tensor) -> Tensor:
        """Embeddings of `ids` int64 (B, T), float (B, T, D)."""
        raise NotImplementedError

    def logits(self, x: Tensor, bias: Tensor) -> Tensor:
        """`x` float (B, T, D) against every row, float (B, T, V)."""
        raise NotImplementedError


class LinearFactory(Protocol):
    """A precision: how weights are stored and multiplied."""

    def linear(self, weight: Tensor, bias: Tensor) -> nn.Module:
        """A module that maps float (..., in) to (..., out); `weight` float (out, in), `bias` float
        (out,).
        """
        ...

    def word_table(self, weight: Tensor) -> WordTable:
        """The embedding matrix `weight`, float (V, D)."""
        ...


class FloatLinear(nn.Module):
    """x W + b in fp32, the weight stored the way the multiplication reads it."""

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight.T.contiguous(), requires_grad=False)  # (in, out)
        self.bias = nn.Parameter(bias.clone(), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        """float (..., in) to (..., out)."""
        return x @ self.weight + self.bias


class FloatWordTable(WordTable):
    """Embedding and projection in fp32."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight.clone(), requires_grad=False)  # (V, D)

    def rows(self, ids: Tensor) -> Tensor:
        """See WordTable."""
        return F.embedding(ids, self.weight)

    def logits(self, x: Tensor, bias: Tensor) -> Tensor:
        """See WordTable. The transposition of a constant is folded when a session loads."""
        return x @ self.weight.T + bias


class Float32:
    """Weights and arithmetic in the type of the model's parameters: fp32, unless it was cast."""

    def linear(self, weight: Tensor, bias: Tensor) -> nn.Module:
        """See LinearFactory."""
        return FloatLinear(weight, bias)

    def word_table(self, weight: Tensor) -> WordTable:
        """See LinearFactory."""
        return FloatWordTable(weight)


def fuse(factory: LinearFactory, layers: Sequence[nn.Linear]) -> nn.Module:
    """One linear layer for several that read the same input; the outputs lie side by side."""
    weight = torch.cat([layer.weight for layer in layers])  # (sum of out, in)
    bias = torch.cat([layer.bias for layer in layers])
    return factory.linear(weight.detach(), bias.detach())


class _FeedForwardGraph(nn.Module):
    """activation(x W_1 + b_1) W_2 + b_2 inside its Add & Norm."""

    def __init__(self, layer: EncoderLayer | DecoderLayer, factory: LinearFactory) -> None:
        super().__init__()
        self.w_1 = fuse(factory, [layer.feed_forward.w_1])
        self.w_2 = fuse(factory, [layer.feed_forward.w_2])
        self.activation = layer.feed_forward.activation
        self.norm: AddNorm = layer.feed_forward_norm

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.activation(self.w_1(self.norm.before(x)))  # (B, T, F)
        projected: Tensor = self.w_2(hidden)  # (B, T, D)
        return self.norm.after(x, projected)


class _EncoderLayerGraph(nn.Module):
    def __init__(self, layer: EncoderLayer, factory: LinearFactory) -> None:
        super().__init__()
        attention = layer.self_attention
        self.num_heads = attention.num_heads
        self.w_qkv = fuse(factory, [attention.w_q, attention.w_k, attention.w_v])
        self.w_o = fuse(factory, [attention.w_o])
        self.norm: AddNorm = layer.self_attention_norm
        self.feed_forward = _FeedForwardGraph(layer, factory)

    def forward(self, x: Tensor, masks: Sequence[Tensor | None]) -> Tensor:
        query, key, value = self.w_qkv(self.norm.before(x)).chunk(3, dim=-1)  # each (B, S, D)
        heads = torch.onnx.ops.symbolic(
            f"{MICROSOFT}::MultiHeadAttention",
            (query, key, value, None, *masks),
            {"num_heads": self.num_heads},
            dtype=x.dtype,
            shape=x.shape,
            version=1,
        )  # (B, S, D)
        output: Tensor = self.feed_forward(self.norm.after(x, self.w_o(heads)))
        return output


class EncoderGraph(nn.Module):
    """Source ids to every decoder layer's cross-attention keys and values, projected once."""

    def __init__(self, model: Transformer, factory: LinearFactory, words: WordTable) -> None:
        super().__init__()
        self.words = words
        self.scale = math.sqrt(model.config.d_model)
        self.positions = model.embedding.positions
        self.layers = nn.ModuleList(_EncoderLayerGraph(layer, factory) for layer in _encoder(model))
        self.norm = model.encoder_norm
        self.num_heads = model.config.num_heads
        cross = [layer.cross_attention for layer in _decoder(model)]
        self.w_kv = fuse(
            factory, [w for attention in cross for w in (attention.w_k, attention.w_v)]
        )
        self.num_outputs = 2 * len(cross)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, ...]:
        """`input_ids` int64 (B, S); `attention_mask` int32 (B, S), 1 for a token, 0 for padding.

        Returns `present.{i}.encoder.key` and `.value` for each decoder layer, each float (B, H, S,
        K).
        """
        positions = torch.arange(input_ids.size(1))  # (S,)
        x = self.words.rows(input_ids) * self.scale + self.positions(positions)  # (B, S, D)
        masks = _masks(attention_mask, x.dtype)
        for layer in self.layers:
            x = layer(x, masks)
        projected = self.w_kv(self.norm(x)).chunk(self.num_outputs, dim=-1)  # each (B, S, D)
        return tuple(
            part.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)  # (B, H, S, K)
            for part in projected
        )


def _masks(attention_mask: Tensor, dtype: torch.dtype) -> tuple[Tensor | None, ...]:
    """Inputs of MultiHeadAttention from the fifth on: a padding mask int32 (B, S); in fp16 an
    attention bias (B, 1, S, S) instead.

    CUDA takes a 2-D padding mask to unfused kernels only; a bias goes to its memory-efficient
    attention where S is a multiple of 8, and the server pads to 16
    (onnxruntime/contrib_ops/cuda/bert/multihead_attention.cc, use_memory_efficient_attention).
    """
    if dtype != torch.float16:
        return (attention_mask,)
    batch, length = attention_mask.shape
    bias = ((1 - attention_mask) * MASKED_SCORE).to(dtype)  # (B, S)
    return None, bias[:, None, None].expand(batch, 1, length, length)


class _DecoderLayerGraph(nn.Module):
    def __init__(self, layer: DecoderLayer, factory: LinearFactory) -> None:
        super().__init__()
        own, cross = layer.self_attention, layer.cross_attention
        self.num_heads = own.num_heads
        self.w_qkv = fuse(factory, [own.w_q, own.w_k, own.w_v])
        self.self_w_o = fuse(factory, [own.w_o])
        self.self_norm: AddNorm = layer.self_attention_norm
        self.w_q = fuse(factory, [cross.w_q])
        self.cross_w_o = fuse(factory, [cross.w_o])
        self.cross_norm: AddNorm = layer.cross_attention_norm
        self.feed_forward = _FeedForwardGraph(layer, factory)

    def forward(
        self, x: Tensor, cache: Sequence[Tensor], own: _Lengths, source: _Lengths
    ) -> tuple[Tensor, Tensor, list[Tensor]]:
        packed = self.w_qkv(self.self_norm.before(x))  # (B, 1, 3 * D)
        heads, *self_cache = _cached_attention(self.num_heads, (packed, None, None), cache[:2], own)
        x = self.self_norm.after(x, self.self_w_o(heads))

        query = self.w_q(self.cross_norm.before(x))  # (B, 1, D)
        nothing_new = query[:, :0]  # (B, 0, D): the cache is read, nothing is appended
        new = (query, nothing_new, nothing_new)
        heads, *cross_cache = _cached_attention(self.num_heads, new, cache[2:], source)
        x = self.cross_norm.after(x, self.cross_w_o(heads))
        return self.feed_forward(x), query, [*self_cache, *cross_cache]


class _Lengths:
    """How far each row reads into its cache, in the form GroupQueryAttention asks for."""

    def __init__(self, last: Tensor, longest: Tensor) -> None:
        self.last = last
        """int32 (B,): the last position read, the new one counted."""
        self.longest = longest
        """int32, one element: how far any row reads, or an upper bound of it."""


def _longest(last: Tensor, cache: Tensor) -> Tensor:
    """What GroupQueryAttention takes for its total_sequence_length, int32, one element.

    In fp16 the cache's room, N: CUDA wants the number on the CPU, where a shape is already, and
    splits the keys by it, so that a row must not have it from its neighbours
    (onnxruntime/contrib_ops/cuda/bert/group_query_attention.cc, get_num_splits_and_buffer_sizes).
    """
    if cache.dtype != torch.float16:
        return (last.amax(dim=0) + 1).to(torch.int32)
    room = torch.onnx.ops.symbolic(
        "Shape", (cache,), {"start": 2, "end": 3}, dtype=torch.int64, shape=(1,)
    )
    return room.to(torch.int32)


def _cached_attention(
    num_heads: int,
    new: tuple[Tensor, Tensor | None, Tensor | None],
    cache: Sequence[Tensor],
    read: _Lengths,
) -> tuple[Tensor, ...]:
    """One query a row over its own part of `cache`; where past and present share memory, it appends
    in place.

    `new` is (query, key, value), or all three packed in the first. Returns the heads' output (B, 1,
    D), and
    the two caches (B, H, N, K).
    """
    key, value = cache
    batch, d_model = new[0].size(0), num_heads * key.size(3)
    outputs: Sequence[Tensor] = torch.onnx.ops.symbolic_multi_out(
        f"{MICROSOFT}::GroupQueryAttention",
        (*new, key, value, read.last, read.longest),
        {"num_heads": num_heads, "kv_num_heads": num_heads},
        dtypes=(key.dtype, key.dtype, key.dtype),
        shapes=((batch, 1, d_model), key.shape, value.shape),
        version=1,
    )
    return tuple(outputs)


class DecoderGraph(nn.Module):
    """One step for a batch of rows, each at its own position, over caches that it appends to.

    The same graph serves the first step (no past) and every later one.
    """

    def __init__(self, model: Transformer, factory: LinearFactory, words: WordTable) -> None:
        super().__init__()
        self.words = words
        self.scale = math.sqrt(model.config.d_model)
        self.positions = model.embedding.positions
        self.layers = nn.ModuleList(_DecoderLayerGraph(layer, factory) for layer in _decoder(model))
        self.norm = model.decoder_norm
        self.is_tied = model.config.tie_embeddings
        self.bias = nn.Parameter(model.output.bias.detach().clone(), requires_grad=False)
        self.output = None if self.is_tied else fuse(factory, [model.output])

    def forward(
        self, input_ids: Tensor, past_lengths: Tensor, source_lengths: Tensor, caches: list[Tensor]
    ) -> tuple[Tensor, ...]:
        """`input_ids` int64 (B, 1); `past_lengths` int32 (B,), positions in each row's cache;
        `source_lengths`
        int32 (B,); `caches` four a layer, self key, self value, cross key, cross value, each (B, H,
        N, K).

        Returns logits float (B, V), the last layer's cross-attention queries float (B, D), then the
        caches in the same order.
        """
        own = _Lengths(past_lengths, _longest(past_lengths, caches[0]))
        last_source = source_lengths - 1
        source = _Lengths(last_source, _longest(last_source, caches[2]))
        x = self.words.rows(input_ids) * self.scale + self.positions(
            past_lengths[:, None]
        )  # (B, 1, D)
        updated: list[Tensor] = []
        query = x
        for i, layer in enumerate(self.layers):
            x, query, cache = layer(x, caches[4 * i : 4 * i + 4], own, source)
            updated.extend(cache)
        x = self.norm(x)  # (B, 1, D)
        logits = (
            self.words.logits(x, self.bias) if self.output is None else self.output(x)
        )  # (B, 1, V)
        return _to_fp32(logits[:, 0]), _to_fp32(query[:, 0]), *updated


def _to_fp32(x: Tensor) -> Tensor:
    """The server works on fp32, whatever the graph did."""
    return x if x.dtype == torch.float32 else x.to(torch.float32)


def _encoder(model: Transformer) -> list[EncoderLayer]:
    return [layer for layer in model.encoder_layers if isinstance(layer, EncoderLayer)]


def _decoder(model: Transformer) -> list[DecoderLayer]:
    return [layer for layer in model.decoder_layers if isinstance(layer, DecoderLayer)]
