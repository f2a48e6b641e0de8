"""Small configurations, models and corpora for the tests of training."""

from __future__ import annotations

from pathlib import Path

import torch

from training.aligned import AlignedText
from training.config import BOS_ID, EOS_ID, Config, DataConfig, ModelConfig, TrainConfig
from training.examples import Example, ExampleSource
from training.model import Transformer
from training.tokenizer import Tokenizer, train_tokenizer

SENTENCES = [
    ("a dog runs", "ein Hund rennt"),
    ("a cat runs", "eine Katze rennt"),
    ("a man sings", "ein Mann singt"),
    ("a woman sings", "eine Frau singt"),
    ("two dogs sleep", "zwei Hunde schlafen"),
    ("two cats sleep", "zwei Katzen schlafen"),
    ("three men work", "drei Männer arbeiten"),
    ("three women work", "drei Frauen arbeiten"),
    ("the child eats bread", "das Kind isst Brot"),
    ("the child drinks milk", "das Kind trinkt Milch"),
    ("the old house is red", "das alte Haus ist rot"),
    ("the new house is blue", "das neue Haus ist blau"),
    ("a small boat on a lake", "ein kleines Boot auf einem See"),
    ("a big ship on the sea", "ein großes Schiff auf dem Meer"),
    ("four birds in a tree", "vier Vögel in einem Baum"),
    ("five fish in the water", "fünf Fische im Wasser"),
    ("she reads a long book", "sie liest ein langes Buch"),
    ("he writes a short letter", "er schreibt einen kurzen Brief"),
    ("we go home now", "wir gehen jetzt nach Hause"),
    ("they stay here today", "sie bleiben heute hier"),
]
"""Twenty pairs, each word in them rare enough to be learned by heart."""


def model_config(**fields: object) -> ModelConfig:
    """A shape that takes milliseconds, with `fields` laid over it."""
    shape = {
        "vocabulary_size": 37,
        "d_model": 16,
        "num_heads": 2,
        "d_ff": 24,
        "num_encoder_layers": 2,
        "num_decoder_layers": 2,
        "dropout": 0.0,
        "max_length": 32,
    }
    return ModelConfig(**{**shape, **fields})  # type: ignore[arg-type]


def make_model(**fields: object) -> Transformer:
    """A model in evaluation mode whose every parameter counts: biases and norms are random too."""
    model = Transformer(model_config(**fields))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return model.eval()


def config(
    output: Path, model: ModelConfig | None = None, batch_tokens: int = 32, **train: object
) -> Config:
    """A recipe that validates without translating, with the fields `train` laid over it."""
    fields = {"validate_every": 4, "validation_sentences": 0, "warmup_steps": 4, **train}
    return Config(
        DataConfig(corpora=("numbers",), validation="numbers", batch_tokens=batch_tokens),
        model or model_config(),
        TrainConfig(output=str(output), **fields),  # type: ignore[arg-type]
    )


def random_ids(count: int, vocabulary_size: int = 37) -> list[int]:
    """`count` ids that are no special ones."""
    return torch.randint(4, vocabulary_size, (count,)).tolist()


def random_examples(count: int) -> list[Example]:
    """Examples of different lengths."""
    return [
        Example([*random_ids(2 + i % 5), EOS_ID], [BOS_ID, *random_ids(1 + i % 4), EOS_ID])
        for i in range(count)
    ]


class FixedExamples(ExampleSource):
    """The same examples every epoch, made by the test."""

    def __init__(self, examples: list[Example]) -> None:
        self.examples = examples

    def epoch(self, seed: int) -> list[Example]:
        """The examples."""
        return self.examples


def pairs() -> AlignedText:
    """SENTENCES as a corpus."""
    return AlignedText("pairs", {"en": [s for s, _ in SENTENCES], "de": [t for _, t in SENTENCES]})


def data_config(**fields: object) -> DataConfig:
    """Where text comes from, of no matter where, with `fields` laid over it."""
    return DataConfig(**{"corpora": ("numbers",), "validation": "numbers", **fields})  # type: ignore[arg-type]


def write(path: Path, content: str | bytes) -> Path:
    """`path`, with that in it."""
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def write_tsv(path: Path) -> Path:
    """SENTENCES as a TSV file."""
    path.write_text("".join(f"{s}\t{t}\n" for s, t in SENTENCES), encoding="utf-8")
    return path


def make_tokenizer(path: Path, is_byte_fallback: bool = True) -> Tokenizer:
    """A tokenizer of SENTENCES, written to `path`."""
    data = DataConfig(
        corpora=("numbers",),
        validation="numbers",
        vocabulary_size=400,
        is_byte_fallback=is_byte_fallback,
    )
    train_tokenizer((line for pair in SENTENCES for line in pair), data, path)
    return Tokenizer(path)
