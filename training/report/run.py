"""What a run's folder says of itself: recipe, log, weights. Knows nothing of text and of pages."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import json
import math
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from training import config as config_module
from training.checkpoint import CheckpointError, load_model
from training.config import Config, ModelConfig
from training.model import Transformer
from training.recipe import load_config
from training.run_folder import RunFolder
from training.tokenizer import Tokenizer

MAX_POINTS = 2000
"""Measurements that the curves show; of a longer log they show every second, third and so on."""


class ReportError(ValueError):
    """There is no run to report on, or a wrong sentence; the message names it."""


@dataclass(frozen=True)
class Run:
    """A run's folder as it was read."""

    folder: RunFolder
    config: Config
    log: list[dict[str, Any]]
    summary: dict[str, Any] | None
    """Of a run that is finished."""
    model: Transformer | None
    weights: str
    """Name of the file that `model` comes from, or why there is none."""
    tokenizer: Tokenizer | None
    hygiene: dict[str, dict[str, int]]
    """Rows kept and dropped, by corpus and reason; empty for a run that counted none."""


@dataclass(frozen=True)
class Measured:
    """A figure of the log, and the step that it belongs to."""

    value: float
    step: int


@dataclass(frozen=True)
class Headline:
    """The run in a few figures; None where the log lacks one."""

    name: str
    num_parameters: int
    model: ModelConfig
    corpora: tuple[str, ...]
    languages: tuple[str, ...]
    directions: list[str]
    is_finished: bool
    step: int
    max_steps: int
    minutes: float | None
    tokens: int | None
    tokens_per_s: Measured | None
    best_loss: Measured | None
    bleu: Measured | None
    chrf: Measured | None
    measured_at: str


@dataclass(frozen=True)
class Setting:
    """One line of the recipe."""

    name: str
    value: str
    default: str
    is_changed: bool
    meaning: str


@dataclass(frozen=True)
class Curves:
    """Columns of the log: `axes` to draw over, `series` to draw; None where an entry lacks one."""

    axes: dict[str, list[float | None]] = field(default_factory=dict)
    series: dict[str, list[float | None]] = field(default_factory=dict)


def read_run(path: Path) -> Run:
    """Reads the folder `path` and changes nothing in it.

    Raises ReportError if it is no run's, ConfigError or CheckpointError if its recipe or log is
    damaged. Weights that cannot be read leave the run without a model.
    """
    folder = RunFolder(path)
    if not folder.config_path.is_file():
        raise ReportError(f"{path} is no training run: it has no {folder.config_path.name}")
    config = load_config(folder.config_path)
    try:
        log = [entry for entry in folder.read_log() if "step" in entry]
    except (OSError, UnicodeDecodeError) as error:
        raise ReportError(f"{folder.log_path}: {error}") from error
    summary = _read_summary(folder.summary_path, log)
    model, weights = _read_model(folder, is_finished=summary is not None)
    tokenizer = _read_tokenizer(folder.tokenizer_path)
    if model is not None and tokenizer is not None:
        found = (tokenizer.vocabulary_size, model.config.vocabulary_size)
        if found[0] != found[1]:
            weights = f"its tokenizer has {found[0]:,} pieces, its model {found[1]:,}"
            model = None
    hygiene = _read_hygiene(folder.hygiene_path)
    return Run(folder, config, log, summary, model, weights, tokenizer, hygiene)


def _read_json(path: Path) -> dict[str, Any] | None:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return document if isinstance(document, dict) else None


def _read_hygiene(path: Path) -> dict[str, dict[str, int]]:
    found = (_read_json(path) or {}).items()
    return {name: counts for name, counts in found if isinstance(counts, dict)}


