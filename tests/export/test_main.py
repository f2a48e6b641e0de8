from __future__ import annotations

from pathlib import Path

import pytest

from export import __main__ as command
from export.build import ExportOptions
from server.errors import PackageError


def answer(monkeypatch: pytest.MonkeyPatch, result: Path | Exception) -> list[ExportOptions]:
    """Stands in for the build; the list receives what was asked of it."""
    asked: list[ExportOptions] = []

    def build_package(options: ExportOptions) -> Path:
        asked.append(options)
        if isinstance(result, Exception):
            raise result
        return result

    monkeypatch.setattr(command, "build_package", build_package)
    return asked


def test_options_become_a_request(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    asked = answer(monkeypatch, Path("models/tiny/2"))
    arguments = ["runs/model.safetensors", "models/tiny/2", "--variants", "cpu-fp32,cpu-int8"]
    arguments += ["--ship", "cpu-int8", "--data-root", "data", "--notes", "notes.md"]
    assert command.main(arguments) == 0
    (request,) = asked
    assert request.output == tmp_path / "models" / "tiny" / "2"
    assert (request.variants, request.shipped) == (("cpu-fp32", "cpu-int8"), ("cpu-int8",))
    assert (request.default_variant, request.data_root) == ("cpu-int8", "data")


def test_failed_evidence_is_exit_code_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answer(monkeypatch, PackageError("evidence.cpu-fp32.bleu is 1.0"))
    assert command.main(["model.safetensors", "models/tiny/1"]) == 1
    error = capsys.readouterr().err
    assert error == "error: no package written: evidence.cpu-fp32.bleu is 1.0\n"


def test_a_checkpoint_that_is_none_is_exit_code_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "nowhere.safetensors"
    assert command.main([str(path), str(tmp_path / "tiny" / "1")]) == 2
    assert capsys.readouterr().err.startswith(f"error: {path}: ")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--variants", "cpu-int4"], "unknown variant 'cpu-int4'"),
        (["--ship", "tpu"], "unknown variant 'tpu'"),
        (["--default-variant", "best"], "unknown variant 'best'"),
        (["--variants", "cpu-fp32"], "--default-variant cpu-int8 is not among"),
        (["--ship", "cpu-fp32"], "--default-variant cpu-int8 is not among"),
        (
            ["--variants", "cpu-fp32", "--ship", "cpu-int8"],
            "--ship cpu-int8 is not among the variants exported",
        ),
    ],
)
def test_variants_that_do_not_fit_together_are_refused(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    message: str,
) -> None:
    asked = answer(monkeypatch, Path())
    with pytest.raises(SystemExit) as caught:
        command.main(["model.safetensors", "models/tiny/1", *arguments])
    assert caught.value.code == 2
    assert message in capsys.readouterr().err
    assert asked == []
