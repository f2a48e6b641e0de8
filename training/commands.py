"""The commands beside training itself: what is done to finished checkpoints.

python -m training average OUTPUT CHECKPOINT...
python -m training evaluate CHECKPOINT [--beam 5] [--corpus multi30k] [--part val]
python -m training distill FOLDER CHECKPOINT... [--beam 5] [--nearest]
python -m training paraphrase FOLDER CHECKPOINT [--directions en-de]
python -m training phrases FOLDER --corpus multi30k --languages en de
python -m training publish CHECKPOINT FOLDER
python -m training report RUN_FOLDER
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import json
from collections.abc import Iterable
from pathlib import Path

import torch
from tqdm import tqdm

from training.aligned import AlignedText, CorpusError
from training.checkpoint import (
    Checkpoint,
    average_tensors,
    load_model,
    read_checkpoint,
    write_checkpoint,
)
from training.config import DataConfig
from training.corpus import load_corpus
from training.evaluate import Scores, score
from training.hygiene import clean
from training.model import Transformer
from training.paraphrase import paraphrase
from training.phrases import extract_phrases
from training.publish import publish
from training.teacher import (
    require_same_vocabulary,
    translate_all,
    translate_nearest,
    write_tsv,
)
from training.tokenizer import Tokenizer


def average(arguments: list[str]) -> int:
    """Writes the mean of several checkpoints' weights."""
    parser = argparse.ArgumentParser(prog="python -m training average")
    parser.add_argument("output", type=Path)
    parser.add_argument("checkpoints", type=Path, nargs="+")
    options = parser.parse_args(arguments)
    last = read_checkpoint(options.checkpoints[-1])
    weights = average_tensors(options.checkpoints)
    write_checkpoint(options.output, Checkpoint(weights, last.config, last.progress))
    print(f"the mean of {len(options.checkpoints)} checkpoints: {options.output}")
    return 0


def publish_checkpoint(arguments: list[str]) -> int:
    """Writes a checkpoint made ready to share: fp16, without paths of this machine."""
    parser = argparse.ArgumentParser(prog="python -m training publish")
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("folder", type=Path)
    options = parser.parse_args(arguments)
    publish(options.checkpoint, options.folder)
    print(options.folder)
    return 0


def evaluate(arguments: list[str]) -> int:
    """Prints cased sacreBLEU and chrF of every direction."""
    parser = _parser("evaluate", "val")
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--json", type=Path, help="writes the figures there too")
    options = parser.parse_args(arguments)
    models, tokenizer, data = _load([options.checkpoint], options.data_root)
    text = load_corpus(options.corpus or data.validation, data, options.part)
    found: dict[str, Scores] = {}
    for direction in options.directions or data.learned_directions():
        source, target = _sides(text, direction)
        outputs = translate_all(models, tokenizer, source, direction.split("-")[1], options.beam)
        found[direction] = score(outputs, target)
        print(f"{direction}  BLEU {found[direction].bleu:.2f}  chrF {found[direction].chrf:.2f}")
    for signature in sorted({scores.bleu_signature for scores in found.values()}):
        print(f"{signature}, beam {options.beam}, {text.name}")
    if options.json:
        figures = {direction: scores.to_dict() for direction, scores in found.items()}
        options.json.write_text(json.dumps(figures, indent=2), encoding="utf-8")
    return 0


def distill(arguments: list[str]) -> int:
    """Writes the teacher's translations of the training text, a TSV a direction."""
    parser = _parser("distill", "train")
    parser.add_argument("folder", type=Path)
    parser.add_argument("checkpoints", type=Path, nargs="+", help="several vote as an ensemble")
    parser.add_argument("--limit", type=int, help="only so many sentences a direction")
    parser.add_argument(
        "--nearest",
        action="store_true",
        help="of a beam the translation nearest to the text's own, not the best",
    )
    options = parser.parse_args(arguments)
    models, tokenizer, data = _load(options.checkpoints, options.data_root)
    texts = _clean_texts(options, data)
    for direction in options.directions or data.learned_directions():
        _distill_direction(direction, texts, models, tokenizer, options)
    return 0


