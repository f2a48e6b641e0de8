from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from training.config import PAD_ID
from training.loss import consistency_loss, label_smoothed_loss


def batch() -> tuple[Tensor, Tensor]:
    """Logits float (2, 5, 11) and targets, the last two of the second row padding."""
    target = torch.randint(1, 11, (2, 5))
    target[1, 3:] = PAD_ID
    return torch.randn(2, 5, 11, requires_grad=True), target


def torch_loss(logits: Tensor, target: Tensor, smoothing: float) -> Tensor:
    return F.cross_entropy(
        logits.flatten(0, 1), target.flatten(), ignore_index=PAD_ID, label_smoothing=smoothing
    )


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.6])
def test_loss_and_gradient_are_torchs(smoothing: float) -> None:
    logits, target = batch()
    ours, theirs = (loss(logits, target, smoothing) for loss in (label_smoothed_loss, torch_loss))
    torch.testing.assert_close(ours, theirs)
    gradients = [torch.autograd.grad(3 * loss, logits)[0] for loss in (ours, theirs)]
    torch.testing.assert_close(*gradients)


def test_padding_has_no_gradient() -> None:
    logits, target = batch()
    label_smoothed_loss(logits, target, 0.1).backward()
    assert torch.equal(logits.grad.abs().sum(dim=-1) == 0, target == PAD_ID)


def test_logits_under_padding_do_not_change_the_loss() -> None:
    logits, target = batch()
    changed = logits.detach().clone()
    changed[1, 3:] = 50.0
    assert torch.equal(
        label_smoothed_loss(changed, target, 0.1), label_smoothed_loss(logits, target, 0.1)
    )


def test_bfloat16_logits_are_summed_in_fp32_and_get_a_bfloat16_gradient() -> None:
    logits, target = batch()
    halved = logits.detach().bfloat16().requires_grad_()
    loss = label_smoothed_loss(halved, target, 0.1)
    loss.backward()
    torch.testing.assert_close(loss, torch_loss(halved.float(), target, 0.1))
    assert halved.grad.dtype == torch.bfloat16


def test_a_perfect_prediction_has_no_loss() -> None:
    target = torch.tensor([[4, 5]])
    logits = 100.0 * F.one_hot(target, 11).float()
    assert label_smoothed_loss(logits, target, 0.0).item() == pytest.approx(0.0, abs=1e-6)


# R-Drop


def test_consistency_is_the_mean_of_both_divergences() -> None:
    logits, target = batch()
    others = torch.randn_like(logits)
    p, q = (torch.log_softmax(x, dim=-1)[target != PAD_ID] for x in (logits, others))
    divergences = [
        F.kl_div(a, b, log_target=True, reduction="batchmean") for a, b in ((p, q), (q, p))
    ]
    found = consistency_loss(logits, others, target)
    torch.testing.assert_close(found, (divergences[0] + divergences[1]) / 2)
    torch.testing.assert_close(found, consistency_loss(others, logits, target))


def test_equal_predictions_are_consistent_and_padding_does_not_count() -> None:
    logits, target = batch()
    others = logits.detach().clone()
    others[1, 3:] = 7.0
    assert consistency_loss(logits, others, target).item() == 0


def test_consistency_of_a_part_is_its_share() -> None:
    logits, target = batch()
    others = torch.randn_like(logits)
    num_tokens = int((target != PAD_ID).sum())
    whole = consistency_loss(logits, others, target)
    parts = [
        consistency_loss(logits[i : i + 1], others[i : i + 1], target[i : i + 1], num_tokens)
        for i in range(2)
    ]
    torch.testing.assert_close(parts[0] + parts[1], whole)
