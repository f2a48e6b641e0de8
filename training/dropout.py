"""Dropout (Srivastava et al. 2014), and why it is not always torch's: on a CPU, drawing torch's
masks took a sixth of a training step. Here eight elements share one 64-bit draw, a byte each.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Dropout(nn.Module):
    """Zeroes each element with probability `p` in training and scales the others, so that the
    expectation stays; on a CPU `p` is the nearest 256th.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        """`x` float of any shape, to the same shape and type."""
        if not self.training or self.p == 0:
            return x
        if x.device.type != "cpu" or torch.compiler.is_compiling():
            return F.dropout(x, self.p, training=True)
        dropped: Tensor = _ByteDropout.apply(x, round(self.p * 256))  # type: ignore[no-untyped-call]
        return dropped


class _ByteDropout(torch.autograd.Function):
    """Keeps the elements whose random byte is at least `threshold`."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, threshold: int) -> Tensor:
        draws = torch.empty((x.numel() + 7) // 8, dtype=torch.int64)
        draws.random_(-(2**63), None)  # all 64 bits
        is_kept = (draws.view(torch.uint8)[: x.numel()] >= threshold).view(x.shape).to(x.dtype)
        ctx.save_for_backward(is_kept)
        ctx.scale = 256 / (256 - threshold)
        return (x * is_kept).mul_(ctx.scale)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        (is_kept,) = ctx.saved_tensors
        return (grad * is_kept).mul_(ctx.scale), None
