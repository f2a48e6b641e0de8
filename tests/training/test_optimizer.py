from __future__ import annotations

import pytest
import torch
from torch import nn

from training.config import TrainConfig
from training.optimizer import learning_rate, make_optimizer

CONFIG = TrainConfig(learning_rate=0.001, warmup_steps=400)


@pytest.mark.parametrize(
    ("step", "rate"),
    [(1, 0.001 / 400), (100, 0.00025), (400, 0.001), (1600, 0.0005), (40_000, 0.0001)],
)
def test_the_rate_rises_linearly_then_falls_with_the_square_root(step: int, rate: float) -> None:
    assert learning_rate(step, CONFIG) == pytest.approx(rate)


def test_the_rate_peaks_at_the_end_of_warm_up() -> None:
    assert max(range(1, 2000), key=lambda step: learning_rate(step, CONFIG)) == 400


def step_once(weight: torch.Tensor, config: TrainConfig) -> torch.Tensor:
    """`weight` after one step down the gradient 0.5 everywhere."""
    module = nn.Module()
    module.weight = nn.Parameter(weight.clone())
    optimizer = make_optimizer(module, config)
    module.weight.grad = torch.full_like(weight, 0.5)
    optimizer.step()
    return module.weight.detach()


def test_the_first_step_of_adam_is_the_rate_whatever_the_gradient() -> None:
    weight = torch.tensor([1.0, -2.0])
    torch.testing.assert_close(step_once(weight, CONFIG), weight - 0.001)


def test_weight_decay_is_decoupled_from_the_gradient() -> None:
    weight = torch.tensor([1.0, -2.0])
    config = TrainConfig(learning_rate=0.001, weight_decay=0.1)
    torch.testing.assert_close(step_once(weight, config), weight * (1 - 0.0001) - 0.001)


def test_the_moments_decay_as_in_the_paper() -> None:
    (group,) = make_optimizer(nn.Linear(2, 2), CONFIG).param_groups
    assert (group["betas"], group["eps"]) == ((0.9, 0.98), 1e-9)
