from __future__ import annotations

import numpy as np
import onnxruntime as ort
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from export.quantize import LEVELS, Int8Linear, quantize_rows
from export.to_onnx import _export

WEIGHT = torch.randn(24, 16, generator=torch.Generator().manual_seed(1))
BIAS = torch.linspace(-1, 1, 24)


@given(st.integers(0, 10_000), st.floats(1e-6, 1e6))
def test_no_weight_moves_by_more_than_half_a_step(seed: int, magnitude: float) -> None:
    random = torch.Generator().manual_seed(seed)
    weight = magnitude * torch.randn(5, 9, generator=random)
    quantized, scale = quantize_rows(weight)
    error = (weight - quantized * scale[:, None]).abs()
    assert (error <= 0.5001 * scale[:, None]).all()


def test_the_largest_weight_of_each_row_is_exact() -> None:
    quantized, scale = quantize_rows(WEIGHT)
    assert quantized.dtype == torch.int8
    assert quantized.abs().amax(dim=1).tolist() == [LEVELS] * len(WEIGHT)
    torch.testing.assert_close(LEVELS * scale, WEIGHT.abs().amax(dim=1))


def test_the_scale_of_a_row_is_its_own() -> None:
    louder = WEIGHT.clone()
    louder[3] *= 1000
    (quantized, scale), (louder_quantized, louder_scale) = map(quantize_rows, (WEIGHT, louder))
    assert torch.equal(quantized, louder_quantized)
    assert [i for i in range(24) if scale[i] != louder_scale[i]] == [3]


def test_a_row_of_zeros_stays_zero() -> None:
    quantized, scale = quantize_rows(torch.zeros(2, 4))
    assert not quantized.any()
    assert scale.isfinite().all()


@pytest.fixture(scope="module")
def session() -> ort.InferenceSession:
    """The int8 linear layer as it is exported, alone in a graph."""
    proto = _export(
        Int8Linear(WEIGHT, BIAS),
        (torch.ones(2, 16),),
        ({0: torch.export.Dim.DYNAMIC},),
        ["x"],
        ["y"],
    )
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    return ort.InferenceSession(proto.SerializeToString(), options)


def run(session: ort.InferenceSession, x: Tensor) -> np.ndarray:
    return session.run(["y"], {"x": x.numpy()})[0]


def by_hand(x: Tensor) -> Tensor:
    """The module's formula, in integers."""
    scale = x.abs().amax(dim=1, keepdim=True) / LEVELS
    quantized = torch.round(x / scale).to(torch.int64)
    weight, weight_scale = quantize_rows(WEIGHT)
    return scale * weight_scale * (quantized @ weight.T.to(torch.int64)) + BIAS


def test_the_exported_layer_computes_the_formula(session: ort.InferenceSession) -> None:
    x = torch.randn(6, 16)
    torch.testing.assert_close(torch.from_numpy(run(session, x)), by_hand(x))


def test_the_exported_layer_is_near_the_float_one(session: ort.InferenceSession) -> None:
    x = torch.randn(6, 16)
    expected = x @ WEIGHT.T + BIAS
    assert np.abs(run(session, x) - expected.numpy()).max() < 0.03 * expected.std() * 4


def test_a_row_has_the_same_bits_whatever_its_neighbours(session: ort.InferenceSession) -> None:
    rows = torch.randn(64, 16)
    neighbours = rows.clone()
    neighbours[1:] *= 1000
    alone = run(session, rows[:1])[0]
    assert np.array_equal(run(session, rows)[0], alone)
    assert np.array_equal(run(session, neighbours)[0], alone)


def test_a_row_of_zeros_gives_the_bias(session: ort.InferenceSession) -> None:
    assert np.array_equal(run(session, torch.zeros(1, 16))[0], BIAS.numpy())
