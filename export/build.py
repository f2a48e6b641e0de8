"""Builds a model package: graphs, tokenizer, model card, evidence, manifest. Nothing appears unless
all of it holds.
"""

from __future__ import annotations

import dataclasses
import hashlib
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnxruntime
import torch

from export import verify
from export.card import model_card
from export.to_onnx import export_variant
from server import package as contract
from server.package import Evidence, Manifest, ModelPackage, Variant
from server.runtime.sessions import check_device
from server.text.tokenizer import Tokenizer as ServingTokenizer
from training.checkpoint import CheckpointError, load_model
from training.config import PAD_ID, Config
from training.corpus import load_corpus
from training.model import Transformer
from training.search import max_target_tokens
from training.tokenizer import Tokenizer as TrainingTokenizer
from training.tokenizer import language_tag

NUM_SAMPLES = 8


@dataclass(frozen=True)
class ExportOptions:
    """What to build and from what."""

    checkpoint: Path
    output: Path
    """NAME/VERSION/ of the package."""
    variants: tuple[str, ...] = ("cpu-int8", "cpu-fp32")
    shipped: tuple[str, ...] = ()
    """Variants that stay in the package once the evidence is written; all, where empty."""
    default_variant: str = "cpu-int8"
    data_root: str = ""
    """Folder of Multi30k's files; where empty, the checkpoint's own."""
    notes: str = ""
    """A file to append to the model card."""


def build_package(options: ExportOptions, report: Callable[[str], object] = print) -> Path:
    """Exports, verifies and writes; returns the package's folder.

    Raises PackageError, and leaves nothing behind, if the evidence fails; CheckpointError or
    CorpusError for bad input; ConfigError where a variant's device is not at hand, for its evidence
    is measured there and nowhere else.
    """
    for variant in options.variants:
        check_device(contract.device_of(variant))
    model, checkpoint = load_model(options.checkpoint)
    tokenizer_path = options.checkpoint.parent / contract.TOKENIZER_FILE
    _check_vocabulary(tokenizer_path, model)
    if not checkpoint.config.data.learned_directions():
        raise CheckpointError(f"{options.checkpoint} learned to restore text, not to translate")
    sentences = evidence_sentences(checkpoint.config, options.data_root)
    with _new_folder(options.output) as folder:
        _export_all(options, model, folder, report)
        draft = _draft(options, model, checkpoint.config, folder)
        manifest = _with_evidence(draft, folder, model, sentences, report)
        manifest = _ship(manifest, options.shipped or options.variants, folder)
        notes = Path(options.notes).read_text(encoding="utf-8") if options.notes else ""
        (folder / "README.md").write_text(model_card(manifest, notes), encoding="utf-8")
        contract.write_manifest(folder, dataclasses.replace(manifest, files=_hashes(folder)))
        contract.open_package(folder).check_files()
    return options.output


def draft_package(
    options: ExportOptions, folder: Path, report: Callable[[str], object] = print
) -> ModelPackage:
    """Graphs and tokenizer in `folder`, to be measured: without evidence there is no manifest on
    disk, and no server takes it. Raises CheckpointError.
    """
    model, checkpoint = load_model(options.checkpoint)
    _export_all(options, model, folder, report)
    return ModelPackage(folder, _draft(options, model, checkpoint.config, folder))


def _export_all(
    options: ExportOptions, model: Transformer, folder: Path, report: Callable[[str], object]
) -> None:
    tokenizer = options.checkpoint.parent / contract.TOKENIZER_FILE
    shutil.copyfile(tokenizer, folder / contract.TOKENIZER_FILE)
    for variant in options.variants:
        report(f"exporting {variant}")
        export_variant(model, variant, folder / variant)


def _check_vocabulary(tokenizer: Path, model: Transformer) -> None:
    try:
        found = TrainingTokenizer(tokenizer).vocabulary_size
    except RuntimeError as error:  # SentencePiece has no other
        raise CheckpointError(f"{tokenizer}: {error}") from error
    expected = model.config.vocabulary_size
    if found != expected:
        raise CheckpointError(f"{tokenizer} has {found} pieces, the model {expected}: another's?")


@contextmanager
def _new_folder(final: Path) -> Iterator[Path]:
    """A folder that takes the place of `final` at the end, or vanishes if anything fails."""
    final.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=final.parent, prefix=".export-") as parent:
        folder = Path(parent) / final.name
        folder.mkdir()
        yield folder
        if final.exists():
            shutil.rmtree(final)
        folder.replace(final)


def evidence_sentences(config: Config, data_root: str) -> list[verify.Sentence]:
    """The whole validation text of the run that made the checkpoint, in every direction."""
    data = dataclasses.replace(config.data, root=data_root or config.data.root)
    text = load_corpus(data.validation, data, "val")
    sentences = []
    for direction in data.learned_directions():
        source, target = direction.split("-")
        pairs = zip(text.sides[source], text.sides[target], strict=True)
        sentences += [verify.Sentence(source, target, s, t) for s, t in pairs]
    return sentences


