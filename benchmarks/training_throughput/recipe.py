"""What everyone trains: one corpus, one tokenizer, one size of model, in files that all read."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

from training.batches import shuffled_batches
from training.config import Config, DataConfig, ModelConfig, TrainConfig
from training.corpus import load_corpus
from training.examples import Example, ExampleSource
from training.recipe import config_from_dict
from training.tokenizer import Tokenizer, train_tokenizer

Cut = Callable[[list[Example], int, int], list[list[list[Example]]]]
"""(examples, tokens of a batch, seed) to one epoch's batches, each of one group or more that are
computed one after the other."""


@dataclasses.dataclass(frozen=True)
class Size:
    """What the command line chooses; the rest is the same for everyone at any size."""

    d_model: int = 256
    num_heads: int = 4
    d_ff: int = 1024
    num_encoder_layers: int = 4
    num_decoder_layers: int = 2
    vocabulary_size: int = 8000
    dropout: float = 0.2
    batch_tokens: int = 4096
    learning_rate: float = 1e-3
    warmup_steps: int = 200


Text = dict[str, dict[str, list[str]]]
"""Part, `train` or `val`, and language, to its lines."""
PARTS = ("train", "val")
TOKENIZER = "tokenizer.model"


def multi30k(data_root: str, direction: str, num_pairs: int) -> Text:
    """Text of Multi30k, the first `num_pairs` of every part, all where it is 0."""
    languages = tuple(direction.split("-"))
    data = DataConfig(
        corpora=("multi30k",), validation="multi30k", root=data_root, languages=languages
    )
    texts = {part: load_corpus("multi30k", data, part).sides for part in PARTS}
    return {
        part: {language: lines[: num_pairs or None] for language, lines in sides.items()}
        for part, sides in texts.items()
    }


def write_recipe(folder: Path, text: Text, direction: str, size: Size) -> Path:
    """Text, tokenizer and config in `folder`; returns the config's path."""
    for part, sides in text.items():
        for language, lines in sides.items():
            content = "".join(f"{line}\n" for line in lines)
            (folder / f"{part}.{language}").write_text(content, encoding="utf-8")
    languages = tuple(direction.split("-"))
    train, val = (",".join(f"{folder / part}.{lang}" for lang in languages) for part in PARTS)
    data = DataConfig(
        corpora=(f"files:{train}",),
        validation=f"files:{val}",
        languages=languages,
        directions=(direction,),
        vocabulary_size=size.vocabulary_size,
        batch_tokens=size.batch_tokens,
    )
    sentences = (line for lines in text["train"].values() for line in lines)
    train_tokenizer(sentences, data, folder / TOKENIZER)
    path = folder / "recipe.json"
    path.write_text(json.dumps(dataclasses.asdict(_config(data, size, folder))))
    return path


def _config(data: DataConfig, size: Size, folder: Path) -> Config:
    shape = {field.name for field in dataclasses.fields(ModelConfig)}
    chosen = {key: value for key, value in dataclasses.asdict(size).items() if key in shape}
    chosen["vocabulary_size"] = Tokenizer(folder / TOKENIZER).vocabulary_size
    train = TrainConfig(
        output=str(folder), learning_rate=size.learning_rate, warmup_steps=size.warmup_steps
    )
    return Config(data, ModelConfig(**chosen), train)


def read_recipe(path: Path) -> Config:
    """The config that `write_recipe` wrote; text and tokenizer lie beside it."""
    return config_from_dict(json.loads(path.read_text()))


def load_examples(config: Config, part: str) -> list[Example]:
    """All pairs of `part`, `train` or `val`, in the most probable pieces."""
    name = config.data.corpora[0] if part == "train" else config.data.validation
    text = load_corpus(name, config.data, part)
    tokenizer = Tokenizer(config.train.output_path / TOKENIZER)
    return ExampleSource([text], tokenizer, config.data, config.model.max_length).examples


def our_batches(examples: list[Example], batch_tokens: int, seed: int) -> list[list[list[Example]]]:
    """One epoch as training.trainer cuts it, in as many groups a batch as it takes by default."""
    return shuffled_batches(examples, batch_tokens, TrainConfig().accumulate, seed)


def num_target_tokens(examples: list[Example]) -> int:
    """Tokens that count in the loss: pieces and end of every target."""
    return sum(len(example.target) - 1 for example in examples)


def tokens_per_update(cut: Cut, examples: list[Example], batch_tokens: int, seed: int) -> float:
    """Target tokens of one update, on average over an epoch."""
    return num_target_tokens(examples) / len(cut(examples, batch_tokens, seed))


def matched_batch_tokens(
    cut: Cut, examples: list[Example], wanted_per_update: float, seed: int
) -> int:
    """The padded size of batch at which `cut` has `wanted_per_update` target tokens an update."""
    batch_tokens = round(wanted_per_update)
    for _ in range(6):  # nearly proportional: each round takes the rest of the error
        found = tokens_per_update(cut, examples, batch_tokens, seed)
        batch_tokens = round(batch_tokens * wanted_per_update / found)
    return batch_tokens
