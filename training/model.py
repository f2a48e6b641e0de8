"""The Transformer of "Attention Is All You Need" (Vaswani et al. 2017), in reading order.

Dimension letters used in every shape comment: B batch, S source length, T target length, P past
length, H heads, D model width, K head width (D = H * K), F feed-forward width, L layers, V
vocabulary.

Masks are boolean and True where attention is allowed. This module knows nothing of text, files or
training.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from training.config import ModelConfig
from training.dropout import Dropout

MASKED_SCORE = -1e9
"""Takes the place of a masked score: small enough that softmax gives it exactly 0, finite so that
no row is NaN. For fp32 and bf16; fp16 has no such number.
"""

QKV_GAIN = 1 / math.sqrt(2)
"""Of Xavier's rule for queries, keys and values, as for one matrix of (3 D, D): faster at first."""


class PositionalEncoding(nn.Module):
    """Sinusoidal positions by formula (section 3.5), no parameters.

    PE[p, 2i] = sin(p / 10000^(2i/D)), PE[p, 2i+1] = cos(p / 10000^(2i/D)).
    """

    def __init__(self, max_length: int, d_model: int) -> None:
        super().__init__()
        position = torch.arange(max_length, dtype=torch.float64)[:, None]  # (max_length, 1)
        even = torch.arange(0, d_model, 2, dtype=torch.float64)  # (D/2,)
        angle = position * torch.exp(-math.log(10000.0) * even / d_model)  # (max_length, D/2)
        table = torch.zeros(max_length, d_model, dtype=torch.float64)
        table[:, 0::2] = torch.sin(angle)
        table[:, 1::2] = torch.cos(angle)
        self.register_buffer("table", table.float(), persistent=False)
        self.table: Tensor

    def forward(self, positions: Tensor) -> Tensor:
        """Encodings of `positions`, int64 of any shape, as float (*positions.shape, D)."""
        return F.embedding(positions, self.table)


