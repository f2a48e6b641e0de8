"""Recipes: YAML files with the sections `model`, `data` and `train`, read into a Config. Any field
can be overridden as `section.field=value`; an unknown key is an error that suggests the nearest.
"""

from __future__ import annotations

import dataclasses
import difflib
from pathlib import Path
from typing import Any, TypeVar

import yaml

from training.config import Config, ConfigError, DataConfig, ModelConfig, TrainConfig, require

Section = TypeVar("Section", ModelConfig, DataConfig, TrainConfig)


def load_config(path: Path, overrides: list[str] | None = None) -> Config:
    """The recipe in the YAML file `path` with `overrides`, each `section.field=value`, laid over
    it.

    Raises ConfigError for an unreadable file, an unknown key (suggesting the nearest) or a value
    out of range.
    """
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{path}: {error}") from error
    require(isinstance(document, dict), str(path), type(document).__name__, "a mapping of sections")
    for override in overrides or []:
        _apply_override(document, override)
    return config_from_dict(document)


def config_from_dict(document: dict[str, Any]) -> Config:
    """Checks and types a mapping of sections. Raises ConfigError."""
    _check_keys("", document, Config)
    return Config(
        data=_build(DataConfig, "data", document.get("data")),
        model=_build(ModelConfig, "model", document.get("model")),
        train=_build(TrainConfig, "train", document.get("train")),
    )


def _apply_override(document: dict[str, Any], override: str) -> None:
    name, equals, value = override.partition("=")
    section, dot, key = name.partition(".")
    require(bool(equals and dot), "override", override, "section.field=value")
    values = document.get(section) or {}
    require(isinstance(values, dict), section, values, "a mapping")
    try:
        document[section] = {**values, key: yaml.safe_load(value) if value else ""}
    except yaml.YAMLError as error:
        raise ConfigError(f"override {override}: {error}") from error


def _build(kind: type[Section], name: str, values: object) -> Section:
    values = {} if values is None else values
    if not isinstance(values, dict):
        raise ConfigError(f"{name} is {values!r}: it must be a mapping")
    _check_keys(f"{name}.", values, kind)
    defaults = {f.name: f for f in dataclasses.fields(kind)}
    typed = {
        key: _typed(f"{name}.{key}", value, str(defaults[key].type))
        for key, value in values.items()
    }
    return kind(**typed)


def _check_keys(prefix: str, values: dict[str, Any], kind: type[Any]) -> None:
    known = [f.name for f in dataclasses.fields(kind)]
    for key in values:
        if key not in known:
            near = difflib.get_close_matches(str(key), known, n=1, cutoff=0.0)
            raise ConfigError(f"unknown setting {prefix}{key}: did you mean {prefix}{near[0]}?")


def _typed(name: str, value: Any, annotation: str) -> Any:
    """`value` as the field's annotated type; YAML's integers pass for floats, its lists for
    tuples.
    """
    if annotation.startswith("tuple"):
        items = value.split(",") if isinstance(value, str) else value
        require(isinstance(items, list), name, value, "a list")
        return tuple(str(item) for item in items)
    if annotation == "float" and isinstance(value, (int, str)) and not isinstance(value, bool):
        try:
            return float(value)  # YAML 1.1 reads 1e-3 as text
        except ValueError:
            raise ConfigError(f"{name} is {value!r}: it must be a number") from None
    expected = {"int": int, "float": float, "str": str, "bool": bool}[annotation]
    is_right = isinstance(value, expected) and (expected is bool or not isinstance(value, bool))
    require(is_right, name, value, f"of type {annotation}")
    return value
