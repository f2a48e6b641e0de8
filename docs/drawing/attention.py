"""Measures the attention of a trained Transformer: its scores, its heads, its masks, what the
decoder reads of the source, and how far all of it looks.

Results are numbers and tensors; how they are written or drawn is decided elsewhere.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from functools import cache
from typing import cast

import torch
from torch import Tensor

from docs.drawing.inputs import memory_of
from docs.drawing.sample import Sample, pad
from training.attention import attention_maps
from training.model import EncoderLayer

MAX_OFFSET = 8
"""Figures show weights up to so many positions to either side."""


@cache
@torch.inference_mode()
def encoder_products(sample: Sample) -> list[Tensor]:
    """Q K^T of every encoder head before it is divided, one float (L, H, S, S) a sentence."""
    return [_products(sample, pair.source) for pair in sample.pairs]


def _products(sample: Sample, source: list[int]) -> Tensor:
    seen: list[Tensor] = []
    layers = cast("Iterable[EncoderLayer]", sample.model.encoder_layers)
    attentions = [layer.self_attention for layer in layers]
    hooks = [
        projection.register_forward_hook(
            lambda _module, _inputs, output, split=attention.split_heads: seen.append(split(output))
        )
        for attention in attentions
        for projection in (attention.w_q, attention.w_k)
    ]
    try:
        memory_of(sample, torch.tensor([source]))
    finally:
        for hook in hooks:
            hook.remove()
    queries, keys = torch.cat(seen[0::2]), torch.cat(seen[1::2])  # each (L, H, S, K)
    products: Tensor = queries @ keys.transpose(-2, -1)  # (L, H, S, S)
    return products


def over_rows(statistic: Callable[[Tensor], Tensor], weights: list[Tensor]) -> float:
    """Mean of `statistic` over all rows (the last dimension) of all `weights`."""
    return float(torch.cat([statistic(w).flatten() for w in weights]).mean())


def entropy(weights: Tensor) -> Tensor:
    """Of distributions along the last dimension, in nats."""
    entropies: Tensor = -torch.special.xlogy(weights, weights).sum(-1)
    return entropies


def head_entropies(sample: Sample) -> Tensor:
    """Mean entropy of each encoder head's rows, float (L, H), in nats."""
    rows = [entropy(pair.maps.encoder) for pair in sample.pairs]  # each (L, H, S)
    return torch.cat(rows, dim=-1).mean(-1)


def head_differences(sample: Sample) -> float:
    """Mean share of the weight that two heads of one encoder layer place differently."""
    distances = []
    for pair in sample.pairs:
        for first, second in itertools.combinations(pair.maps.encoder.unbind(1), 2):
            distances.append(0.5 * (first - second).abs().sum(-1).flatten())  # (L * S,)
    return float(torch.cat(distances).mean())


@torch.inference_mode()
def padding_effect(sample: Sample) -> float:
    """Largest difference of a memory alone and in the padded batch of the whole sample."""
    source = pad([pair.source for pair in sample.pairs], sample.model.config.pad_id)
    batch = memory_of(sample, source)
    alone = [memory_of(sample, torch.tensor([pair.source]))[0] for pair in sample.pairs]
    return max(float((x - y[: len(x)]).abs().max()) for x, y in zip(alone, batch, strict=True))


def unseen_shares(sample: Sample, num_padding: int) -> tuple[float, float]:
    """Largest weight on any of `num_padding` paddings after a source, over all encoder and cross
    attention; and on any later position, over all of the decoder's self-attention.
    """
    padding, later = 0.0, 0.0
    for pair in sample.pairs:
        padded = pair.source + [sample.model.config.pad_id] * num_padding
        maps = attention_maps(sample.model, padded, pair.target)
        for weights in (maps.encoder, maps.cross):
            padding = max(padding, float(weights[..., len(pair.source) :].max()))
        later = max(later, float(maps.decoder.triu(diagonal=1).max()))
    return padding, later