def _read_summary(path: Path, log: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The summary, unless the log went on after it: then the run was continued."""
    summary = _read_json(path)
    last = log[-1]["step"] if log else 0
    is_last = summary is not None and (_number(summary, "step") or 0) >= last
    return summary if is_last else None


def _read_model(folder: RunFolder, is_finished: bool) -> tuple[Transformer | None, str]:
    """The finished model, or the newest weights that can be read, and their file's name."""
    newest_first = folder.weights_paths()[::-1]
    paths = [folder.model_path, *newest_first] if is_finished else newest_first
    problem = "the run has no weights yet"
    for path in paths:
        try:
            return load_model(path)[0], path.name
        except CheckpointError as error:
            problem = str(error)
    return None, problem


def _read_tokenizer(path: Path) -> Tokenizer | None:
    try:
        return Tokenizer(path)
    except (OSError, RuntimeError):
        return None


def headline(run: Run) -> Headline:
    """The run in a few figures."""
    last = run.log[-1] if run.log else {}
    state = run.summary or last
    losses = _measured(run.log, "validation_loss")
    return Headline(
        name=run.folder.path.resolve().name,
        num_parameters=_num_parameters(run),
        model=run.model.config if run.model else run.config.model,
        corpora=run.config.data.corpora,
        languages=run.config.data.languages,
        directions=run.config.data.learned_directions(),
        is_finished=run.summary is not None,
        step=state.get("step", 0),
        max_steps=run.config.train.max_steps,
        minutes=state.get("minutes"),
        tokens=state.get("tokens"),
        tokens_per_s=_last(run.log, "tokens_per_s"),
        best_loss=min(losses, key=lambda measured: measured.value, default=None),
        bleu=_last(run.log, "bleu"),
        chrf=_last(run.log, "chrf"),
        measured_at=_written_at(run.folder.log_path),
    )


def _num_parameters(run: Run) -> int:
    if run.model is not None:
        return sum(parameter.numel() for parameter in run.model.parameters())
    with torch.device("meta"):  # shapes only
        return sum(parameter.numel() for parameter in Transformer(run.config.model).parameters())


def _measured(log: list[dict[str, Any]], name: str) -> list[Measured]:
    return [
        Measured(entry[name], entry["step"]) for entry in log if _number(entry, name) is not None
    ]


def _last(log: list[dict[str, Any]], name: str) -> Measured | None:
    found = _measured(log, name)
    return found[-1] if found else None


def _number(entry: dict[str, Any], name: str) -> float | None:
    """What `entry` has under `name`, if it is a finite number: a loss that ran away is none."""
    value = entry.get(name)
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return None
    return value if math.isfinite(value) else None


def _written_at(path: Path) -> str:
    if not path.exists():
        return ""
    return datetime.fromtimestamp(path.stat().st_mtime, UTC).strftime("%d %B %Y, %H:%M UTC")


def curves(run: Run) -> Curves:
    """The log's columns; those that no entry has are left out."""
    log = run.log[:: -(-len(run.log) // MAX_POINTS) or 1]
    if run.log and log[-1] is not run.log[-1]:
        log = [*log, run.log[-1]]
    series = ("train_loss", "validation_loss", "bleu", "chrf", "learning_rate", "tokens_per_s")
    return Curves(_columns(log, ("step", "minutes", "tokens")), _columns(log, series))


def _columns(log: list[dict[str, Any]], names: tuple[str, ...]) -> dict[str, list[float | None]]:
    columns = {name: [_number(entry, name) for entry in log] for name in names}
    return {name: values for name, values in columns.items() if any(v is not None for v in values)}


def recipe(config: Config) -> dict[str, list[Setting]]:
    """Every setting by section, with its default and what the code says it means."""
    meanings = _meanings()
    return {
        section.name: _settings(getattr(config, section.name), meanings)
        for section in dataclasses.fields(config)
    }


def _settings(section: Any, meanings: dict[tuple[str, str], str]) -> list[Setting]:
    kind = type(section).__name__
    return [
        Setting(
            name=f.name,
            value=_as_text(getattr(section, f.name)),
            default=_as_text(f.default),
            is_changed=getattr(section, f.name) != f.default,
            meaning=meanings.get((kind, f.name), ""),
        )
        for f in dataclasses.fields(section)
    ]


def _as_text(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)


def _meanings() -> dict[tuple[str, str], str]:
    """The docstring under each field of the configuration, by class and field."""
    meanings = {}
    for kind in ast.parse(inspect.getsource(config_module)).body:
        if not isinstance(kind, ast.ClassDef):
            continue
        for pair in zip(kind.body, kind.body[1:], strict=False):
            match pair:
                case (
                    ast.AnnAssign(target=ast.Name(id=name)),
                    ast.Expr(value=ast.Constant(value=str(meaning))),
                ):
                    meanings[kind.name, name] = " ".join(meaning.split())
    return meanings
