"""python -m training CONFIG.yaml [section.field=value ...]: trains the recipe, or continues it."""

from __future__ import annotations

import argparse
import ctypes
import dataclasses
import sys
from pathlib import Path

import torch
import yaml

from training.batches import Example, drop_long, tokenize
from training.checkpoint import CheckpointError
from training.config import Config, ConfigError, load_config
from training.corpus import CorpusError, ParallelText, load_corpus
from training.model import Transformer
from training.tokenizer import Tokenizer, train_tokenizer
from training.trainer import Trainer


def main(arguments: list[str] | None = None) -> int:
    """Returns the exit code: 0 when trained, 2 for a wrong recipe, corpus or checkpoint."""
    parser = argparse.ArgumentParser(prog="python -m training", description=__doc__)
    parser.add_argument(
        "config", type=Path, help="a recipe, such as training/configs/multi30k.yaml"
    )
    parser.add_argument("overrides", nargs="*", metavar="section.field=value")
    options = parser.parse_args(arguments)
    try:
        run(load_config(options.config, options.overrides))
    except (ConfigError, CorpusError, CheckpointError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped: the same command continues from the last checkpoint", file=sys.stderr)
        return 130
    return 0


def run(config: Config) -> Path:
    """Trains the recipe and returns the path of the finished model."""
    _keep_freed_memory()
    torch.manual_seed(config.train.seed)
    if config.train.num_threads:
        torch.set_num_threads(config.train.num_threads)
    output = Path(config.train.output)
    output.mkdir(parents=True, exist_ok=True)
    texts = [load_corpus(name, config.data, "train") for name in config.data.corpora]
    validation_text = load_corpus(config.data.validation, config.data, "val")
    tokenizer = _tokenizer(config, texts, output / "tokenizer.model")
    shape = dataclasses.replace(config.model, vocabulary_size=tokenizer.vocabulary_size)
    config = dataclasses.replace(config, model=shape)
    (output / "config.yaml").write_text(
        yaml.safe_dump(_plain(config), sort_keys=False), encoding="utf-8"
    )
    examples = [example for text in texts for example in _examples(config, tokenizer, text)]
    model = Transformer(shape)
    num_parameters = sum(parameter.numel() for parameter in model.parameters())
    size = f"{num_parameters / 1e6:.1f} M parameters, V = {shape.vocabulary_size:,}"
    print(f"{len(examples):,} examples, {size}")
    trainer = Trainer(
        config, model, tokenizer, examples, _examples(config, tokenizer, validation_text)
    )
    path = trainer.train()
    minutes = trainer.progress.trained_s / 60
    print(f"trained {trainer.progress.step} steps in {minutes:.1f} minutes: {path}")
    return path


def _keep_freed_memory() -> None:
    """Tells glibc to keep large freed blocks: the same sizes come again every step, and fetching
    and clearing fresh
    pages for them took a third of a step's time. Elsewhere than on glibc, nothing happens.
    """
    m_trim_threshold, m_mmap_threshold = -1, -3  # from malloc.h
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        mallopt(m_mmap_threshold, 1 << 30)
        mallopt(m_trim_threshold, (1 << 31) - 1)


def _tokenizer(config: Config, texts: list[ParallelText], path: Path) -> Tokenizer:
    if not path.exists():
        sentences = (line for text in texts for side in (text.source, text.target) for line in side)
        train_tokenizer(sentences, config.data, path)
    return Tokenizer(path)


def _examples(config: Config, tokenizer: Tokenizer, text: ParallelText) -> list[Example]:
    examples = tokenize(text, tokenizer, config.data.languages, config.data.directions)
    max_tokens = min(config.data.max_tokens, config.model.max_length)
    kept = drop_long(examples, max_tokens)
    if not kept:
        raise CorpusError(f"{text.name}: no example has at most {max_tokens} tokens")
    if len(kept) < len(examples):
        count = len(examples) - len(kept)
        print(f"{text.name}: dropped {count} examples over {max_tokens} tokens", file=sys.stderr)
    return kept


def _plain(config: Config) -> dict[str, dict[str, object]]:
    sections = dataclasses.asdict(config)
    return {
        name: {
            key: list(value) if isinstance(value, tuple) else value
            for key, value in section.items()
        }
        for name, section in sections.items()
    }


if __name__ == "__main__":
    sys.exit(main())
