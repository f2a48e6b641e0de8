"""Row-wise int8: every row of activations has its own scale, every output channel of weights its
own.

A row's result depends on that row alone, and integer sums have no order, so the same bits come out
alone and in any
batch. (One scale for the whole batch, as DynamicQuantizeLinear has it, would make a row depend on
its neighbours.)

    s_x = max |x| / 127,  q = round(x / s_x) + 128 as uint8,  y = s_x * (s_w * ((q - 128) W_q)) + b

u8 x s8 is the pair that ONNX Runtime's integer matmul is fast at: s8 x s8 took ten times as long.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from export.graphs import MICROSOFT, WordTable

LEVELS = 127
ZERO_POINT = 128
SMALLEST = 1e-10
"""Floor of a row's largest magnitude: an all-zero row must not divide by zero."""


def quantize_rows(weight: Tensor) -> tuple[Tensor, Tensor]:
    """`weight` float (R, C) as int8 (R, C) and the scale of each row, float (R,)."""
    scale = weight.abs().amax(dim=1).clamp_min(SMALLEST) / LEVELS  # (R,)
    quantized = torch.round(weight / scale[:, None]).to(torch.int8)  # (R, C)
    return quantized, scale


class _RowWiseMatMul(nn.Module):
    """x float (..., in) times an int8 matrix (in, out) whose columns have scales float (out,)."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("one", torch.ones(()))
        self.register_buffer("zero_point", torch.tensor(ZERO_POINT, dtype=torch.uint8))
        self.one: Tensor
        self.zero_point: Tensor

    def forward(self, x: Tensor, weight: Tensor, scale: Tensor) -> Tensor:
        row_scale = x.abs().amax(dim=-1, keepdim=True).clamp_min(SMALLEST) * (
            1 / LEVELS
        )  # (..., 1)
        quantized = torch.onnx.ops.symbolic(
            "QuantizeLinear",
            (x / row_scale, self.one, self.zero_point),
            dtype=torch.uint8,
            shape=x.shape,
        )  # (..., in)
        product = torch.onnx.ops.symbolic(
            f"{MICROSOFT}::MatMulIntegerToFloat",
            (quantized, weight, self.one, scale, self.zero_point),
            dtype=torch.float32,
            shape=(*x.shape[:-1], weight.size(1)),
            version=1,
        )  # (..., out)
        return product * row_scale


class Int8Linear(nn.Module):
    """A linear layer in row-wise int8."""

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        super().__init__()
        quantized, scale = quantize_rows(weight)
        self.register_buffer("weight", quantized.T.contiguous())  # (in, out)
        self.register_buffer("scale", scale)
        self.register_buffer("bias", bias.clone())
        self.weight: Tensor
        self.scale: Tensor
        self.bias: Tensor
        self.matmul = _RowWiseMatMul()

    def forward(self, x: Tensor) -> Tensor:
        """float (..., in) to (..., out)."""
        product: Tensor = self.matmul(x, self.weight, self.scale)
        return product + self.bias


class Int8WordTable(WordTable):
    """Embedding and projection over one int8 matrix, stored once."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        quantized, scale = quantize_rows(weight)
        self.register_buffer("weight", quantized)  # (V, D)
        self.register_buffer("scale", scale)  # (V,)
        self.weight: Tensor
        self.scale: Tensor
        self.matmul = _RowWiseMatMul()

    def rows(self, ids: Tensor) -> Tensor:
        """See WordTable."""
        words = F.embedding(ids, self.weight).to(torch.float32)  # (B, T, D)
        return words * F.embedding(ids, self.scale[:, None])

    def logits(self, x: Tensor, bias: Tensor) -> Tensor:
        """See WordTable. The transposition of a constant is folded when a session loads."""
        product: Tensor = self.matmul(x, self.weight.T, self.scale)
        return product + bias


class RowWiseInt8:
    """Weights and multiplications in row-wise int8, the rest in fp32."""

    def linear(self, weight: Tensor, bias: Tensor) -> nn.Module:
        """See LinearFactory."""
        return Int8Linear(weight, bias)

    def word_table(self, weight: Tensor) -> WordTable:
        """See LinearFactory."""
        return Int8WordTable(weight)
