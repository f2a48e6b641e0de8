"""A real model in seconds: English numbers spelled out in German, one layer each side, for any test
that needs a trained checkpoint or a whole package.
"""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import replace
from pathlib import Path

from export.build import ExportOptions, build_package
from export.to_onnx import export_variant
from server.package import ModelPackage, Variant, open_package
from training.__main__ import run
from training.checkpoint import load_model
from training.config import Config, DataConfig, ModelConfig, TrainConfig


def numbers_config(output: Path) -> Config:
    """The recipe: about nine of ten numbers come out right."""
    data = DataConfig(
        corpora=("numbers",),
        validation="numbers",
        directions=("en-de",),
        vocabulary_size=160,
        is_byte_fallback=False,
        max_tokens=48,
        batch_tokens=1024,
    )
    model = ModelConfig(
        d_model=64,
        num_heads=4,
        d_ff=128,
        num_encoder_layers=1,
        num_decoder_layers=1,
        dropout=0.0,
        max_length=64,
    )
    train = TrainConfig(
        output=str(output),
        max_steps=150,
        learning_rate=8e-3,
        warmup_steps=40,
        validate_every=150,
        validation_sentences=0,
        average_last=1,
        num_threads=1,
    )
    return Config(data, model, train)


def numbers_checkpoint(folder: Path) -> Path:
    """Trains into `folder`; returns its model.safetensors, the tokenizer beside it."""
    return run(numbers_config(folder))


def numbers_package(folder: Path, checkpoint: Path | None = None) -> Path:
    """Exports `checkpoint` (trained first where there is none) as the package
    `folder`/numbers/1, with both CPU variants.
    """
    checkpoint = checkpoint or numbers_checkpoint(folder / "checkpoint")
    return build_package(ExportOptions(checkpoint, folder / "numbers" / "1"))


def half_package(folder: Path, checkpoint: Path, package: Path) -> ModelPackage:
    """`package`, made of `checkpoint`, copied into `folder` with cuda-fp16 added; its manifest on
    disk knows nothing of that.
    """
    shutil.copytree(package, folder, dirs_exist_ok=True)
    model, _ = load_model(checkpoint)
    export_variant(model, "cuda-fp16", folder / "cuda-fp16")
    manifest = open_package(folder).manifest
    added = {
        f"cuda-fp16/{path.name}": hashlib.sha256(path.read_bytes()).hexdigest()
        for path in (folder / "cuda-fp16").iterdir()
    }
    like = manifest.variants["cpu-fp32"]
    paths = (like.encoder, like.decoder, like.weights)
    variant = Variant(*(path.replace("cpu-fp32", "cuda-fp16") for path in paths))
    variants = {**manifest.variants, "cuda-fp16": variant}
    return ModelPackage(
        folder, replace(manifest, variants=variants, files={**manifest.files, **added})
    )
