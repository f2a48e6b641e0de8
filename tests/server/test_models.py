from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from server.config import ServerConfig
from server.engine.engine import Engine
from server.errors import PackageError, UnavailableError
from server.metrics import Metrics
from server.models import (
    ModelRegistry,
    decode_greedy,
    find_packages,
    load_model,
    make_engine,
)
from server.package import _seal, open_package


def edited(package: Path, folder: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    """A copy of `package` whose manifest is changed and sealed anew, as a faulty export would."""
    copy = folder / "numbers" / "1"
    shutil.copytree(package, copy)
    manifest = json.loads((copy / "manifest.json").read_text(encoding="utf-8"))
    del manifest["seal"]
    change(manifest)
    manifest["seal"] = _seal(manifest)
    (copy / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    return copy


def spoil_samples(manifest: dict[str, Any], count: int) -> None:
    for sample in manifest["samples"][:count]:
        sample["expected"]["cpu-int8"] = [3]


def test_a_package_whose_samples_come_out_differently_is_refused(
    numbers_package: Path, tmp_path: Path
) -> None:
    folder = edited(numbers_package, tmp_path, lambda manifest: spoil_samples(manifest, 8))
    with pytest.raises(PackageError, match="8 of 8 sample sentences come out differently"):
        load_model(folder, ServerConfig(), Metrics())


def test_a_few_different_samples_are_a_warning(
    numbers_package: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = edited(numbers_package, tmp_path, lambda manifest: spoil_samples(manifest, 2))
    load_model(folder, ServerConfig(), Metrics())
    assert "sample sentences come out differently" in caplog.text


def test_an_unknown_variant_is_refused_with_those_that_exist(numbers_package: Path) -> None:
    with pytest.raises(PackageError, match="no variant 'tpu'; there are: cpu-int8, cpu-fp32"):
        load_model(numbers_package, ServerConfig(variant="tpu"), Metrics())


def test_the_newest_version_of_each_model_is_found(tmp_path: Path) -> None:
    for path in ("a/1", "a/10", "a/9", "b/2"):
        (tmp_path / path).mkdir(parents=True)
        (tmp_path / path / "manifest.json").touch()
    assert find_packages(tmp_path) == [tmp_path / "a/10", tmp_path / "b/2"]


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PackageError, match="no model package"):
        find_packages(tmp_path)


def test_an_empty_registry_is_still_loading() -> None:
    with pytest.raises(UnavailableError, match="still loading"):
        ModelRegistry().get("numbers")


def test_the_limit_of_a_translation_grows_with_its_source(numbers_package: Path) -> None:
    manifest = open_package(numbers_package).manifest
    assert manifest.target_limit(5) == 26
    assert manifest.target_limit(1000) == manifest.architecture.max_length


def test_a_model_file_torn_while_it_serves_harms_nothing(
    numbers_package: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "numbers" / "1"
    shutil.copytree(numbers_package, folder)
    package = open_package(folder)
    engine = make_engine(package, "cpu-int8", 2, 1)
    (folder / package.manifest.variants["cpu-int8"].weights).write_bytes(b"")
    assert decode_two(engine) == decode_two(
        make_engine(open_package(numbers_package), "cpu-int8", 2, 1)
    )


def decode_two(engine: Engine) -> list[list[int]]:
    return decode_greedy(engine, [[4, 20, 30, 2], [4, 9, 2]], [20, 20])
