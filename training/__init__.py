"""Trains a Transformer for translation with PyTorch. Knows nothing of export or server."""
