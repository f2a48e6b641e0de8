"""Measures the layers of a trained Transformer around its attention: Add & Norm, feed-forward,
softmax.

Results are numbers and tensors; how they are written or drawn is decided elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor, nn

from docs.drawing.ablations import replaced
from docs.drawing.sample import Pair, Sample
from training.model import AddNorm, FeedForward


@dataclass(frozen=True)
class Sublayer:
    """One Add & Norm, means over all positions of a sample."""

    name: str
    ratio: float
    """Length of what the sublayer adds over the length of what it is added to."""
    cosine: float
    """Between what went in and what came out."""


@cache
@torch.inference_mode()
def sublayers(sample: Sample) -> list[Sublayer]:
    """Every Add & Norm of the model, encoder first, bottom first."""
    named = {n: m for n, m in sample.model.named_modules() if isinstance(m, AddNorm)}
    seen: dict[str, list[Tensor]] = {name: [] for name in named}
    with ExitStack() as stack:
        for name, module in named.items():
            watch = _watch(module.after, seen[name])
            stack.enter_context(replaced(module, "after", watch))
        for pair in sample.pairs:
            sample.model(torch.tensor([pair.source]), torch.tensor([pair.target]))
    means = {name: torch.cat(rows, dim=1).mean(1).tolist() for name, rows in seen.items()}
    return [Sublayer(name, ratio, cosine) for name, (ratio, cosine) in means.items()]


def _watch(
    after: Callable[[Tensor, Tensor], Tensor], seen: list[Tensor]
) -> Callable[[Tensor, Tensor], Tensor]:
    def watched(x: Tensor, added: Tensor) -> Tensor:
        joined = after(x, added)  # (1, T, D)
        ratio = added.norm(dim=-1) / x.norm(dim=-1)  # (1, T)
        seen.append(
            torch.cat([ratio, nn.functional.cosine_similarity(x, joined, dim=-1)])
        )  # (2, T)
        return joined

    return watched


@cache
@torch.inference_mode()
def unit_activities(sample: Sample) -> dict[str, Tensor]:
    """Of every feed-forward, encoder first: the share of positions where each hidden unit is above
    0, float (F,).
    """
    named = {n: m for n, m in sample.model.named_modules() if isinstance(m, FeedForward)}
    seen: dict[str, list[Tensor]] = {name: [] for name in named}
    hooks = [
        module.w_2.register_forward_pre_hook(
            lambda _module, inputs, rows=seen[name]: rows.append(inputs[0][0] > 0)  # (T, F)
        )
        for name, module in named.items()
    ]
    try:
        for pair in sample.pairs:
            sample.model(torch.tensor([pair.source]), torch.tensor([pair.target]))
    finally:
        for hook in hooks:
            hook.remove()
    return {name: torch.cat(rows).float().mean(0) for name, rows in seen.items()}


def parameter_shares(sample: Sample) -> dict[str, float]:
    """Share of all parameters in `embedding`, `feed_forward` and `attention`."""
    counts = {"embedding": 0, "feed_forward": 0, "attention": 0}
    total = 0
    for name, parameter in sample.model.named_parameters():
        total += parameter.numel()
        parts = name.split(".")
        for part in counts:
            is_part = any(
                p == part or (part == "attention" and p.endswith("_attention")) for p in parts
            )
            counts[part] += parameter.numel() if is_part else 0
    return {part: count / total for part, count in counts.items()}


@torch.inference_mode()
def probabilities(sample: Sample, pair: Pair) -> Tensor:
    """Softmax of the logits while the model reads the pair, float (T, V): row t is over the token
    after target[t].
    """
    logits: Tensor = sample.model(torch.tensor([pair.source]), torch.tensor([pair.target]))[
        0
    ]  # (T, V)
    return logits.softmax(dim=-1)


@cache
def step_probabilities(sample: Sample) -> Tensor:
    """Of every step of every sentence, float (all T, V)."""
    return torch.cat([probabilities(sample, pair) for pair in sample.pairs])


def smoothed_target(sample: Sample) -> float:
    """The probability that label smoothing asks for the right token."""
    smoothing = sample.config.train.label_smoothing
    return 1 - smoothing + smoothing / sample.model.config.vocabulary_size
