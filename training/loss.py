"""Label-smoothed cross entropy (Szegedy et al. 2016; section 5.4 of Vaswani et al. 2017)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from training.config import PAD_ID

ROWS_ON_CPU = 256
"""Rows of logits at a time: a block stays in the cache, and no fp32 copy of all is made."""


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


def consistency_loss(
    logits: Tensor, others: Tensor, target: Tensor, num_tokens: int | None = None
) -> Tensor:
    """How far two predictions for the same tokens are apart, in nats a token: the mean of both
    Kullback-Leibler divergences (R-Drop, Liang et al. 2021, equation 2).

    `logits` and `others` float (B, T, V), `target` int64 (B, T), padding of which does not count.
    Returns a scalar, their sum over `num_tokens` as in `label_smoothed_loss`.
    """
    is_token = target != PAD_ID  # (B, T)
    log_p = torch.log_softmax(logits[is_token].float(), dim=-1)  # (N, V)
    log_q = torch.log_softmax(others[is_token].float(), dim=-1)  # (N, V)
    both = ((log_p.exp() - log_q.exp()) * (log_p - log_q)).sum() / 2
    return both / (is_token.sum() if num_tokens is None else num_tokens)


class _LabelSmoothedLoss(torch.autograd.Function):
    """Loss and gradient written out, the gradient in the forward pass: logits are the largest
    tensor of all, and this way there are two of their size and not five.
    """

    @staticmethod
    def forward(
        ctx: Any, logits: Tensor, target: Tensor, smoothing: float, num_tokens: int | None
    ) -> Tensor:
        is_token = target != PAD_ID  # (N,)
        weight = is_token / (is_token.sum() if num_tokens is None else num_tokens)  # (N,)
        gradient = torch.empty_like(logits)  # (N, V)
        rows = ROWS_ON_CPU if logits.device.type == "cpu" else max(1, len(target))
        loss = weight.new_zeros(())
        for start in range(0, len(target), rows):
            block = slice(start, start + rows)
            loss += _block_loss(
                logits[block], target[block, None], weight[block, None], gradient[block], smoothing
            )
        ctx.save_for_backward(gradient)
        return loss

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None]:
        (gradient,) = ctx.saved_tensors
        return gradient.mul_(grad), None, None, None


def _block_loss(
    logits: Tensor, target: Tensor, weight: Tensor, gradient: Tensor, smoothing: float
) -> Tensor:
    """The loss of n rows, scalar; their gradient, softmax - target distribution, goes into
    `gradient`. `logits` and `gradient` (n, V), `target` and `weight` (n, 1).
    """
    log_probabilities = torch.log_softmax(logits.float(), dim=-1)  # (n, V)
    right = log_probabilities.gather(1, target)  # (n, 1)
    uniform = log_probabilities.mean(dim=-1, keepdim=True) if smoothing else right  # (n, 1)
    loss = -(((1 - smoothing) * right + smoothing * uniform) * weight).sum()
    difference = log_probabilities.exp_().sub_(smoothing / logits.size(1))  # (n, V)
    difference.scatter_add_(1, target, difference.new_full(target.shape, smoothing - 1))
    gradient.copy_(difference.mul_(weight))
    return loss
