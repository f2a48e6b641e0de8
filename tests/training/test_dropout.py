from __future__ import annotations

import pytest
import torch

from training.dropout import Dropout


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("p", [0.1, 0.3, 0.5])
def test_a_share_p_is_zeroed_and_the_rest_scaled(p: float, dtype: torch.dtype) -> None:
    x = torch.full((400, 251), 2.0, dtype=dtype)  # no multiple of eight
    y = Dropout(p).train()(x)
    share = (y == 0).float().mean().item()
    assert share == pytest.approx(round(p * 256) / 256, abs=0.01)
    assert y.float().mean().item() == pytest.approx(2.0, rel=0.02)
    assert len(y.unique()) == 2
    assert y.dtype == dtype


def test_elements_are_dropped_independently_of_their_neighbours() -> None:
    dropped = (Dropout(0.5).train()(torch.ones(1000, 512)) == 0).float() - 0.5
    for distance in (1, 2, 7, 8, 9, 64):
        together = (dropped[:, :-distance] * dropped[:, distance:]).mean().item()
        assert abs(together) < 0.003


def test_the_gradient_goes_where_the_value_went() -> None:
    x = torch.ones(100, 33, requires_grad=True)
    y = Dropout(0.3).train()(x)
    (3 * y).sum().backward()
    torch.testing.assert_close(x.grad, 3 * y.detach())


def test_the_input_is_left_as_it_was() -> None:
    x = torch.ones(64)
    Dropout(0.5).train()(x)
    assert x.eq(1).all()


def test_the_seed_decides() -> None:
    masks = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        masks.append(Dropout(0.5).train()(torch.ones(256)))
    assert torch.equal(masks[0], masks[1])
    assert not torch.equal(masks[0], masks[2])


def test_in_evaluation_and_at_p_0_nothing_is_dropped() -> None:
    x = torch.randn(50)
    assert Dropout(0.5).eval()(x) is x
    assert Dropout(0.0).train()(x) is x