class LearnedPositionalEncoding(nn.Module):
    """One learned vector a position (section 3.5's alternative)."""

    def __init__(self, max_length: int, d_model: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(max_length, d_model)
        nn.init.normal_(self.embedding.weight, std=0.02)

    def forward(self, positions: Tensor) -> Tensor:
        """Encodings of `positions`, int64 of any shape, as float (*positions.shape, D)."""
        encoded: Tensor = self.embedding(positions)
        return encoded


class Embedding(nn.Module):
    """Word embedding times sqrt(D), plus positions, then dropout (sections 3.4, 3.5, 5.4)."""

    def __init__(self, config: ModelConfig, words: nn.Embedding) -> None:
        super().__init__()
        self.words = words
        self.scale = math.sqrt(config.d_model)
        positions = {"sinusoidal": PositionalEncoding, "learned": LearnedPositionalEncoding}
        self.positions = positions[config.positions](config.max_length, config.d_model)
        self.dropout = Dropout(config.dropout)

    def forward(self, ids: Tensor, positions: Tensor) -> Tensor:
        """`ids` int64 (B, T) at `positions` int64 (B, T) or (T,), to float (B, T, D)."""
        embedded = self.words(ids) * self.scale + self.positions(positions)  # (B, T, D)
        dropped: Tensor = self.dropout(embedded)
        return dropped


def scaled_dot_product_attention(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor, dropout: nn.Module
) -> Tensor:
    """softmax(Q K^T / sqrt(K)) V (section 3.2.1).

    `query` float (B, H, T, K); `key` and `value` float (B, H, S, K); `mask` bool, broadcast to
    (B, H, T, S), True where attention is allowed. Returns float (B, H, T, K).
    """
    scores = query @ key.transpose(-2, -1) / math.sqrt(query.size(-1))  # (B, H, T, S)
    scores = scores.masked_fill(~mask, MASKED_SCORE)  # (B, H, T, S)
    weights = dropout(torch.softmax(scores, dim=-1))  # (B, H, T, S)
    attended: Tensor = weights @ value  # (B, H, T, K)
    return attended


class MultiHeadAttention(nn.Module):
    """H attentions side by side, concatenated and projected by W_O (section 3.2.2)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.num_heads = config.num_heads
        self.d_head = config.d_model // config.num_heads
        self.w_q = nn.Linear(config.d_model, config.d_model)
        self.w_k = nn.Linear(config.d_model, config.d_model)
        self.w_v = nn.Linear(config.d_model, config.d_model)
        self.w_o = nn.Linear(config.d_model, config.d_model)
        self.dropout = Dropout(config.attention_dropout)

    def split_heads(self, x: Tensor) -> Tensor:
        """(B, T, D) to (B, H, T, K)."""
        return x.view(*x.shape[:-1], self.num_heads, self.d_head).transpose(1, 2)  # (B, H, T, K)

    def project_key_value(self, memory: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values of `memory` float (B, S, D), each (B, H, S, K)."""
        return self.split_heads(self.w_k(memory)), self.split_heads(self.w_v(memory))

    def attend(self, x: Tensor, key: Tensor, value: Tensor, mask: Tensor) -> Tensor:
        """Queries of `x` (B, T, D) over `key`, `value` (B, H, S, K) under `mask`; (B, T, D)."""
        query = self.split_heads(self.w_q(x))  # (B, H, T, K)
        heads = scaled_dot_product_attention(query, key, value, mask, self.dropout)  # (B, H, T, K)
        concatenated = heads.transpose(1, 2).flatten(2)  # (B, T, D)
        projected: Tensor = self.w_o(concatenated)
        return projected

    def forward(self, x: Tensor, memory: Tensor, mask: Tensor) -> Tensor:
        """Queries from `x` (B, T, D), keys and values from `memory` (B, S, D); float (B, T, D)."""
        key, value = self.project_key_value(memory)
        return self.attend(x, key, value, mask)


ACTIVATIONS = {"relu": torch.relu, "gelu": F.gelu, "swish": F.silu}
"""Gelu: Hendrycks and Gimpel 2016, x Phi(x). Swish: Ramachandran et al. 2017, x sigmoid(x)."""


class FeedForward(nn.Module):
    """Position-wise: max(0, x W_1 + b_1) W_2 + b_2 (section 3.3), or with another activation."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.activation = ACTIVATIONS[config.activation]
        self.w_1 = nn.Linear(config.d_model, config.d_ff)
        self.w_2 = nn.Linear(config.d_ff, config.d_model)

    def forward(self, x: Tensor) -> Tensor:
        """`x` float (B, T, D), to float (B, T, D)."""
        hidden = self.activation(self.w_1(x))  # (B, T, F)
        projected: Tensor = self.w_2(hidden)  # (B, T, D)
        return projected


class AddNorm(nn.Module):
    """The residual connection around a sublayer, and its normalisation (sections 3.1, 5.4).

    Post-norm, as in the paper: LayerNorm(x + Dropout(Sublayer(x))).
    Pre-norm (Xiong et al. 2020): x + Dropout(Sublayer(LayerNorm(x))).
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.is_pre_norm = config.norm == "pre"
        self.norm = nn.LayerNorm(config.d_model)
        self.dropout = Dropout(config.dropout)

    def before(self, x: Tensor) -> Tensor:
        """What the sublayer reads: (B, T, D) to (B, T, D)."""
        return self.norm(x) if self.is_pre_norm else x

    def after(self, x: Tensor, sublayer_output: Tensor) -> Tensor:
        """Joins the sublayer's output to its input `x`, both (B, T, D)."""
        added: Tensor = x + self.dropout(sublayer_output)  # (B, T, D)
        return added if self.is_pre_norm else self.norm(added)


class EncoderLayer(nn.Module):
    """Self-attention, then feed-forward, each inside Add & Norm (section 3.1)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.self_attention = MultiHeadAttention(config)
        self.self_attention_norm = AddNorm(config)
        self.feed_forward = FeedForward(config)
        self.feed_forward_norm = AddNorm(config)

    def forward(self, x: Tensor, source_mask: Tensor) -> Tensor:
        """`x` float (B, S, D), `source_mask` bool (B, 1, 1, S); float (B, S, D)."""
        y = self.self_attention_norm.before(x)
        x = self.self_attention_norm.after(x, self.self_attention(y, y, source_mask))
        y = self.feed_forward_norm.before(x)
        return self.feed_forward_norm.after(x, self.feed_forward(y))


@dataclass(frozen=True)
class LayerCache:
    """Keys and values of one decoder layer, each float (B, H, length, K).

    `self_*` grow by one position a step (length P); `cross_*` are projected once from the encoder's
    output (length S).
    """

    self_key: Tensor
    self_value: Tensor
    cross_key: Tensor
    cross_value: Tensor


class DecoderLayer(nn.Module):
    """Masked self-attention, cross-attention, feed-forward, each in Add & Norm (section 3.1)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.self_attention = MultiHeadAttention(config)
        self.self_attention_norm = AddNorm(config)
        self.cross_attention = MultiHeadAttention(config)
        self.cross_attention_norm = AddNorm(config)
        self.feed_forward = FeedForward(config)
        self.feed_forward_norm = AddNorm(config)

    def forward(
        self, x: Tensor, cache: LayerCache, target_mask: Tensor, source_mask: Tensor
    ) -> tuple[Tensor, LayerCache]:
        """New positions `x` float (B, T, D) after the P positions that `cache` holds.

        `target_mask` bool, broadcast to (B, H, T, P + T); `source_mask` bool (B, 1, 1, S).
        Returns float (B, T, D) and the cache with the new positions appended. An empty cache
        (P = 0) is the full, uncached computation.
        """
        y = self.self_attention_norm.before(x)
        new_key, new_value = self.self_attention.project_key_value(y)
        key = torch.cat([cache.self_key, new_key], dim=2)  # (B, H, P + T, K)
        value = torch.cat([cache.self_value, new_value], dim=2)  # (B, H, P + T, K)
        attended = self.self_attention.attend(y, key, value, target_mask)
        x = self.self_attention_norm.after(x, attended)

        # Encoder-decoder attention: queries from here, keys and values from the encoder's output.
        y = self.cross_attention_norm.before(x)
        attended = self.cross_attention.attend(y, cache.cross_key, cache.cross_value, source_mask)
        x = self.cross_attention_norm.after(x, attended)

        y = self.feed_forward_norm.before(x)
        x = self.feed_forward_norm.after(x, self.feed_forward(y))
        return x, LayerCache(key, value, cache.cross_key, cache.cross_value)


class Transformer(nn.Module):
    """Encoder and decoder over one joint vocabulary, with a final projection to logits.

    Softmax is left to whoever needs probabilities: the loss and the searches work on logits.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        words = nn.Embedding(config.vocabulary_size, config.d_model)
        nn.init.normal_(words.weight, std=config.d_model**-0.5)
        self.embedding = Embedding(config, words)
        self.encoder_layers = nn.ModuleList(
            EncoderLayer(config) for _ in range(config.num_encoder_layers)
        )
        self.decoder_layers = nn.ModuleList(
            DecoderLayer(config) for _ in range(config.num_decoder_layers)
        )
        # Post-norm layers end in a norm already; pre-norm stacks need one of their own.
        final = nn.LayerNorm if config.norm == "pre" else _identity
        self.encoder_norm: nn.Module = final(config.d_model)
        self.decoder_norm: nn.Module = final(config.d_model)
        self.output = nn.Linear(config.d_model, config.vocabulary_size)
        nn.init.zeros_(self.output.bias)
        if config.tie_embeddings:
            self.output.weight = words.weight
        else:
            nn.init.xavier_uniform_(self.output.weight)
        self._initialise_layers()

    def _initialise_layers(self) -> None:
        for layer in [*self.encoder_layers, *self.decoder_layers]:
            for name, parameter in layer.named_parameters():
                if parameter.dim() > 1:
                    is_qkv = name.endswith(("w_q.weight", "w_k.weight", "w_v.weight"))
                    nn.init.xavier_uniform_(parameter, QKV_GAIN if is_qkv else 1.0)
                elif name.endswith("bias"):
                    nn.init.zeros_(parameter)

    def encode(self, source: Tensor, source_mask: Tensor) -> Tensor:
        """Memory (B, S, D) of `source` int64 (B, S) under `source_mask` bool (B, 1, 1, S)."""
        x = self.embedding(source, torch.arange(source.size(1), device=source.device))
        for layer in self.encoder_layers:
            x = layer(x, source_mask)
        memory: Tensor = self.encoder_norm(x)
        return memory

    def start_cache(self, memory: Tensor) -> list[LayerCache]:
        """One cache a decoder layer: no past (P = 0), cross keys and values projected from `memory`
        (B, S, D).
        """
        empty = memory.new_zeros(
            memory.size(0), self.config.num_heads, 0, self.config.d_model // self.config.num_heads
        )  # (B, H, 0, K)
        return [
            LayerCache(empty, empty, *layer.cross_attention.project_key_value(memory))
            for layer in cast("Iterable[DecoderLayer]", self.decoder_layers)
        ]

    def decode_step(
        self, target: Tensor, caches: list[LayerCache], source_mask: Tensor
    ) -> tuple[Tensor, list[LayerCache]]:
        """Logits of the new positions `target` int64 (B, T), and the caches with them appended.

        `caches` hold P earlier positions; `source_mask` is bool (B, 1, 1, S). Returns float
        (B, T, V): row t is the distribution of the token after target[:, t].
        """
        past = caches[0].self_key.size(2)
        positions = torch.arange(past, past + target.size(1), device=target.device)  # (T,)
        keys = torch.arange(past + target.size(1), device=target.device)  # (P + T,)
        target_mask = keys <= positions[:, None]  # (T, P + T): no position sees a later one
        x = self.embedding(target, positions)
        updated = []
        for layer, cache in zip(self.decoder_layers, caches, strict=True):
            x, cache = layer(x, cache, target_mask, source_mask)
            updated.append(cache)
        logits: Tensor = self.output(self.decoder_norm(x))  # (B, T, V)
        return logits, updated

    def decode(self, target: Tensor, memory: Tensor, source_mask: Tensor) -> Tensor:
        """Logits float (B, T, V) of the whole `target` int64 (B, T) at once, without a cache.

        `memory` float (B, S, D), `source_mask` bool (B, 1, 1, S).
        """
        logits, _ = self.decode_step(target, self.start_cache(memory), source_mask)
        return logits

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        """Logits float (B, T, V) of `target` int64 (B, T) given `source` int64 (B, S); padding is
        masked.
        """
        source_mask = self.padding_mask(source)
        return self.decode(target, self.encode(source, source_mask), source_mask)

    def padding_mask(self, ids: Tensor) -> Tensor:
        """True where `ids` int64 (B, S) is no padding; bool (B, 1, 1, S)."""
        return (ids != self.config.pad_id)[:, None, None, :]


def _identity(_d_model: int) -> nn.Module:
    return nn.Identity()
