"""The two models, each as a package of ours and as CTranslate2's, and what they are asked."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks.ctranslate2_converter import convert, convert_model
from benchmarks.versus_ctranslate2.workload import Sentence
from demos.bundled import CHECKPOINT, PACKAGE
from export.to_onnx import export_variant
from server import package as contract
from server.package import (
    TOKENIZER_FILE,
    Architecture,
    DecodingDefaults,
    Manifest,
    SpecialIds,
    Variant,
    open_package,
    write_draft,
)
from server.text.tokenizer import Tokenizer
from training.config import ModelConfig
from training.corpus import read_lines
from training.model import Transformer
from training.multi30k import multi30k_file

VARIANT = "cpu-int8"
SOURCE, TARGET = "en", "de"

BASE = ModelConfig(
    vocabulary_size=32_000,
    d_model=512,
    num_heads=8,
    d_ff=2048,
    num_encoder_layers=6,
    num_decoder_layers=6,
    max_length=256,
)
"""The base model of Vaswani et al. 2017, with as many pieces."""

NUM_BASE_SOURCES, BASE_SOURCE_TOKENS, BASE_TARGET_TOKENS = 512, 15, 20


@dataclass(frozen=True)
class Model:
    """One model on both sides."""

    name: str
    ours: Path
    """A package's folder."""
    theirs: Path
    """A converted model's."""
    sentences: list[Sentence]


@dataclass(frozen=True)
class Captions:
    """test_2016, as the bundled model reads it."""

    tokenizer: Tokenizer
    references: list[str]
    sentences: list[Sentence]


def captions(data_root: str) -> Captions:
    """English captions and their German translations. Raises CorpusError."""
    package = open_package(PACKAGE)
    tokenizer = Tokenizer(package.read_file(TOKENIZER_FILE), package.manifest.special_ids)
    sources, references = (
        read_lines(multi30k_file(f"test_2016_flickr.{language}.gz", data_root))
        for language in (SOURCE, TARGET)
    )
    encoded = [tokenizer.encode(text, TARGET) for text in sources]
    most = max(package.manifest.target_limit(len(source)) for source in encoded)
    return Captions(tokenizer, references, [Sentence(source, 0, most) for source in encoded])


def bundled(text: Captions, folder: Path) -> Model:
    """The model that comes with this project; CTranslate2's goes into `folder`."""
    return Model("bundled", PACKAGE, convert(CHECKPOINT, folder / "theirs"), text.sentences)


def base(folder: Path) -> Model:
    """A model with random weights; lengths are fixed, for it would never end a sentence."""
    torch.manual_seed(1)
    model = Transformer(BASE).eval()
    pieces = ["<pad>", "<s>", "</s>", "<unk>", *(f"p{i}" for i in range(4, BASE.vocabulary_size))]
    return Model(
        "base",
        _package(model, folder / "ours"),
        convert_model(model, pieces, folder / "theirs"),
        _random_sentences(),
    )


def _random_sentences() -> list[Sentence]:
    random = torch.Generator().manual_seed(1)
    shape = (NUM_BASE_SOURCES, BASE_SOURCE_TOKENS - 1)
    drawn = torch.randint(4, BASE.vocabulary_size, shape, generator=random).tolist()
    length = BASE_TARGET_TOKENS
    return [Sentence([*tokens, BASE.eos_id], length, length) for tokens in drawn]


def _package(model: Transformer, folder: Path) -> Path:
    """A package to be measured, not to be served: no tokenizer, no evidence."""
    export_variant(model, VARIANT, folder / VARIANT)
    shape = model.config
    names = (contract.ENCODER_FILE, contract.DECODER_FILE, contract.WEIGHTS_FILE)
    manifest = Manifest(
        name="base",
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
        languages=[SOURCE, TARGET],
        directions=[f"{SOURCE}-{TARGET}"],
        special_ids=SpecialIds(shape.pad_id, shape.bos_id, shape.eos_id, 3, {}),
        variants={VARIANT: Variant(*(f"{VARIANT}/{name}" for name in names))},
        default_variant=VARIANT,
        decoding=DecodingDefaults(2.0, 16),
        files={
            str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in folder.rglob("*")
            if path.is_file()
        },
        provenance={},
        samples=[],
        evidence={},
    )
    write_draft(folder, manifest)
    return folder
