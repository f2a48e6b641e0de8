"""ModelPackage, Manifest and tensor names: the contract between export, which writes packages, and
server, which reads them.

A package is a folder NAME/VERSION/ with manifest.json, tokenizer.model and one pair of graphs for
each variant.
Nothing in it is trusted: every file's SHA-256, every figure of the evidence and the format version
are checked.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from server.errors import PackageError
from server.files import MAX_MANIFEST_BYTES, read_inside

FORMAT_VERSION = 2
"""2: the decoder emits the queries of its last cross-attention."""
MANIFEST_FILE = "manifest.json"
TOKENIZER_FILE = "tokenizer.model"
ENCODER_FILE = "encoder_model.onnx"
DECODER_FILE = "decoder_with_past_model.onnx"
WEIGHTS_FILE = "model.weights"
"""External data of both graphs of a variant: a tensor that both read is stored once."""
WRITE_CROSS_FILE = "write_cross.onnx"
COPY_ROWS_FILE = "copy_rows.onnx"
ALIGN_FILE = "align.onnx"
"""Beside the graphs of a variant whose caches are on another device than the CPU: what the host
does itself where they are its own memory.
"""

INPUT_IDS = "input_ids"
ATTENTION_MASK = "attention_mask"
PAST_LENGTHS = "past_lengths"
SOURCE_LENGTHS = "source_lengths"
LOGITS = "logits"
CROSS_QUERIES = "cross_queries"
"""Queries of the last layer's cross-attention, for alignments."""
CACHE, UPDATED_CACHE = "cache", "cache_updated"
SOURCES, TARGETS, PADS = "sources", "targets", "pads"
KEYS, QUERY, LENGTH, ATTENTION = "keys", "query", "length", "attention"
"""Inputs and outputs of the graphs over caches on a device."""


def cache_names(num_layers: int, prefix: str) -> list[str]:
    """Names of the caches in the order of the decoder's inputs; `prefix` is `past_key_values` or
    `present`.
    """
    kinds = ("decoder.key", "decoder.value", "encoder.key", "encoder.value")
    return [f"{prefix}.{i}.{kind}" for i in range(num_layers) for kind in kinds]


def device_of(variant: str) -> str:
    """`cpu` or `cuda`: what comes before the dash."""
    return variant.partition("-")[0]


def cross_cache_names(num_layers: int) -> list[str]:
    """Names of the encoder's outputs: keys and values for cross-attention, layer by layer."""
    return [name for name in cache_names(num_layers, "present") if ".encoder." in name]


@dataclass(frozen=True)
class EvidenceLimits:
    """What a variant's evidence must show for the package to be written, and to be served."""

    max_bleu_loss: float
    """How far below PyTorch's BLEU, on the same sentences and decoding, a variant may be."""
    max_chrf_loss: float
    """How far below PyTorch's chrF: BLEU says nothing of one-word translations, which have no four
    words in a row.
    """
    min_token_exact_rate: float
    """Share of sentences whose tokens are PyTorch's."""
    max_logit_difference: float
    """Largest absolute difference of a logit over a forced decode."""


EVIDENCE_LIMITS = {
    "cpu-fp32": EvidenceLimits(
        max_bleu_loss=0.1, max_chrf_loss=0.1, min_token_exact_rate=0.995, max_logit_difference=1e-4
    ),
    "cpu-int8": EvidenceLimits(
        max_bleu_loss=0.3, max_chrf_loss=0.5, min_token_exact_rate=0.5, max_logit_difference=5.0
    ),
    "cuda-fp16": EvidenceLimits(
        max_bleu_loss=0.1, max_chrf_loss=0.1, min_token_exact_rate=0.9, max_logit_difference=0.5
    ),
}


@dataclass(frozen=True)
class Architecture:
    """Shape of the model: what the runtime must know to allocate caches."""

    num_encoder_layers: int
    num_decoder_layers: int
    d_model: int
    num_heads: int
    d_head: int
    vocabulary_size: int
    max_length: int
    """Longest source or target in tokens."""


