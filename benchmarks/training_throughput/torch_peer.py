"""The same Transformer as one builds it from torch.nn: its layers, its loss, batches in random
order.

It gets the best that torch.nn offers: the causal mask is announced, so that attention may take
PyTorch's fused kernel, and dropout is where ours is. torch.nn would also drop attention weights and
the feed-forward layer's inside, which is slower and another model.
"""

from __future__ import annotations

import math
import random

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from training.config import PAD_ID, ModelConfig
from training.examples import Example


class TorchTransformer(nn.Module):
    """Post-norm, tied embedding, sinusoidal positions: as many parameters as ours, and the same
    function of them.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.transformer = _stacks(config)
        self.words = nn.Embedding(config.vocabulary_size, config.d_model)
        nn.init.normal_(self.words.weight, std=config.d_model**-0.5)
        self.output = nn.Linear(config.d_model, config.vocabulary_size)
        nn.init.zeros_(self.output.bias)
        self.output.weight = self.words.weight
        self.dropout = nn.Dropout(config.dropout)
        self.register_buffer("positions", _positions(config.max_length, config.d_model))
        self.positions: Tensor

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        """Logits float (B, T, V) of `target` int64 (B, T) given `source` int64 (B, S)."""
        is_padding = source == PAD_ID  # (B, S)
        length = target.size(1)
        is_later = torch.ones(length, length, dtype=torch.bool, device=target.device).triu(1)
        decoded = self.transformer(
            self._embed(source),
            self._embed(target),
            tgt_mask=is_later,
            src_key_padding_mask=is_padding,
            memory_key_padding_mask=is_padding,
            tgt_is_causal=True,
        )  # (B, T, D)
        logits: Tensor = self.output(decoded)
        return logits

    def _embed(self, ids: Tensor) -> Tensor:
        scale = math.sqrt(self.words.embedding_dim)
        embedded = self.words(ids) * scale + self.positions[: ids.size(1)]  # (B, T, D)
        dropped: Tensor = self.dropout(embedded)
        return dropped


def _stacks(config: ModelConfig) -> nn.Transformer:
    """Without the norm that nn.Transformer adds even after post-norm layers."""
    d_model, heads, d_ff = config.d_model, config.num_heads, config.d_ff
    encoder = nn.TransformerEncoder(
        nn.TransformerEncoderLayer(d_model, heads, d_ff, config.dropout, batch_first=True),
        config.num_encoder_layers,
        enable_nested_tensor=False,
    )
    decoder = nn.TransformerDecoder(
        nn.TransformerDecoderLayer(d_model, heads, d_ff, config.dropout, batch_first=True),
        config.num_decoder_layers,
    )
    for module in (*encoder.modules(), *decoder.modules()):
        if isinstance(module, nn.MultiheadAttention):
            module.dropout = config.attention_dropout
        if isinstance(module, nn.TransformerEncoderLayer | nn.TransformerDecoderLayer):
            module.dropout = nn.Dropout(0.0)  # the one inside the feed-forward layer
    return nn.Transformer(
        d_model, heads, custom_encoder=encoder, custom_decoder=decoder, batch_first=True
    )


def _positions(max_length: int, d_model: int) -> Tensor:
    """Section 3.5 of Vaswani et al. 2017, float (max_length, D)."""
    position = torch.arange(max_length)[:, None]
    angle = position * torch.exp(torch.arange(0, d_model, 2) * (-math.log(10000.0) / d_model))
    return torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(1)


def smoothed_cross_entropy(logits: Tensor, target: Tensor, smoothing: float) -> Tensor:
    """PyTorch's own loss, scalar in nats a target token; `logits` (B, T, V), `target` (B, T)."""
    return F.cross_entropy(
        logits.flatten(0, 1), target.flatten(), ignore_index=PAD_ID, label_smoothing=smoothing
    )


def random_batches(
    examples: list[Example], batch_tokens: int, seed: int
) -> list[list[list[Example]]]:
    """One epoch in random order, cut where padding to the longest would pass `batch_tokens`: each
    batch is one group.
    """
    order = list(examples)
    random.Random(seed).shuffle(order)
    groups: list[list[Example]] = []
    longest = 0
    for example in order:
        longest = max(longest, example.length)
        if not groups or (len(groups[-1]) + 1) * longest > batch_tokens:
            groups.append([])
            longest = example.length
        groups[-1].append(example)
    return [[group] for group in groups]
