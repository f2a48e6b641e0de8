"""Attention weights of a model over one pair of sentences, for drawing and for measuring."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from training.model import MultiHeadAttention, Transformer


@dataclass(frozen=True)
class AttentionMaps:
    """Weights of every head, each row a distribution: float (L, H, queries, keys)."""

    encoder: Tensor
    """Source over source, (L, H, S, S)."""
    decoder: Tensor
    """Target over target up to itself, (L, H, T, T)."""
    cross: Tensor
    """Target over source, (L, H, T, S)."""


@torch.inference_mode()
def attention_maps(model: Transformer, source: list[int], target: list[int]) -> AttentionMaps:
    """The weights while `model` reads `source` (S ids) and `target` (T ids, from bos on)."""
    seen: dict[str, Tensor] = {}
    hooks = []
    for name, module in model.named_modules():
        if isinstance(module, MultiHeadAttention):
            hooks.append(module.dropout.register_forward_pre_hook(_keep(seen, name)))
    try:
        device = next(model.parameters()).device
        model.eval()(torch.tensor([source], device=device), torch.tensor([target], device=device))
    finally:
        for hook in hooks:
            hook.remove()
    kinds = ("encoder_layers.%d.self", "decoder_layers.%d.self", "decoder_layers.%d.cross")
    depths = (model.config.num_encoder_layers, *[model.config.num_decoder_layers] * 2)
    return AttentionMaps(
        *(
            torch.stack([seen[f"{kind % layer}_attention"] for layer in range(depth)]).cpu()
            for kind, depth in zip(kinds, depths, strict=True)
        )
    )


def _keep(seen: dict[str, Tensor], name: str) -> Any:
    def hook(_module: object, inputs: tuple[Tensor, ...]) -> None:
        seen[name] = inputs[0][0]  # the one sentence: (H, queries, keys)

    return hook
