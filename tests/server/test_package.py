"""What a package must be to be opened: everything that could be wrong with one, and is named."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from server.errors import PackageError
from server.package import (
    EVIDENCE_LIMITS,
    FORMAT_VERSION,
    MANIFEST_FILE,
    Evidence,
    Manifest,
    ModelPackage,
    cache_names,
    check_evidence,
    cross_cache_names,
    open_package,
    write_manifest,
)

Document = dict[str, Any]


@pytest.fixture
def package(tmp_path: Path, numbers_package: Path) -> Path:
    """A copy to damage, `numbers/1`."""
    return Path(shutil.copytree(numbers_package, tmp_path / "numbers" / "1"))


def edit(package: Path, change: Callable[[Document], object]) -> None:
    """Edits the manifest as a person with an editor would."""
    path = package / MANIFEST_FILE
    document = json.loads(path.read_text(encoding="utf-8"))
    change(document)
    path.write_text(json.dumps(document, indent=2, ensure_ascii=False), encoding="utf-8")


def refused(package: Path) -> str:
    with pytest.raises(PackageError) as caught:
        open_package(package).check_files()
    assert str(package) in str(caught.value)
    return str(caught.value)


def test_a_package_as_it_was_exported_is_opened(package: Path) -> None:
    opened = open_package(package)
    opened.check_files()
    assert opened.label == "numbers/1"
    assert [*opened.manifest.variants] == ["cpu-int8", "cpu-fp32"]


def test_a_manifest_is_read_back_as_it_was_written(package: Path) -> None:
    manifest = open_package(package).manifest
    write_manifest(package, manifest)
    assert open_package(package).manifest == manifest


def test_a_manifest_written_by_another_hand_in_another_layout_is_the_same(package: Path) -> None:
    path = package / MANIFEST_FILE
    document = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(dict(reversed(document.items()))), encoding="utf-8")
    open_package(package).check_files()


# Files

FILES = [
    "tokenizer.model",
    "README.md",
    "cpu-int8/model.weights",
    "cpu-fp32/encoder_model.onnx",
    "cpu-fp32/decoder_with_past_model.onnx",
]


@pytest.mark.parametrize("name", FILES)
def test_a_changed_file_is_named_with_both_hashes(package: Path, name: str) -> None:
    path = package / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1  # one bit
    path.write_bytes(content)
    expected = open_package(package).manifest.files[name]
    found = hashlib.sha256(content).hexdigest()
    assert refused(package) == f"{path}: SHA-256 is {found}, the manifest says {expected}"


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(package: Path, name: str) -> None:
    (package / name).unlink()
    assert refused(package) == f"{package / name}: No such file or directory"


def test_a_file_that_the_manifest_does_not_list_is_not_read(package: Path) -> None:
    (package / "extra").write_bytes(b"anything")
    with pytest.raises(PackageError, match=r"extra: SHA-256 is .*, the manifest says None"):
        open_package(package).read_file("extra")


def test_a_variants_file_without_a_hash_is_named(package: Path) -> None:
    manifest = open_package(package).manifest
    files = {k: v for k, v in manifest.files.items() if k != "cpu-fp32/model.weights"}
    write_manifest(package, replace(manifest, files=files))
    assert "variant cpu-fp32 needs cpu-fp32/model.weights" in refused(package)


def test_what_was_read_stays_when_the_file_changes_later(package: Path) -> None:
    opened = open_package(package)
    content = opened.read_file("tokenizer.model")
    (package / "tokenizer.model").write_bytes(b"")
    assert hashlib.sha256(content).hexdigest() == opened.manifest.files["tokenizer.model"]


# The seal


@pytest.mark.parametrize("figure", [*Evidence.__dataclass_fields__])
def test_an_edited_figure_is_named(package: Path, figure: str) -> None:
    def change(document: Document) -> None:
        value = document["evidence"]["cpu-int8"][figure]
        document["evidence"]["cpu-int8"][figure] = f"{value}." if type(value) is str else value + 1

    edit(package, change)
    assert f"evidence.cpu-int8.{figure} was edited after the export" in refused(package)


@pytest.mark.parametrize(
    ("section", "change"),
    [
        ("architecture", lambda d: d["architecture"].update(max_length=4096)),
        ("decoding", lambda d: d["decoding"].update(max_length_offset=0)),
        ("default_variant", lambda d: d.update(default_variant="cpu-fp32")),
        ("directions", lambda d: d["directions"].append("de-en")),
        ("files", lambda d: d["files"].update({"tokenizer.model": "0" * 64})),
        ("name", lambda d: d.update(name="letters")),
        ("provenance", lambda d: d["provenance"].update(commit="0" * 12)),
        ("samples", lambda d: d["samples"].pop()),
        ("special_ids", lambda d: d["special_ids"].update(eos=1)),
        ("variants", lambda d: d["variants"].pop("cpu-fp32")),
        ("comment", lambda d: d.update(comment="a section of its own")),
        ("languages", lambda d: d.pop("languages")),
        ("evidence.cpu-fp32.bleu", lambda d: d["evidence"].pop("cpu-fp32")),
        ("evidence.cpu-fp32.bleu", lambda d: d["evidence"]["cpu-fp32"].pop("bleu")),
    ],
)
def test_an_edited_section_is_named(
    package: Path, section: str, change: Callable[[Document], object]
) -> None:
    edit(package, change)
    assert f"{section} was edited after the export" in refused(package)


@pytest.mark.parametrize("seal", [None, "sealed", []])
def test_a_manifest_without_a_seal_is_refused(package: Path, seal: object) -> None:
    edit(package, lambda document: document.update(seal=seal))
    assert refused(package).endswith("seal is missing")


def test_a_seal_without_one_of_its_parts_is_refused(package: Path) -> None:
    edit(package, lambda document: document["seal"].pop("samples"))
    assert "samples was edited" in refused(package)


# Version and form


@pytest.mark.parametrize("version", [FORMAT_VERSION + 1, 0, "1", None])
def test_a_manifest_of_another_version_is_refused(package: Path, version: object) -> None:
    edit(package, lambda document: document.update(format_version=version))
    message = f"format_version is {version!r}, this server reads {FORMAT_VERSION}"
    assert message in refused(package)


def test_a_package_of_the_first_version_is_refused_with_what_to_do(package: Path) -> None:
    edit(package, lambda document: document.update(format_version=1))
    assert refused(package) == (
        f"{package / MANIFEST_FILE}: format_version is 1, this server reads 2: "
        "export the checkpoint again, with python -m export"
    )


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[]", b"7", b"{}"])
def test_a_file_that_is_no_manifest_is_named(package: Path, content: bytes) -> None:
    (package / MANIFEST_FILE).write_bytes(content)
    assert MANIFEST_FILE in refused(package)


def test_a_missing_manifest_is_named(package: Path) -> None:
    (package / MANIFEST_FILE).unlink()
    assert refused(package) == f"{package / MANIFEST_FILE}: No such file or directory"


# Evidence


@pytest.fixture
def manifest(numbers_package: Path) -> Manifest:
    return open_package(numbers_package).manifest


def with_figures(manifest: Manifest, variant: str, **figures: float) -> Manifest:
    """`manifest` with other evidence for `variant`, and 40 BLEU for PyTorch."""
    evidence = {name: replace(shown, bleu=40.0) for name, shown in manifest.evidence.items()}
    evidence[variant] = replace(evidence[variant], **figures)
    return replace(manifest, evidence=evidence)


def limit_cases() -> list[tuple[str, str, float, float]]:
    """Variant, figure, the worst value allowed and one that is just beyond."""
    cases = []
    for name in ("cpu-fp32", "cpu-int8"):
        limits = EVIDENCE_LIMITS[name]
        floor, rate = 40.0 - limits.max_bleu_loss, limits.min_token_exact_rate
        largest = limits.max_logit_difference
        cases += [
            (name, "bleu", floor, floor - 0.01),
            (name, "token_exact_rate", rate, rate - 0.001),
            (name, "max_logit_difference", largest, largest * 1.01),
        ]
    return cases


@pytest.mark.parametrize(("variant", "figure", "allowed", "beyond"), limit_cases())
def test_a_figure_beyond_its_limit_is_named(
    manifest: Manifest, variant: str, figure: str, allowed: float, beyond: float
) -> None:
    check_evidence("numbers/1", with_figures(manifest, variant, **{figure: allowed}))
    for value in (beyond, float("nan")):
        with pytest.raises(PackageError) as caught:
            check_evidence("numbers/1", with_figures(manifest, variant, **{figure: value}))
        assert str(caught.value).startswith(f"numbers/1: evidence.{variant}.{figure} is {value}")


@pytest.mark.parametrize("name", ["pytorch", "cpu-int8", "cpu-fp32"])
def test_missing_evidence_is_named(manifest: Manifest, name: str) -> None:
    evidence = {key: shown for key, shown in manifest.evidence.items() if key != name}
    with pytest.raises(PackageError, match=f"evidence.{name} is missing"):
        check_evidence("numbers/1", replace(manifest, evidence=evidence))


def test_a_variant_without_limits_is_refused(manifest: Manifest) -> None:
    variants = {"tpu-int4": manifest.variants["cpu-int8"]}
    with pytest.raises(PackageError, match="variant 'tpu-int4' is unknown: it is cpu-fp32"):
        check_evidence("numbers/1", replace(manifest, variants=variants))


def test_a_manifest_whose_evidence_fails_is_not_written(package: Path, manifest: Manifest) -> None:
    before = (package / MANIFEST_FILE).read_bytes()
    with pytest.raises(PackageError, match=r"evidence\.cpu-fp32\.bleu"):
        write_manifest(package, with_figures(manifest, "cpu-fp32", bleu=1.0))
    assert (package / MANIFEST_FILE).read_bytes() == before


def test_sealed_evidence_that_fails_is_refused_on_opening(
    package: Path, manifest: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("server.package.check_evidence", lambda *_: None)
        write_manifest(package, with_figures(manifest, "cpu-int8", token_exact_rate=0.4))
    assert "evidence.cpu-int8.token_exact_rate is 0.4, at least 0.5" in refused(package)


# Names


def test_tensor_names_follow_the_ecosystems() -> None:
    assert cache_names(2, "past_key_values")[4:] == [
        "past_key_values.1.decoder.key",
        "past_key_values.1.decoder.value",
        "past_key_values.1.encoder.key",
        "past_key_values.1.encoder.value",
    ]
    assert cross_cache_names(1) == ["present.0.encoder.key", "present.0.encoder.value"]


def test_a_package_is_labelled_by_name_and_version(manifest: Manifest) -> None:
    assert ModelPackage(Path("anywhere"), manifest).label == "numbers/1"
