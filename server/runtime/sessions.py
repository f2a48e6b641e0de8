"""The two graphs of a variant as ONNX Runtime sessions: one copy of the weights, whoever uses them.

A session may be run by several threads at once; each runner brings caches and buffers of its own.
"""

from __future__ import annotations

import onnxruntime as ort

from server import package as names
from server.package import ModelPackage


class Sessions:
    """Encoder and decoder of one variant."""

    def __init__(self, package: ModelPackage, variant: str, num_threads: int) -> None:
        """Loads the graphs into private memory. Raises PackageError for a file that is not as
        sealed.
        """
        files = package.manifest.variants[variant]
        weights = package.read_file(files.weights)
        self.manifest = package.manifest
        self.encoder = _session(package.read_file(files.encoder), weights, num_threads)
        self.decoder = _session(package.read_file(files.decoder), weights, num_threads)


def _session(graph: bytes, weights: bytes, num_threads: int) -> ort.InferenceSession:
    """A CPU session over `graph` with its external data in `weights`, so that nothing on disk is
    mapped.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = num_threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.add_external_initializers_from_files_in_memory(
        [names.WEIGHTS_FILE], [weights], [len(weights)]
    )
    return ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
