"""What the server calls attention is what PyTorch's last decoder layer does."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import training.model
from server.runtime.model_runner import ModelRunner
from server.runtime.sessions import Sessions
from tests.export.conftest import Exported
from tests.export.tiny_package import random_sources


@torch.inference_mode()
def pytorch_attention(
    exported: Exported, source: list[int], target: list[int], monkeypatch: pytest.MonkeyPatch
) -> np.ndarray:
    """float (T, S): the last attention of a forward pass, which is the last layer's to the source,
    the mean over its heads.
    """
    seen: list[torch.Tensor] = []
    attend = training.model.scaled_dot_product_attention

    def spy(query: torch.Tensor, key: torch.Tensor, *rest: object) -> torch.Tensor:
        scores = query @ key.transpose(-2, -1) / query.size(-1) ** 0.5  # (1, H, T, S)
        seen.append(scores.softmax(dim=-1).mean(dim=1)[0])
        return attend(query, key, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(training.model, "scaled_dot_product_attention", spy)
        exported.model(torch.tensor([source]), torch.tensor([target]))
    return seen[-1].numpy()


def test_attention_is_that_of_pytorchs_last_layer(
    exported: Exported, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources = random_sources(4)
    targets = [[1, *torch.randint(4, 300, (11,)).tolist()] for _ in sources]
    runner = ModelRunner(Sessions(exported.package, "cpu-fp32", 1), len(sources))
    runner.encode(sources, range(len(sources)))
    found: list[list[np.ndarray]] = [[] for _ in sources]
    for tokens in zip(*targets, strict=True):
        runner.decode_step(tokens)
        for row, attention in enumerate(found):
            attention.append(runner.attention(row))
    for row, source in enumerate(sources):
        expected = pytorch_attention(exported, source, targets[row], monkeypatch)
        assert np.stack(found[row]) == pytest.approx(expected, abs=1e-5)
        assert expected.shape == (12, len(source))