def _distill_direction(
    direction: str,
    texts: list[AlignedText],
    models: list[Transformer],
    tokenizer: Tokenizer,
    options: argparse.Namespace,
) -> None:
    source_language, target_language = direction.split("-")
    sources = [line for text in texts for line in text.sides.get(source_language, [])]
    sources = sources[: options.limit]
    with tqdm(total=len(sources), desc=direction, unit=" sentences", disable=None) as bar:
        if options.nearest:
            targets = [line for text in texts for line in _sides(text, direction)[1]]
            targets = targets[: options.limit]
            outputs = translate_nearest(
                models, tokenizer, sources, targets, target_language, options.beam, bar.update
            )
        else:
            outputs = translate_all(
                models, tokenizer, sources, target_language, options.beam, bar.update
            )
    _write_corpus(options.folder, direction, zip(sources, outputs, strict=True))


def make_paraphrases(arguments: list[str]) -> int:
    """Writes more sources for the training text's targets, a TSV a direction."""
    parser = _parser("paraphrase", "train", has_beam=False)
    parser.add_argument("folder", type=Path)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    models, tokenizer, data = _load([options.checkpoint], options.data_root)
    texts = _clean_texts(options, data)
    for direction in options.directions or data.learned_directions():
        rows: list[tuple[str, str]] = []
        with tqdm(desc=direction, unit=" sentences", disable=None) as bar:
            for text in texts:
                _sides(text, direction)
                rows += paraphrase(text, direction, models[0], tokenizer, options.seed, bar.update)
        _write_corpus(options.folder, direction, rows)
    return 0


def make_phrases(arguments: list[str]) -> int:
    """Writes what sentences begin with and what it means, a TSV for every two languages."""
    parser = argparse.ArgumentParser(prog="python -m training phrases")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--corpus", required=True, help="as recipes name it")
    parser.add_argument("--languages", nargs="+", required=True, metavar="en")
    parser.add_argument("--data-root", default="", help="folder of Multi30k's files")
    options = parser.parse_args(arguments)
    data = DataConfig(
        corpora=(options.corpus,),
        validation=options.corpus,
        languages=tuple(options.languages),
        root=options.data_root,
    )
    text = load_corpus(options.corpus, data, "train")
    for one, two in itertools.combinations(data.languages, 2):
        path = options.folder / f"{one}-{two}.tsv"
        rows = extract_phrases(text, (one, two))
        write_tsv(path, rows)
        print(f"tsv@{one},{two}:{path}, {len(rows):,} pairs")
    return 0


def _clean_texts(options: argparse.Namespace, data: DataConfig) -> list[AlignedText]:
    names = [options.corpus] if options.corpus else list(data.corpora)
    return [clean(load_corpus(name, data, options.part), data)[0] for name in names]


def _write_corpus(folder: Path, direction: str, rows: Iterable[tuple[str, str]]) -> None:
    path = folder / f"{direction}.tsv"
    write_tsv(path, rows)
    print(f"tsv@{direction}:{path}")


def _parser(command: str, part: str, has_beam: bool = True) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=f"python -m training {command}")
    if has_beam:
        parser.add_argument("--beam", type=int, default=5, help="1 is greedy")
    parser.add_argument("--corpus", help="instead of the recipe's")
    parser.add_argument("--part", default=part, choices=["train", "val", "test"])
    parser.add_argument("--data-root", default="", help="folder of Multi30k's files")
    parser.add_argument("--directions", nargs="+", metavar="en-de")
    return parser


def _load(paths: list[Path], root: str) -> tuple[list[Transformer], Tokenizer, DataConfig]:
    tokenizers = [path.parent / "tokenizer.model" for path in paths]
    require_same_vocabulary(tokenizers)
    loaded = [load_model(path) for path in paths]
    device = "cuda" if torch.cuda.is_available() else "cpu"
    data = loaded[0][1].config.data
    data = dataclasses.replace(data, root=root or data.root)
    return [model.to(device) for model, _ in loaded], Tokenizer(tokenizers[0]), data


def _sides(text: AlignedText, direction: str) -> tuple[list[str], list[str]]:
    source, _, target = direction.partition("-")
    for language in (source, target):
        if language not in text.sides:
            raise CorpusError(f"{text.name} has no {language!r}, which {direction} needs")
    return text.sides[source], text.sides[target]
