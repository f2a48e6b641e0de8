"""From a recipe to a finished model: text, tokenizer, model, training."""

from __future__ import annotations

import ctypes
import dataclasses
import json
import sys
from pathlib import Path

import torch
import yaml

from training.aligned import AlignedText
from training.checkpoint import write_atomically
from training.config import Config
from training.corpus import load_corpus
from training.examples import ExampleSource
from training.hygiene import clean, describe
from training.model import Transformer
from training.parallel import Workers, join_workers
from training.run_folder import RunFolder
from training.tokenizer import Tokenizer, train_tokenizer
from training.trainer import Trainer
from training.transfer import start_from_checkpoint
from training.word_vectors import start_from_word_vectors


def run(config: Config) -> Path:
    """Trains the recipe, in every process that torchrun started, and returns the path of the
    finished model.
    """
    keep_freed_memory()
    if config.train.num_threads:
        torch.set_num_threads(config.train.num_threads)
    with join_workers(config.train.device) as workers:
        trainer = _prepare(config, workers)
        trainer.train()
        progress, path = trainer.progress, trainer.folder.model_path
        if workers.is_first:
            print(f"trained {progress.step} steps in {progress.trained_s / 60:.1f} minutes: {path}")
        return path


def _prepare(config: Config, workers: Workers) -> Trainer:
    """Text, tokenizer and model, the same in every process."""
    folder = RunFolder(config.train.output_path)
    folder.path.mkdir(parents=True, exist_ok=True)
    texts, counts = _clean_texts(config)
    validation_text = load_corpus(config.data.validation, config.data, "val")
    if workers.is_first:
        write_atomically(folder.hygiene_path, json.dumps(counts, indent=2).encode())
        _make_tokenizer(config, texts, folder.tokenizer_path)
    workers.wait()  # it is there now
    tokenizer = Tokenizer(folder.tokenizer_path)
    shape = dataclasses.replace(config.model, vocabulary_size=tokenizer.vocabulary_size)
    config = dataclasses.replace(config, model=shape)
    train = ExampleSource(texts, tokenizer, config.data, shape.max_length)
    plain = dataclasses.replace(config.data, directions=tuple(config.data.learned_directions()))
    validation = ExampleSource([validation_text], tokenizer, plain, shape.max_length)
    model, notes = _make_model(config, tokenizer, is_new=not folder.state_path.exists())
    if workers.is_first:
        print("\n".join(notes), end="\n" if notes else "")
        text = yaml.safe_dump(_plain(config), sort_keys=False)
        write_atomically(folder.config_path, text.encode())
        _announce(train, model, counts)
    return Trainer(config, model, tokenizer, train, validation.examples, workers)


def _clean_texts(config: Config) -> tuple[list[AlignedText], dict[str, dict[str, int]]]:
    """The training text without useless rows, and what went, by corpus and reason."""
    counts: dict[str, dict[str, int]] = {}
    texts = []
    for name in config.data.corpora:
        rows = load_corpus(name, config.data, "train").first(config.data.max_rows)
        text, counts[name] = clean(rows, config.data)
        texts.append(text)
    return texts, counts


def _make_model(
    config: Config, tokenizer: Tokenizer, is_new: bool
) -> tuple[Transformer, list[str]]:
    """A model to start from, random or as the recipe says, and what to tell of it; where a run
    goes on (not `is_new`), its state will tell the weights.
    """
    notes: list[str] = []
    torch.manual_seed(config.train.seed)
    model = Transformer(config.model)
    if not is_new:
        return model, notes
    if config.train.embeddings_from:
        path, matrix = Path(config.train.embeddings_from), model.embedding.words.weight
        count = start_from_word_vectors(matrix.data, tokenizer.pieces, path)
        notes.append(f"{path}: {count:,} of {tokenizer.vocabulary_size:,} tokens start from it")
    if config.train.init_from:
        path = Path(config.train.init_from)
        count = start_from_checkpoint(model, tokenizer, path)
        notes.append(f"{path}: it knew {count:,} of {tokenizer.vocabulary_size:,} tokens")
    return model, notes


def _announce(train: ExampleSource, model: Transformer, counts: dict[str, dict[str, int]]) -> None:
    for name, reasons in counts.items():
        if describe(reasons):
            print(f"{name}: dropped {describe(reasons)}", file=sys.stderr)
    num_parameters = sum(parameter.numel() for parameter in model.parameters())
    size = f"{num_parameters / 1e6:.1f} M parameters, V = {model.config.vocabulary_size:,}"
    print(f"{train.num_examples:,} examples, {size}")
    if train.num_too_long:
        print(f"dropped {train.num_too_long:,} examples over the limit of tokens", file=sys.stderr)


def keep_freed_memory() -> None:
    """Tells glibc to keep large freed blocks: the same sizes come again every step, and fetching
    and clearing fresh pages for them took a third of a step's time. Elsewhere than on glibc,
    nothing happens.
    """
    m_trim_threshold, m_mmap_threshold = -1, -3  # from malloc.h
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        mallopt(m_mmap_threshold, 1 << 30)
        mallopt(m_trim_threshold, (1 << 31) - 1)


def _make_tokenizer(config: Config, texts: list[AlignedText], path: Path) -> None:
    if path.exists():
        return
    if config.train.init_from:
        beside = Path(config.train.init_from).parent / "tokenizer.model"
        known = Tokenizer(beside) if beside.exists() else None
        if known and all(known.has_tag(language) for language in config.data.languages):
            write_atomically(path, beside.read_bytes())
            return
    sentences = (line for text in texts for side in text.sides.values() for line in side)
    train_tokenizer(sentences, config.data, path)


def _plain(config: Config) -> dict[str, dict[str, object]]:
    sections = dataclasses.asdict(config)
    return {
        name: {
            key: list(value) if isinstance(value, tuple) else value
            for key, value in section.items()
        }
        for name, section in sections.items()
    }
