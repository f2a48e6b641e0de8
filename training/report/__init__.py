"""python -m training report RUN_FOLDER: one HTML page about a run, finished or not.

The page is one file that loads nothing: figures, curves, translations, text, attention, recipe.
What the folder or this machine lacks is named in its place.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from training.aligned import AlignedText
from training.checkpoint import CheckpointError, write_atomically
from training.config import ConfigError
from training.report.page import Report, TextFacts, render
from training.report.run import ReportError, Run, curves, headline, read_run, recipe
from training.report.samples import Request, Samples
from training.report.text import (
    direction_shares,
    language_lengths,
    load_texts,
    measure,
    side_lengths,
    vocabulary,
)

NO_TOKENIZER = "tokenizer.model is missing or damaged"


def main(arguments: list[str]) -> int:
    """Returns the exit code: 0 when the page is written, 2 for a folder that is no run's."""
    parser = argparse.ArgumentParser(
        prog="python -m training report", description="Writes one HTML page about a run."
    )
    parser.add_argument("run_folder", type=Path, help="what train.output names in a recipe")
    parser.add_argument("--output", type=Path, help="instead of report.html in the folder")
    parser.add_argument(
        "--sentence",
        action="append",
        metavar="en-de:TEXT",
        help="draws the attention over TEXT; may be given several times",
    )
    options = parser.parse_args(arguments)
    output = options.output or options.run_folder / "report.html"
    try:
        sentences = [_parsed(sentence) for sentence in options.sentence or []]
        write_report(options.run_folder, output, sentences)
    except (ReportError, ConfigError, CheckpointError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"{output}: {output.stat().st_size / 1e6:.1f} MB")
    return 0


def write_report(
    run_folder: Path, output: Path, sentences: Sequence[tuple[str, str]] | None = None
) -> Path:
    """Writes the page about the run in `run_folder` to `output`, and returns that.

    `sentences` are (source text, direction such as `en-de`) pairs whose attention is drawn; without
    any, some of the validation text's. Raises ReportError, ConfigError or CheckpointError.
    """
    run = read_run(run_folder)
    requests = [(text, _direction(direction, run)) for text, direction in sentences or []]
    missing: dict[str, str] = {}
    report = Report(
        headline=headline(run),
        curves=curves(run),
        recipe=recipe(run.config),
        hygiene=run.hygiene,
        label_smoothing=run.config.train.label_smoothing,
        text=_text_facts(run, missing),
        missing=missing,
    )
    if not run.log:
        missing["curves"] = "the log has no measurement yet"
    _add_samples(report, run, requests)
    write_atomically(output, render(report).encode())
    return output


def _parsed(sentence: str) -> tuple[str, str]:
    direction, colon, text = sentence.partition(":")
    if not colon or not text.strip():
        raise ReportError(f"--sentence {sentence!r}: it must be SOURCE-TARGET:TEXT")
    return text.strip(), direction


def _direction(name: str, run: Run) -> tuple[str, str]:
    known = run.config.data.learned_directions()
    if name not in known:
        raise ReportError(f"{name!r} is no direction of this run: it has {', '.join(known)}")
    source, _, target = name.partition("-")
    return source, target


def _text_facts(run: Run, missing: dict[str, str]) -> TextFacts:
    """What the training text is like; the tokenizer measures it where there is one."""
    data, tokenizer = run.config.data, run.tokenizer
    texts, problems = load_texts(data.corpora, data, "train", is_cleaned=bool(run.hygiene))
    if tokenizer is None:
        problems.append(NO_TOKENIZER)
    if problems:
        missing["text"] = "; ".join(problems)
    measures = [measure(text, tokenizer) for text in texts] if tokenizer else []
    return TextFacts(
        corpora=[(text.name, tuple(text.sides), len(text)) for text in texts],
        strides={m.text.name: m.stride for m in measures if m.stride > 1},
        directions=direction_shares(texts, data),
        sides=side_lengths(measures, data),
        languages=language_lengths(measures),
        vocabulary=vocabulary(measures, tokenizer) if tokenizer else None,
        is_sampled=data.sampling_alpha > 0,
    )


def _add_samples(report: Report, run: Run, requests: list[Request]) -> None:
    """Translations and attention, as far as there are a model, a tokenizer and text."""
    if run.model is None or run.tokenizer is None:
        why = run.weights if run.model is None else NO_TOKENIZER
        report.missing |= {"samples": why, "attention": why}
        return
    report.weights = run.weights
    samples = Samples(run.model, run.tokenizer, run.config.data)
    text = _validation_text(run, report)
    if text is not None:
        report.samples = samples.translated(text)
        requests = requests or samples.readable(text)
        if not report.samples:
            report.missing["samples"] = f"{text.name} has no pair in a direction of this run"
    report.attention, problems = samples.attended(requests)
    if problems:
        report.missing["attention"] = "; ".join(problems)
    elif not report.attention:
        report.missing.setdefault("attention", "there is no sentence to draw: name some")


def _validation_text(run: Run, report: Report) -> AlignedText | None:
    data = run.config.data
    texts, problems = load_texts([data.validation], data, "val")
    if problems:
        report.missing["samples"] = problems[0]
    return texts[0] if texts else None
