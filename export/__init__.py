"""Turns a checkpoint into a model package: ONNX graphs, a manifest, and the evidence that they are
right.
"""
