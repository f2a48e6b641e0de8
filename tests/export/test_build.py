from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest

from export import build
from export.build import ExportOptions, build_package
from server import package as contract
from server.errors import PackageError
from server.package import open_package
from server.text.tokenizer import Tokenizer as ServingTokenizer
from tests.training.tiny import make_tokenizer
from training.checkpoint import CheckpointError

Corrupt = Callable[[Path], None]


@pytest.fixture
def export_finished(
    monkeypatch: pytest.MonkeyPatch, numbers_package: Path
) -> Callable[[Corrupt], None]:
    """Lets the build take variants exported before, changed by `corrupt` once written, and little
    text: what is tested is what the build makes of them.
    """

    def install(corrupt: Corrupt = lambda _folder: None) -> None:
        def export_variant(_model: object, variant: str, folder: Path) -> None:
            shutil.copytree(numbers_package / variant, folder)
            corrupt(folder)

        monkeypatch.setattr(build, "export_variant", export_variant)
        sentences = build.evidence_sentences
        monkeypatch.setattr(build, "evidence_sentences", lambda *given: sentences(*given)[:60])

    return install


def options(checkpoint: Path, folder: Path, **fields: object) -> ExportOptions:
    fields = {"variants": ("cpu-fp32",), "default_variant": "cpu-fp32", **fields}
    return ExportOptions(checkpoint, folder / "numbers" / "1", **fields)


def everything_in(folder: Path) -> list[str]:
    """Files and folders, hidden ones too, but for the model's own folder, which may be empty."""
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.name != "numbers")


def fails(request: ExportOptions) -> str:
    with pytest.raises(PackageError) as caught:
        build_package(request, report=lambda _line: None)
    return str(caught.value)


# A package that is right


def test_a_package_has_all_that_its_manifest_says_and_nothing_else(numbers_package: Path) -> None:
    package = open_package(numbers_package)
    package.check_files()
    graphs = (contract.ENCODER_FILE, contract.DECODER_FILE, contract.WEIGHTS_FILE)
    expected = {f"{variant}/{file}" for variant in ("cpu-int8", "cpu-fp32") for file in graphs}
    assert {*package.manifest.files} == expected | {"README.md", "tokenizer.model"}
    on_disk = {str(p.relative_to(numbers_package)) for p in numbers_package.rglob("*.*")}
    assert on_disk == {*package.manifest.files, "manifest.json"}
    assert everything_in(numbers_package.parent)[0] == "1"  # no temporary folder beside it


def test_the_manifest_says_what_the_model_is(numbers_package: Path) -> None:
    manifest = open_package(numbers_package).manifest
    assert (manifest.name, manifest.version) == ("numbers", "1")
    assert (manifest.architecture.d_model, manifest.architecture.d_head) == (64, 16)
    assert manifest.directions == ["en-de"]
    assert (manifest.decoding.max_length_ratio, manifest.decoding.max_length_offset) == (2.0, 16)
    assert {*manifest.special_ids.language_tags} == {"en", "de"}
    assert {*manifest.evidence} == {"pytorch", "cpu-int8", "cpu-fp32"}
    assert len(manifest.samples) == build.NUM_SAMPLES


def test_the_evidence_is_measured_on_all_of_the_validation_text(numbers_package: Path) -> None:
    evidence = open_package(numbers_package).manifest.evidence
    assert {figures.num_sentences for figures in evidence.values()} == {500}
    assert evidence["cpu-fp32"].token_exact_rate >= 0.995
    assert 0 < evidence["cpu-fp32"].max_logit_difference < 1e-4
    assert evidence["cpu-fp32"].max_logit_difference < evidence["cpu-int8"].max_logit_difference


def test_the_manifest_says_nothing_of_the_machine_it_was_made_on(
    numbers_package: Path, numbers_checkpoint: Path
) -> None:
    text = (numbers_package / "manifest.json").read_text(encoding="utf-8")
    assert str(numbers_checkpoint.parent) not in text
    assert str(Path.home()) not in text


def test_the_model_card_shows_every_variants_figures(numbers_package: Path) -> None:
    card = (numbers_package / "README.md").read_text(encoding="utf-8")
    for name, figures in open_package(numbers_package).manifest.evidence.items():
        assert f"| {name} | {figures.bleu:.2f} | {figures.chrf:.2f} |" in card


def test_variants_that_do_not_ship_leave_their_evidence(
    tmp_path: Path, numbers_checkpoint: Path, export_finished: Callable[..., None]
) -> None:
    export_finished()
    notes = tmp_path / "notes.md"
    notes.write_text("Licence: none.\n", encoding="utf-8")
    both = {"variants": ("cpu-int8", "cpu-fp32"), "shipped": ("cpu-int8",)}
    request = options(
        numbers_checkpoint, tmp_path, **both, default_variant="cpu-int8", notes=str(notes)
    )
    folder = build_package(request, report=lambda _line: None)
    manifest = open_package(folder).manifest
    assert [*manifest.variants] == ["cpu-int8"]
    assert not (folder / "cpu-fp32").exists()
    assert {*manifest.evidence} == {"pytorch", "cpu-int8", "cpu-fp32"}
    assert (folder / "README.md").read_text(encoding="utf-8").endswith("Licence: none.\n")


