"""The two graphs of a variant as ONNX Runtime sessions: one copy of the weights, whoever uses them.

A session may be run by several threads at once; each runner brings caches and buffers of its own.
"""

from __future__ import annotations

from pathlib import PurePosixPath

import numpy as np
import onnxruntime as ort
from onnxruntime.capi import onnxruntime_pybind11_state

from server import package as names
from server.errors import ConfigError, PackageError
from server.package import ModelPackage, device_of
from server.runtime.device_cache import CacheGraphs
from server.runtime.graph_check import check_graph

PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
"""ONNX Runtime's name of each device."""
INVALID_GRAPHS = (
    onnxruntime_pybind11_state.Fail,
    onnxruntime_pybind11_state.InvalidArgument,
    onnxruntime_pybind11_state.InvalidGraph,
    onnxruntime_pybind11_state.InvalidProtobuf,
    onnxruntime_pybind11_state.NotImplemented,
)
"""What ONNX Runtime raises over a graph; a device that fails raises others."""


class Sessions:
    """Encoder and decoder of one variant."""

    def __init__(
        self, package: ModelPackage, variant: str, num_threads: int, device: str = ""
    ) -> None:
        """Loads the graphs into private memory, on `device` or, where it is empty, on the one that
        the variant is for. Raises PackageError for a file that is not as sealed, ConfigError if the
        device cannot be used.
        """
        device = device or device_of(variant)
        check_device(device)
        files = package.manifest.variants[variant]
        load = _Loader(package, files.weights, num_threads, device)
        self.manifest = package.manifest
        self.encoder = load.session(files.encoder)
        self.decoder = load.session(files.decoder)
        self.cache_graphs: CacheGraphs | None = None
        """For caches on the device, where the variant is for another one than the CPU."""
        if device_of(variant) != "cpu":
            folder = PurePosixPath(files.decoder).parent
            write, copy, align = (
                load.session(str(folder / file))
                for file in (names.WRITE_CROSS_FILE, names.COPY_ROWS_FILE, names.ALIGN_FILE)
            )
            self.cache_graphs = CacheGraphs(write, copy, align, device)


def check_device(device: str) -> None:
    """Raises ConfigError if this build of ONNX Runtime has nothing for `device`, or the machine
    has not.
    """
    provider = PROVIDERS[device]
    if provider not in ort.get_available_providers():
        raise ConfigError(
            f"device is {device!r}: this onnxruntime ({ort.__version__}) has no {provider}; "
            "in an environment of its own, install the extra gpu instead of cpu"
        )
    if device == "cpu":
        return
    ort.preload_dlls()  # CUDA and cuDNN, where pip installed them
    try:
        ort.OrtValue.ortvalue_from_shape_and_type([1], np.float32, device, 0)
    except Exception as error:  # of several kinds, none of them exported
        raise _did_not_start(device, str(error)) from error


def _did_not_start(device: str, message: str = "") -> ConfigError:
    """`message` is ONNX Runtime's; of it, only what CUDA says is for people."""
    _, failure, reason = message.partition("CUDA failure")
    said = (failure + reason.partition(";")[0]).strip() or "see above for what is missing"
    return ConfigError(
        f"device is {device!r}: {PROVIDERS[device]} did not start ({said}): there is no GPU that "
        "this process may use, or its driver or a library of CUDA is missing or too old"
    )


class _Loader:
    """Makes sessions on one device."""

    def __init__(self, package: ModelPackage, weights: str, num_threads: int, device: str) -> None:
        self._package, self._weights = package, package.read_file(weights)
        self._num_threads, self._device = num_threads, device

    def session(self, path: str) -> ort.InferenceSession:
        """A session over a graph of the package with its external data in memory, so that nothing
        on disk is mapped.

        Raises PackageError for a graph that refers to anything else, or that cannot be run.
        """
        graph, name = self._package.read_file(path), str(self._package.folder / path)
        check_graph(name, graph, names.WEIGHTS_FILE)
        options = ort.SessionOptions()
        options.intra_op_num_threads = self._num_threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        options.add_external_initializers_from_files_in_memory(
            [names.WEIGHTS_FILE], [self._weights], [len(self._weights)]
        )
        provider = PROVIDERS[self._device]
        try:
            session = ort.InferenceSession(graph, options, providers=[provider])
        except INVALID_GRAPHS as error:
            raise PackageError(f"{name}: ONNX Runtime refuses it: {error}") from error
        if provider not in session.get_providers():  # it fell back to the CPU, and raised nothing
            raise _did_not_start(self._device)
        return session
