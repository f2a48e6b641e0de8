"""Label-smoothed cross entropy (Szegedy et al. 2016; section 5.4 of Vaswani et al. 2017)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from training.config import PAD_ID


def label_smoothed_loss(
    logits: Tensor, target: Tensor, smoothing: float, num_tokens: int | None = None
) -> Tensor:
    """Loss in nats a token over the tokens of `target` that are not padding, scalar: their sum over
    `num_tokens`, which is their number unless these are a part of a larger batch.

    `logits` float (B, T, V), `target` int64 (B, T). The target distribution is 1 - smoothing on the
    right token
    plus smoothing / V on every token.
    """
    flat: Tensor = _LabelSmoothedLoss.apply(
        logits.flatten(0, 1), target.flatten(), smoothing, num_tokens
    )  # type: ignore[no-untyped-call]
    return flat


class _LabelSmoothedLoss(torch.autograd.Function):
    """Loss and gradient written out: one large tensor where autograd's would be five, and logits
    are the largest of all.
    """

    @staticmethod
    def forward(
        ctx: Any, logits: Tensor, target: Tensor, smoothing: float, num_tokens: int | None
    ) -> Tensor:
        log_probabilities = torch.log_softmax(logits.float(), dim=-1)  # (N, V)
        is_token = target != PAD_ID  # (N,)
        weight = is_token / (is_token.sum() if num_tokens is None else num_tokens)  # (N,)
        right = log_probabilities.gather(1, target[:, None])[:, 0]  # (N,)
        uniform = log_probabilities.mean(dim=-1) if smoothing else right  # (N,)
        loss = -((1 - smoothing) * right + smoothing * uniform)  # (N,)
        ctx.save_for_backward(log_probabilities, target, weight)
        ctx.smoothing, ctx.dtype = smoothing, logits.dtype
        return (loss * weight).sum()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None]:
        log_probabilities, target, weight = ctx.saved_tensors
        gradient = (
            log_probabilities.exp_()
        )  # (N, V): d loss / d logits = softmax - target distribution
        gradient -= ctx.smoothing / gradient.size(1)
        gradient.scatter_add_(
            1, target[:, None], gradient.new_full((len(target), 1), ctx.smoothing - 1)
        )
        gradient *= (weight * grad)[:, None]
        return gradient.to(ctx.dtype), None, None, None
