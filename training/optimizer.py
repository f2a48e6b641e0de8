"""Adam with the paper's betas, and its learning-rate schedule (section 5.3)."""

from __future__ import annotations

import math

import torch
from torch import nn

from training.config import TrainConfig


def make_optimizer(model: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    """Adam (0.9, 0.98, 1e-9); weight decay, where there is any, is decoupled (Loshchilov and Hutter
    2019).
    """
    return torch.optim.AdamW(
        model.parameters(),
        lr=config.learning_rate,
        betas=(0.9, 0.98),
        eps=1e-9,
        weight_decay=config.weight_decay,
        fused=True,
    )


def learning_rate(step: int, config: TrainConfig) -> float:
    """The rate at `step` (from 1): linear to the peak over the warm-up, then times sqrt(warmup /
    step); over the last `cooldown_steps`, times a factor that falls linearly towards 0.
    """
    warmup, remaining = config.warmup_steps, config.max_steps + 1 - step
    cooldown = min(1.0, remaining / config.cooldown_steps) if config.cooldown_steps else 1.0
    return config.learning_rate * cooldown * min(step / warmup, math.sqrt(warmup / step))
