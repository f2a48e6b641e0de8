"""Where the bundled model lies: the package that serves, and the checkpoint that it was made of."""

from __future__ import annotations

from pathlib import Path

MODELS = Path(__file__).resolve().parent.parent / "models"
VERSION = "4"
PACKAGE = MODELS / "multi30k" / VERSION
CHECKPOINT = MODELS / "checkpoints" / f"multi30k-{VERSION}" / "model.safetensors"
