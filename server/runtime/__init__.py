"""Tensors, no policy: the cache, the sessions, the choice of a token."""

import os

# ONNX Runtime 1.32 keeps a device id and an event database in the home folder unless told not to
# before it is imported. Whoever wants that can set the variable to 0.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