def test_a_new_package_takes_the_place_of_the_old_one(
    tmp_path: Path, numbers_checkpoint: Path, export_finished: Callable[..., None]
) -> None:
    export_finished()
    request = options(numbers_checkpoint, tmp_path)
    request.output.mkdir(parents=True)
    (request.output / "leftover").touch()
    build_package(request, report=lambda _line: None)
    assert not (request.output / "leftover").exists()
    open_package(request.output).check_files()


# A package that is wrong


def change_weight(folder: Path, file: str) -> None:
    """Adds 0.5 to one number of the first matrix of graph `file` that is its own."""
    proto = onnx.load(folder / file, load_external_data=False)
    tensor = next(t for t in proto.graph.initializer if t.external_data and "w_1" in t.name)
    offset = next(int(entry.value) for entry in tensor.external_data if entry.key == "offset")
    weights = np.fromfile(folder / contract.WEIGHTS_FILE, np.float32)
    weights[offset // 4 + 77] += 0.5
    weights.tofile(folder / contract.WEIGHTS_FILE)


@pytest.mark.parametrize("file", [contract.ENCODER_FILE, contract.DECODER_FILE])
def test_one_edited_weight_fails_the_export_and_nothing_is_left(
    tmp_path: Path, numbers_checkpoint: Path, export_finished: Callable[..., None], file: str
) -> None:
    export_finished(lambda folder: change_weight(folder, file))
    message = fails(options(numbers_checkpoint, tmp_path))
    assert "evidence.cpu-fp32." in message
    assert everything_in(tmp_path) == []


def test_a_failed_export_leaves_an_older_package_as_it_was(
    tmp_path: Path,
    numbers_checkpoint: Path,
    numbers_package: Path,
    export_finished: Callable[..., None],
) -> None:
    request = options(numbers_checkpoint, tmp_path)
    shutil.copytree(numbers_package, request.output)
    before = everything_in(tmp_path)
    export_finished(lambda folder: change_weight(folder, contract.DECODER_FILE))
    fails(request)
    assert everything_in(tmp_path) == before
    open_package(request.output).check_files()


def test_int8_weights_of_another_layer_fail_the_export(
    tmp_path: Path, numbers_checkpoint: Path, export_finished: Callable[..., None]
) -> None:
    def shift(folder: Path) -> None:
        weights = np.fromfile(folder / contract.WEIGHTS_FILE, np.int8)
        np.roll(weights, 64 * 64).tofile(folder / contract.WEIGHTS_FILE)

    export_finished(shift)
    names = {"variants": ("cpu-int8",), "default_variant": "cpu-int8"}
    assert "evidence.cpu-int8." in fails(options(numbers_checkpoint, tmp_path, **names))
    assert everything_in(tmp_path) == []


def test_tokenizers_that_differ_fail_the_export(
    tmp_path: Path,
    numbers_checkpoint: Path,
    export_finished: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    export_finished()
    encode = ServingTokenizer.encode
    monkeypatch.setattr(
        ServingTokenizer, "encode", lambda self, text, to: encode(self, text.upper(), to)
    )
    assert fails(options(numbers_checkpoint, tmp_path)).startswith("tokenizers differ on")
    assert everything_in(tmp_path) == []


def copy_checkpoint(checkpoint: Path, folder: Path) -> Path:
    folder.mkdir()
    shutil.copyfile(checkpoint, folder / checkpoint.name)
    return folder / checkpoint.name


def test_another_models_tokenizer_is_refused(tmp_path: Path, numbers_checkpoint: Path) -> None:
    checkpoint = copy_checkpoint(numbers_checkpoint, tmp_path / "checkpoint")
    make_tokenizer(checkpoint.parent / "tokenizer.model")
    with pytest.raises(CheckpointError, match=r"tokenizer\.model has \d+ pieces, the model 160"):
        build_package(options(checkpoint, tmp_path / "models"))
    assert everything_in(tmp_path / "models") == []


@pytest.mark.parametrize("content", [None, b"", b"no SentencePiece model"])
def test_a_checkpoint_without_a_tokenizer_is_refused(
    tmp_path: Path, numbers_checkpoint: Path, content: bytes | None
) -> None:
    checkpoint = copy_checkpoint(numbers_checkpoint, tmp_path / "checkpoint")
    if content is not None:
        (checkpoint.parent / "tokenizer.model").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"tokenizer\.model: "):
        build_package(options(checkpoint, tmp_path / "models"))
    assert everything_in(tmp_path / "models") == []


def test_the_evidence_text_is_every_direction_of_the_validation_text(
    numbers_checkpoint: Path,
) -> None:
    config = build.load_model(numbers_checkpoint)[1].config
    both = build.dataclasses.replace(
        config, data=build.dataclasses.replace(config.data, directions=("en-de", "de-en"))
    )
    sentences = build.evidence_sentences(both, "")
    assert len(sentences) == 1000
    forward, backward = sentences[0], sentences[500]
    assert (forward.text, forward.reference) == (backward.reference, backward.text)
    assert (forward.source_language, backward.source_language) == ("en", "de")


def test_the_manifest_is_plain_json(numbers_package: Path) -> None:
    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    text = (numbers_package / "manifest.json").read_text(encoding="utf-8")
    assert json.loads(text, parse_constant=refuse)["format_version"] == 2
