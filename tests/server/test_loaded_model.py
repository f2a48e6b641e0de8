from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from server import engine_host
from server.config import ServerConfig
from server.engine.engine import Engine
from server.engine.options import DecodingOptions
from server.engine.wire import HostSpec
from server.engines import decode_all, decode_greedy, make_engine
from server.errors import PackageError
from server.loaded_model import load_model
from server.metrics import Metrics
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


def spec(folder: Path, num_slots: int = 4, num_workers: int = 1) -> HostSpec:
    return HostSpec(folder, "", "cpu", num_slots, 1, num_workers, ageing_s=5.0)


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
    engine_host.load(spec(folder))
    assert "sample sentences come out differently" in caplog.text


def test_every_worker_is_checked_and_all_share_one_copy_of_the_weights(
    numbers_package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[object] = []
    checked: list[Engine] = []
    sessions, check = engine_host.Sessions, engine_host.check_samples

    def count_sessions(*arguments: Any) -> object:
        made.append(sessions(*arguments))
        return made[-1]

    def count_checks(*arguments: Any) -> None:
        checked.append(arguments[-1])
        check(*arguments)

    monkeypatch.setattr(engine_host, "Sessions", count_sessions)
    monkeypatch.setattr(engine_host, "check_samples", count_checks)
    variant, engines = engine_host.load(spec(numbers_package, num_slots=5, num_workers=3))
    assert variant == "cpu-int8"
    assert engines == checked
    assert len(made) == 1
    assert len({*checked}) == 3
    assert [engine.num_rows for engine in checked] == [5, 5, 5]


@pytest.mark.asyncio
async def test_the_warm_up_is_not_counted_and_the_slots_of_all_workers_are(
    numbers_package: Path,
) -> None:
    metrics = Metrics()
    config = ServerConfig(workers=2, num_slots=5)
    model = await asyncio.to_thread(load_model, numbers_package, config, metrics)
    model.engine.start()
    await model.engine.close()
    labels = {"model": "numbers"}
    assert metrics.registry.get_sample_value("attendant_cache_slots", labels) == 10
    steps = metrics.registry.get_sample_value("attendant_decode_batch_size_count", labels)
    assert steps == 0


def test_a_package_of_the_first_version_is_refused_with_what_to_do(
    numbers_package: Path, tmp_path: Path
) -> None:
    folder = edited(numbers_package, tmp_path, lambda manifest: manifest.update(format_version=1))
    with pytest.raises(PackageError, match="export the checkpoint again, with python -m export"):
        load_model(folder, ServerConfig(), Metrics())


def test_all_hypotheses_of_each_source_come_in_its_place(numbers_package: Path) -> None:
    engine = make_engine(open_package(numbers_package), "cpu-int8", 8, 1)
    sources = [[4, 20, 30, 2], [4, 9, 2], [4, 20, 30, 2]]
    options = [
        DecodingOptions(20, beam_size=3, num_hypotheses=3),
        DecodingOptions(20),
        DecodingOptions(5, num_alternatives=2),
    ]
    found = decode_all(engine, sources, options)
    assert [len(hypotheses) for hypotheses in found] == [3, 1, 2]
    assert [found[1][0].token_ids] == decode_greedy(engine, sources[1:2], [20])
    assert not engine.has_work


def test_an_unknown_variant_is_refused_with_those_that_exist(numbers_package: Path) -> None:
    with pytest.raises(PackageError, match="no variant 'tpu'; there are: cpu-int8, cpu-fp32"):
        load_model(numbers_package, ServerConfig(variant="tpu"), Metrics())


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
