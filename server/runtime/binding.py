"""Binds arrays of the host to a session's inputs and outputs, the first rows of each."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnxruntime as ort


def bind_inputs(binding: ort.IOBinding, arrays: Mapping[str, np.ndarray], num_rows: int) -> None:
    """Binds the first `num_rows` of each of `arrays`, without a copy where the session runs on the
    CPU; elsewhere what they hold now is copied, and later changes are not seen.
    """
    for name, array in arrays.items():
        shape = (num_rows, *array.shape[1:])
        binding.bind_input(name, "cpu", 0, array.dtype, shape, array.ctypes.data)


def bind_outputs(binding: ort.IOBinding, arrays: Mapping[str, np.ndarray], num_rows: int) -> None:
    """Has the first `num_rows` of each of `arrays` written by a run."""
    for name, array in arrays.items():
        shape = (num_rows, *array.shape[1:])
        binding.bind_output(name, "cpu", 0, array.dtype, shape, array.ctypes.data)
