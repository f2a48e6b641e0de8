"""benchmarks/cuda.py as far as a machine without a GPU can run it: on ONNX Runtime's CPU."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import onnxruntime as ort
import pytest

from benchmarks import cuda
from benchmarks.cuda import Bench, Work
from export.build import ExportOptions, draft_package
from server.package import ModelPackage
from training.generated import generate

TEXT = generate("numbers", ("en", "de"), "val")
WORK = Work(
    TEXT.sides["en"][:60], TEXT.sides["de"][:60], "de", num_alone=12, num_measured=16, rounds=1
)


def test_it_checks_and_measures_everything(
    half_package: ModelPackage, capsys: pytest.CaptureFixture[str]
) -> None:
    is_right, document = cuda.run(half_package, WORK, device="cpu", num_threads=1)
    found = json.loads(document)
    assert is_right, capsys.readouterr().out
    assert [check["is_met"] for check in found["checks"]] == [True] * 6
    speeds = {(speed["beam_size"], speed["in_flight"]): speed for speed in found["speeds"]}
    assert set(speeds) == {(beam, n) for beam in (1, 4) for n in (1, 8, 64)}
    assert all(
        s["tested"] > 0 and s["ratio"] == s["tested"] / s["trusted"] for s in speeds.values()
    )
    printed = capsys.readouterr().out
    assert "BLEU, cuda-fp16" in printed
    assert printed.count("\n| 4 |") == 3


def test_other_tokens_fail_the_checks(
    half_package: ModelPackage, monkeypatch: pytest.MonkeyPatch
) -> None:
    decode = Bench._decode

    def spoil(
        self: Bench, engine: object, chosen: object, in_flight: int, *rest: object, **more: object
    ) -> object:
        best = decode(self, engine, chosen, in_flight, *rest, **more)
        if in_flight == 1:
            best[3].tokens[0] += 1
        return best

    monkeypatch.setattr(Bench, "_decode", spoil)
    checks = {check.name: check for check in Bench(half_package, WORK, "cpu", 1).check()}
    greedy = checks["same tokens with 1, 7, 64 in flight, beam 1"]
    assert (greedy.found, greedy.is_met) == (11, False)


def test_worse_translations_fail_the_checks(
    half_package: ModelPackage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def count_right(texts: list[str], references: list[str]) -> SimpleNamespace:
        # BLEU says nothing of numbers in one word: there are no four in a row.
        return SimpleNamespace(bleu=sum(map(str.__eq__, texts, references)))

    monkeypatch.setattr(cuda, "score", count_right)
    bench = Bench(half_package, WORK, "cpu", 1)
    expected = bench._decode(bench._engine("cpu-fp32", 16), range(60), 16)
    right = [hypothesis.token_ids for hypothesis in expected]
    wrong = [right[(i + 1) % 60] for i in range(60)]
    assert all(check.is_met for check in bench._quality(right, right))
    assert [check.is_met for check in bench._quality(wrong, right)] == [True, False, False]


def test_a_draft_is_nothing_that_a_server_takes(
    tmp_path: Path, numbers_checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("export.build.export_variant", lambda _model, _variant, folder: None)
    options = ExportOptions(numbers_checkpoint, tmp_path, ("cpu-fp32", "cuda-fp16"))
    package = draft_package(options, tmp_path, report=lambda _line: None)
    assert list(package.manifest.variants) == ["cpu-fp32", "cuda-fp16"]
    assert not (tmp_path / "manifest.json").exists()


def test_without_a_gpu_it_says_so_and_ends_with_two(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(ort, "get_available_providers", lambda: ["CPUExecutionProvider"])
    assert cuda.main([]) == 2
    assert capsys.readouterr().err.startswith("error: device is 'cuda': this onnxruntime")