@dataclass(frozen=True)
class SpecialIds:
    """Ids with a meaning of their own; `language_tags` maps a language to the tag that asks for
    it.
    """

    pad: int
    bos: int
    eos: int
    unk: int
    language_tags: dict[str, int]


@dataclass(frozen=True)
class DecodingDefaults:
    """A translation may have `max_length_ratio` times the source's tokens plus
    `max_length_offset`.
    """

    max_length_ratio: float
    max_length_offset: int


@dataclass(frozen=True)
class Variant:
    """Files of one device and precision, as paths inside the package."""

    encoder: str
    decoder: str
    weights: str


@dataclass(frozen=True)
class Sample:
    """A sentence, and the token ids that each variant gave for it at export."""

    source_language: str
    target_language: str
    text: str
    expected: dict[str, list[int]]


@dataclass(frozen=True)
class Evidence:
    """What one implementation scored on the evidence text; for PyTorch itself the last two are
    perfect.
    """

    bleu: float
    bleu_signature: str
    chrf: float
    chrf_signature: str
    num_sentences: int
    token_exact_rate: float
    max_logit_difference: float


@dataclass(frozen=True)
class Manifest:
    """manifest.json, typed."""

    name: str
    version: str
    architecture: Architecture
    languages: list[str]
    directions: list[str]
    special_ids: SpecialIds
    variants: dict[str, Variant]
    default_variant: str
    decoding: DecodingDefaults
    files: dict[str, str]
    """SHA-256 of every file but the manifest."""
    provenance: dict[str, Any]
    samples: list[Sample]
    evidence: dict[str, Evidence]
    """`pytorch`, and one entry a variant."""
    tensor_names: dict[str, list[str]] = field(default_factory=dict)
    format_version: int = FORMAT_VERSION

    def target_limit(self, num_source_tokens: int) -> int:
        """How many tokens a translation may have where the caller does not say, its end counted."""
        defaults = self.decoding
        generous = int(defaults.max_length_ratio * num_source_tokens) + defaults.max_length_offset
        return min(generous, self.architecture.max_length)


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Writes manifest.json with its seal, after checking the evidence. Raises PackageError."""
    check_evidence(str(folder), manifest)
    write_draft(folder, manifest)


def write_draft(folder: Path, manifest: Manifest) -> None:
    """Writes manifest.json with its seal, whatever its evidence. That is for `read_manifest`:
    `open_package`, and so a server, takes none without evidence.
    """
    document = asdict(manifest)
    document["seal"] = _seal(document)
    text = json.dumps(document, indent=2, ensure_ascii=False)
    (folder / MANIFEST_FILE).write_text(text + "\n", encoding="utf-8")


def check_evidence(package: str, manifest: Manifest) -> None:
    """Raises PackageError naming the first figure that is missing or beyond its limit."""
    pytorch = manifest.evidence.get("pytorch")
    if pytorch is None:
        raise PackageError(f"{package}: evidence.pytorch is missing")
    for name in manifest.variants:
        limits, shown = EVIDENCE_LIMITS.get(name), manifest.evidence.get(name)
        if limits is None:
            raise PackageError(
                f"{package}: variant {name!r} is unknown: it is {', '.join(EVIDENCE_LIMITS)}"
            )
        if shown is None:
            raise PackageError(f"{package}: evidence.{name} is missing")
        _check_variant(f"{package}: evidence.{name}", pytorch, shown, limits)


def _check_variant(label: str, pytorch: Evidence, shown: Evidence, limits: EvidenceLimits) -> None:
    floor = pytorch.bleu - limits.max_bleu_loss
    if not shown.bleu >= floor:
        raise PackageError(f"{label}.bleu is {shown.bleu}, at least {floor:.2f} is needed")
    floor = pytorch.chrf - limits.max_chrf_loss
    if not shown.chrf >= floor:
        raise PackageError(f"{label}.chrf is {shown.chrf}, at least {floor:.2f} is needed")
    rate = limits.min_token_exact_rate
    if not shown.token_exact_rate >= rate:
        raise PackageError(
            f"{label}.token_exact_rate is {shown.token_exact_rate}, at least {rate} is needed"
        )
    largest = limits.max_logit_difference
    if not shown.max_logit_difference <= largest:
        raise PackageError(
            f"{label}.max_logit_difference is {shown.max_logit_difference}, "
            f"at most {largest} is allowed"
        )


class ModelPackage:
    """A package on disk; its files are read, and checked, when they are needed."""

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        """A package whose manifest is known; one on disk comes from `open_package`."""
        self.folder = folder
        self.manifest = manifest

    @property
    def label(self) -> str:
        """name/version."""
        return f"{self.manifest.name}/{self.manifest.version}"

    def check_files(self) -> None:
        """Raises PackageError naming the first file that is missing or differs from its SHA-256."""
        for path in self.manifest.files:
            self.read_file(path)

    def read_file(self, path: str) -> bytes:
        """The bytes of a file of the package, in private memory. Raises PackageError."""
        content = read_inside(self.folder, path)
        found, expected = hashlib.sha256(content).hexdigest(), self.manifest.files.get(path)
        if found != expected:
            raise PackageError(
                f"{self.folder / path}: SHA-256 is {found}, the manifest says {expected}"
            )
        return content


def open_package(folder: Path) -> ModelPackage:
    """The package in `folder`, its manifest checked. Raises PackageError."""
    manifest = read_manifest(folder)
    check_evidence(str(folder), manifest)
    for name, variant in manifest.variants.items():
        for path in (variant.encoder, variant.decoder, variant.weights, TOKENIZER_FILE):
            if not isinstance(path, str) or path not in manifest.files:
                raise PackageError(f"{folder}: variant {name} needs {path}, which has no SHA-256")
    return ModelPackage(folder, manifest)


def read_manifest(folder: Path) -> Manifest:
    """The manifest of the package in `folder`, its evidence and files not looked at: `open_package`
    is for what is to be served. Raises PackageError.
    """
    path = folder / MANIFEST_FILE
    try:
        document = json.loads(read_inside(folder, MANIFEST_FILE, MAX_MANIFEST_BYTES))
    except RecursionError:
        raise PackageError(f"{path}: nested too deeply") from None
    except ValueError as error:
        raise PackageError(f"{path}: {error}") from error
    version = document.get("format_version") if isinstance(document, dict) else None
    if version != FORMAT_VERSION:
        raise PackageError(
            f"{path}: format_version is {version!r}, this server reads {FORMAT_VERSION}: "
            "export the checkpoint again, with python -m export"
        )
    try:
        _check_seal(path, document)
        return _parse_manifest(document)
    except (KeyError, TypeError, AttributeError) as error:
        raise PackageError(f"{path}: malformed: {error}") from error


def _parse_manifest(document: dict[str, Any]) -> Manifest:
    values = {key: value for key, value in document.items() if key != "seal"}
    values["architecture"] = Architecture(**values["architecture"])
    values["special_ids"] = SpecialIds(**values["special_ids"])
    values["variants"] = {name: Variant(**variant) for name, variant in values["variants"].items()}
    values["decoding"] = DecodingDefaults(**values["decoding"])
    values["samples"] = [Sample(**sample) for sample in values["samples"]]
    values["evidence"] = {name: Evidence(**figures) for name, figures in values["evidence"].items()}
    return Manifest(**values)


def _seal(document: dict[str, Any]) -> dict[str, str]:
    """A digest for each figure of the evidence and each other section, so that an edit is named
    where it was made.
    """
    parts = {key: value for key, value in document.items() if key not in ("seal", "evidence")}
    for variant, figures in document.get("evidence", {}).items():
        parts |= {f"evidence.{variant}.{name}": value for name, value in figures.items()}
    return {name: _digest(value) for name, value in parts.items()}


def _digest(value: object) -> str:
    canonical = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def _check_seal(path: Path, document: dict[str, Any]) -> None:
    sealed, found = document.get("seal"), _seal(document)
    if not isinstance(sealed, dict):
        raise PackageError(f"{path}: seal is missing")
    for name in sorted({*sealed, *found}):
        if sealed.get(name) != found.get(name):
            raise PackageError(f"{path}: {name} was edited after the export")
