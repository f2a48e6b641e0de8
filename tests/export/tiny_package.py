"""Packages of small random models, for tests of the graphs that need no trained model."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import torch

from export.to_onnx import export_variant
from server import package as contract
from server.package import Architecture, DecodingDefaults, Manifest, ModelPackage, SpecialIds
from training.config import ModelConfig
from training.model import Transformer

PAPER = ModelConfig(
    vocabulary_size=300,
    d_model=32,
    num_heads=4,
    d_ff=48,
    num_encoder_layers=2,
    num_decoder_layers=2,
    max_length=64,
)
"""Post-norm, sinusoidal positions, tied embeddings. The table has over 8,192 numbers: torch's
exporter would store the transpose of a smaller one, which it takes for a small constant.
"""
OTHER = replace(
    PAPER,
    norm="pre",
    positions="learned",
    tie_embeddings=False,
    num_encoder_layers=1,
    num_heads=2,
    activation="gelu",
)
"""What the paper did not choose."""


def make_model(config: ModelConfig) -> Transformer:
    """A random model whose every parameter counts, its scores far enough apart to have a best."""
    torch.manual_seed(1)
    model = Transformer(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1.5).add_(0.1 * torch.randn_like(parameter))
    return model.eval()


def write_package(model: Transformer, folder: Path, variants: tuple[str, ...]) -> ModelPackage:
    """Exports `variants` of `model`; no tokenizer, no evidence."""
    for variant in variants:
        export_variant(model, variant, folder / variant)
    files = {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }
    return ModelPackage(folder, _manifest(model.config, files, variants))


def _manifest(shape: ModelConfig, files: dict[str, str], variants: tuple[str, ...]) -> Manifest:
    names = (contract.ENCODER_FILE, contract.DECODER_FILE, contract.WEIGHTS_FILE)
    return Manifest(
        name="tiny",
        version="1",
        architecture=Architecture(
            num_encoder_layers=shape.num_encoder_layers,
            num_decoder_layers=shape.num_decoder_layers,
            d_model=shape.d_model,
            num_heads=shape.num_heads,
            d_head=shape.d_model // shape.num_heads,
            vocabulary_size=shape.vocabulary_size,
            max_length=shape.max_length,
        ),
        languages=["en", "de"],
        directions=["en-de"],
        special_ids=SpecialIds(shape.pad_id, shape.bos_id, shape.eos_id, 3, {"en": 4, "de": 5}),
        variants={v: contract.Variant(*(f"{v}/{name}" for name in names)) for v in variants},
        default_variant=variants[0],
        decoding=DecodingDefaults(2.0, 16),
        files=files,
        provenance={},
        samples=[],
        evidence={},
    )


def random_sources(count: int, max_tokens: int = 30, seed: int = 1) -> list[list[int]]:
    """Sources of 1 to `max_tokens` tokens, each ending as sentences do."""
    random = torch.Generator().manual_seed(seed)
    lengths = torch.randint(0, max_tokens, (count,), generator=random).tolist()
    return [
        [*torch.randint(6, PAPER.vocabulary_size, (n,), generator=random).tolist(), PAPER.eos_id]
        for n in lengths
    ]
