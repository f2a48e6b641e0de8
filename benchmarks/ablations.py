"""Variations of one small recipe, each trained for as many tokens, side by side.

    python -m benchmarks.ablations [--data FOLDER] [--tokens 8000000] [--only dropout] [--json FILE]

English to German and back on Multi30k, D = 128: a variation takes minutes on one core. Prints
validation loss, greedy and beam BLEU on the validation part for each. What it found is in
docs/experiments.md; a run that was stopped goes on where it was.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
from dataclasses import asdict, dataclass
from pathlib import Path

from training.checkpoint import load_model
from training.corpus import load_corpus
from training.evaluate import score
from training.recipe import config_from_dict
from training.run import run
from training.teacher import translate_all
from training.tokenizer import Tokenizer

BASE: dict[str, dict[str, object]] = {
    "data": {
        "corpora": ["multi30k"],
        "validation": "multi30k",
        "languages": ["en", "de"],
        "directions": ["all"],
        "vocabulary_size": 6000,
        "batch_tokens": 4096,
    },
    "model": {
        "d_model": 128,
        "num_heads": 4,
        "d_ff": 512,
        "num_encoder_layers": 4,
        "num_decoder_layers": 2,
        "dropout": 0.2,
    },
    "train": {
        "learning_rate": 3e-3,
        "warmup_steps": 500,
        "autocast": "bfloat16",
        "num_threads": 1,
        "validation_sentences": 0,
        "patience": 0,
        "average_last": 4,
    },
}
"""What the variations vary."""

TOKENS_A_STEP = 3650
"""Target tokens that a batch of 4,096 has, about."""

VARIATIONS: dict[str, dict[str, object]] = {
    "base": {},
    "dropout 0.1": {"model.dropout": 0.1},
    "dropout 0.3": {"model.dropout": 0.3},
    "attention dropout 0.1": {"model.attention_dropout": 0.1},
    "vocabulary 3,000": {"data.vocabulary_size": 3000},
    "vocabulary 10,000": {"data.vocabulary_size": 10000},
    "sampled segmentations, alpha 0.5": {"data.sampling_alpha": 0.5},
    "sampled segmentations, alpha 0.2": {"data.sampling_alpha": 0.2},
    "untied embeddings": {"model.tie_embeddings": False},
    "no averaging": {"train.average_last": 1},
    "pre-norm": {"model.norm": "pre"},
    "gelu": {"model.activation": "gelu"},
    "learned positions": {"model.positions": "learned"},
    "3+3 layers": {"model.num_encoder_layers": 3, "model.num_decoder_layers": 3},
    "5+1 layers": {"model.num_encoder_layers": 5, "model.num_decoder_layers": 1},
    "8+1 layers": {"model.num_encoder_layers": 8, "model.num_decoder_layers": 1},
    "R-Drop 5": {"train.r_drop": 5.0},
    "one direction": {"data.directions": ["en-de"]},
    "twelve directions": {"data.languages": ["en", "de", "fr", "cs"]},
    "with denoising": {"data.denoise": ["all"]},
    "half the batch": {"data.batch_tokens": 2048},
}


@dataclass(frozen=True)
class Result:
    """One variation after its training."""

    name: str
    validation_loss: float
    """Nats a token, all its directions; comparable where vocabulary and directions are the same."""
    greedy_bleu: float
    beam_bleu: float
    """en-de, validation part, cased sacreBLEU; beam 5."""
    minutes: float


def recipe(overrides: dict[str, object], tokens: int, data: str, output: Path) -> dict[str, object]:
    """The document of one variation that sees about `tokens` target tokens."""
    document = {name: dict(part) for name, part in BASE.items()}
    for name, value in overrides.items():
        section, _, key = name.partition(".")
        document[section][key] = value
    share = int(str(document["data"]["batch_tokens"])) / 4096
    passes = 2 if document["train"].get("r_drop") else 1  # R-Drop pays twice for a token
    steps = max(2, round(tokens / (TOKENS_A_STEP * share * passes)))
    document["train"] |= {
        "max_steps": steps,
        "cooldown_steps": steps // 3,
        "validate_every": max(1, steps // 20),
        "output": str(output),
    }
    document["data"]["root"] = data
    return dict(document)


def measure(name: str, overrides: dict[str, object], options: argparse.Namespace) -> Result:
    """Trains, or continues, one variation and scores it."""
    output = options.runs / "".join(c if c.isalnum() else "-" for c in name)
    config = config_from_dict(recipe(overrides, options.tokens, options.data, output))
    with contextlib.redirect_stdout(io.StringIO()):
        run(config)
    model, checkpoint = load_model(output / "model.safetensors")
    tokenizer = Tokenizer(output / "tokenizer.model")
    text = load_corpus("multi30k@en,de", checkpoint.config.data, "val")
    found = []
    for beam in (1, 5):
        outputs = translate_all([model], tokenizer, text.sides["en"], "de", beam)
        found.append(round(score(outputs, text.sides["de"]).bleu, 2))
    last = json.loads((output / "log.jsonl").read_text().splitlines()[-1])
    minutes = json.loads((output / "summary.json").read_text())["minutes"]
    return Result(name, last["validation_loss"], found[0], found[1], minutes)


def main() -> None:
    """Prints a line a variation as it ends."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", default="", help="folder of Multi30k's files")
    parser.add_argument("--tokens", type=int, default=8_000_000, help="target tokens each")
    parser.add_argument("--only", nargs="+", help="variations whose name begins so")
    parser.add_argument("--runs", type=Path, default=Path("runs/ablations"))
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    results = []
    print("| variation | validation loss | BLEU en-de, greedy | beam 5 | minutes |")
    print("|---|---|---|---|---|")
    for name, overrides in VARIATIONS.items():
        if options.only and not name.startswith(tuple(options.only)):
            continue
        result = measure(name, overrides, options)
        results.append(result)
        figures = f"{result.greedy_bleu:.2f} | {result.beam_bleu:.2f} | {result.minutes:.0f}"
        print(f"| {name} | {result.validation_loss:.3f} | {figures} |", flush=True)
        if options.json:
            options.json.write_text(json.dumps([asdict(r) for r in results], indent=2) + "\n")


if __name__ == "__main__":
    main()
