"""Serves model packages over gRPC with continuous batching. Never imports torch, training or
export.
"""