def cross_attention(sample: Sample, index: int) -> Tensor:
    """Of sentence `index`: the last decoder layer's mean over its heads, float (T, S); row t is
    where the model looks while it chooses the token after target[:, t].
    """
    return sample.pairs[index].maps.cross[-1].mean(0)


def cross_shares(sample: Sample) -> tuple[float, float, float]:
    """Mean share of that attention on the tag, on the source's pieces and on its end."""
    rows = torch.cat(
        [
            torch.stack([w[:, 0], w[:, 1:-1].sum(-1), w[:, -1]], dim=-1)
            for w in (cross_attention(sample, i) for i in range(len(sample.pairs)))
        ]
    )  # (all T, 3)
    tag, text, end = rows.mean(0).tolist()
    return tag, text, end


def cross_correlation(sample: Sample) -> float:
    """Correlation of how far the target is with how far into the source that attention looks, both
    from 0 to 1: near 1 where the languages have the same order of words.
    """
    steps, looks = [], []
    for i in range(len(sample.pairs)):
        text = cross_attention(sample, i)[:-1, 1:-1]  # the last row chooses the end
        steps.append(torch.linspace(0, 1, text.size(0)))
        places = torch.linspace(0, 1, text.size(1))
        looks.append((text * places).sum(-1) / text.sum(-1))
    return float(torch.corrcoef(torch.stack([torch.cat(steps), torch.cat(looks)]))[0, 1])


def offsets(length: int) -> Tensor:
    """Key position minus query position, int64 (length, length)."""
    positions = torch.arange(length)
    return positions - positions[:, None]


def mean_distances(sample: Sample) -> tuple[Tensor, float]:
    """Mean distance that encoder attention looks, float (L, H); and that of uniform attention."""
    heads, uniform = [], []
    for pair in sample.pairs:
        distance = offsets(len(pair.source)).abs().float()  # (S, S)
        heads.append((pair.maps.encoder * distance).sum(-1))  # (L, H, S)
        uniform.append(distance.mean(-1))  # (S,)
    return torch.cat(heads, dim=-1).mean(-1), float(torch.cat(uniform).mean())


def share_within(sample: Sample, radius: int) -> tuple[float, float]:
    """Mean share of encoder attention at most `radius` positions away; and of uniform attention."""
    near, uniform = [], []
    for pair in sample.pairs:
        is_near = offsets(len(pair.source)).abs() <= radius  # (S, S)
        near.append((pair.maps.encoder * is_near).sum(-1).flatten())
        uniform.append(is_near.float().mean(-1))
    return float(torch.cat(near).mean()), float(torch.cat(uniform).mean())


def kernel_fits(sample: Sample) -> Tensor:
    """How much of each encoder head is a fixed window: the share of the variance of its weights,
    over all sentences, that their mean by offset explains, float (L, H), 0 to 1.
    """
    span = max(len(pair.source) for pair in sample.pairs)
    place = torch.cat([(offsets(len(p.source)) + span).flatten() for p in sample.pairs])  # (N,)
    weights = torch.cat([p.maps.encoder.flatten(2) for p in sample.pairs], dim=-1)  # (L, H, N)
    total = weights.new_zeros(*weights.shape[:2], 2 * span + 1).index_add(2, place, weights)
    count = torch.bincount(place, minlength=2 * span + 1).clamp(min=1)
    fitted = (total / count)[..., place]  # (L, H, N)
    unexplained = (weights - fitted).square().sum(-1)
    return 1 - unexplained / (weights - weights.mean(-1, keepdim=True)).square().sum(-1)


def kernels(sample: Sample) -> Tensor:
    """Mean weight of each encoder head by offset, -MAX_OFFSET to MAX_OFFSET, float (L, H, offsets):
    over the positions that have such a neighbour.
    """
    means = []
    for offset in range(-MAX_OFFSET, MAX_OFFSET + 1):
        weights = [p.maps.encoder.diagonal(offset, dim1=-2, dim2=-1) for p in sample.pairs]
        means.append(torch.cat(weights, dim=-1).mean(-1))  # (L, H)
    return torch.stack(means, dim=-1)