def _draft(options: ExportOptions, model: Transformer, config: Config, folder: Path) -> Manifest:
    """The manifest but for evidence and samples."""
    shape = config.model
    return Manifest(
        name=options.output.parent.name,
        version=options.output.name,
        architecture=contract.Architecture(
            num_encoder_layers=shape.num_encoder_layers,
            num_decoder_layers=shape.num_decoder_layers,
            d_model=shape.d_model,
            num_heads=shape.num_heads,
            d_head=shape.d_model // shape.num_heads,
            vocabulary_size=shape.vocabulary_size,
            max_length=shape.max_length,
        ),
        languages=list(config.data.languages),
        directions=config.data.learned_directions(),
        special_ids=_special_ids(folder / contract.TOKENIZER_FILE, config),
        variants={name: _variant(name) for name in options.variants},
        default_variant=options.default_variant,
        decoding=_decoding_defaults(),
        files=_hashes(folder),
        provenance=_provenance(options, config, model),
        samples=[],
        evidence={},
        tensor_names={
            "encoder_outputs": contract.cross_cache_names(shape.num_decoder_layers),
            "decoder_inputs": contract.cache_names(shape.num_decoder_layers, "past_key_values"),
            "decoder_outputs": contract.cache_names(shape.num_decoder_layers, "present"),
        },
    )


def _variant(name: str) -> Variant:
    files = (contract.ENCODER_FILE, contract.DECODER_FILE, contract.WEIGHTS_FILE)
    return Variant(*(f"{name}/{file}" for file in files))


def _special_ids(tokenizer: Path, config: Config) -> contract.SpecialIds:
    processor = TrainingTokenizer(tokenizer)
    tags = {
        language: processor.piece_id(language_tag(language)) for language in config.data.languages
    }
    unk = processor.piece_id("<unk>")
    return contract.SpecialIds(PAD_ID, config.model.bos_id, config.model.eos_id, unk, tags)


def _decoding_defaults() -> contract.DecodingDefaults:
    """The reference search's own rule for the length of a translation, read off it."""
    unbounded = 1 << 30
    offset = max_target_tokens(0, unbounded)
    return contract.DecodingDefaults(float(max_target_tokens(1, unbounded) - offset), offset)


def _provenance(options: ExportOptions, config: Config, model: Transformer) -> dict[str, Any]:
    return {
        "corpora": [Path(name).name for name in config.data.corpora],
        "recipe": {"model": dataclasses.asdict(config.model), "train": _recipe(config)},
        "num_parameters": sum(parameter.numel() for parameter in model.parameters()),
        "checkpoint_sha256": hashlib.sha256(options.checkpoint.read_bytes()).hexdigest(),
        "commit": _commit(),
        "torch": torch.__version__.partition("+")[0],
        "onnxruntime": onnxruntime.__version__,
    }


def _recipe(config: Config) -> dict[str, Any]:
    return {
        key: value for key, value in dataclasses.asdict(config.train).items() if key != "output"
    }


def _commit() -> str:
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    try:
        found = subprocess.run(
            command, capture_output=True, text=True, check=False, cwd=Path(__file__).parent
        )
    except OSError:
        return "unknown"
    return found.stdout.strip() or "unknown"


def _with_evidence(
    draft: Manifest,
    folder: Path,
    model: Transformer,
    sentences: list[verify.Sentence],
    report: Callable[[str], object],
) -> Manifest:
    """Measures every variant. Raises PackageError if tokenizers differ or a figure is beyond its
    limit.
    """
    tokenizer = TrainingTokenizer(folder / contract.TOKENIZER_FILE)
    serving = ServingTokenizer((folder / contract.TOKENIZER_FILE).read_bytes(), draft.special_ids)
    verify.check_tokenizers(sentences, tokenizer, serving)
    report(f"translating {len(sentences)} sentences with PyTorch")
    reference = verify.make_reference(model, tokenizer, sentences)
    evidence: dict[str, Evidence] = {"pytorch": verify.pytorch_evidence(reference)}
    outputs = {}
    for variant in draft.variants:
        report(f"verifying {variant}")
        package = ModelPackage(folder, draft)
        evidence[variant], outputs[variant] = verify.verify_variant(
            package, variant, model, reference, sentences
        )
        report(_line(variant, evidence[variant], evidence["pytorch"]))
    samples = verify.make_samples(sentences, outputs, NUM_SAMPLES)
    manifest = dataclasses.replace(draft, evidence=evidence, samples=samples)
    contract.check_evidence(str(folder), manifest)
    return manifest


def _line(variant: str, shown: Evidence, pytorch: Evidence) -> str:
    return (
        f"{variant}: BLEU {shown.bleu:.2f} (PyTorch {pytorch.bleu:.2f}), "
        f"chrF {shown.chrf:.2f}, token-exact {shown.token_exact_rate:.2%}, "
        f"largest logit difference {shown.max_logit_difference:.1e}"
    )


def _ship(manifest: Manifest, shipped: tuple[str, ...], folder: Path) -> Manifest:
    """Takes the variants that do not ship out of the folder; their evidence stays, for it was
    measured.
    """
    for name in set(manifest.variants) - set(shipped):
        shutil.rmtree(folder / name)
    variants = {name: variant for name, variant in manifest.variants.items() if name in shipped}
    return dataclasses.replace(manifest, variants=variants)


def _hashes(folder: Path) -> dict[str, str]:
    files = sorted(
        path for path in folder.rglob("*") if path.is_file() and path.name != contract.MANIFEST_FILE
    )
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }
