"""--device: what is chosen, and what is said where it cannot be."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from dataclasses import replace

import onnxruntime as ort
import pytest

from demos.server_process import REPOSITORY
from server import engine_host
from server.config import ServerConfig
from server.engine.wire import HostSpec
from server.engines import choose_variant
from server.errors import ConfigError, PackageError
from server.package import ModelPackage
from server.runtime import sessions
from server.runtime.sessions import Sessions, check_device

ALL = ["AzureExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"]


def variant_of(package: ModelPackage, device: str, variant: str = "") -> str:
    return choose_variant(package, variant, device)


def without(package: ModelPackage, *variants: str) -> ModelPackage:
    kept = {k: v for k, v in package.manifest.variants.items() if k not in variants}
    return ModelPackage(package.folder, replace(package.manifest, variants=kept))


def test_the_device_picks_the_variant(half_package: ModelPackage) -> None:
    assert variant_of(half_package, "cpu") == "cpu-int8"  # the package's default
    assert variant_of(half_package, "cuda") == "cuda-fp16"
    assert variant_of(half_package, "cpu", "cpu-fp32") == "cpu-fp32"
    assert variant_of(half_package, "cuda", "cuda-fp16") == "cuda-fp16"


def test_a_package_without_a_variant_for_the_device_says_how_to_export_one(
    half_package: ModelPackage,
) -> None:
    with pytest.raises(PackageError) as caught:
        variant_of(without(half_package, "cuda-fp16"), "cuda")
    message = str(caught.value)
    assert "no variant for device 'cuda'; there are: cpu-int8, cpu-fp32." in message
    assert "--variants cpu-int8,cpu-fp32,cuda-fp16" in message


def test_a_variant_of_another_device_is_refused(half_package: ModelPackage) -> None:
    with pytest.raises(ConfigError, match="'cuda-fp16', device is 'cpu': start with --device cuda"):
        variant_of(half_package, "cpu", "cuda-fp16")
    with pytest.raises(ConfigError, match="'cpu-int8', device is 'cuda': start with --device cpu"):
        variant_of(half_package, "cuda", "cpu-int8")


def test_an_unknown_device_is_refused() -> None:
    with pytest.raises(ConfigError, match="device is 'tpu': it must be cpu or cuda"):
        ServerConfig(device="tpu")


def test_an_onnxruntime_without_cuda_is_named(
    half_package: ModelPackage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ort, "get_available_providers", lambda: ["CPUExecutionProvider"])
    for load in (
        lambda: check_device("cuda"),
        lambda: Sessions(half_package, "cuda-fp16", 1),
        lambda: engine_host.load(HostSpec(half_package.folder, "", "cuda", 4, 1, 1, 5.0)),
    ):
        with pytest.raises(ConfigError, match=r"has no CUDAExecutionProvider; .* the extra gpu"):
            load()


def test_what_cuda_says_is_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def allocate(*_arguments: object) -> None:
        raise RuntimeError("cuda_call.cc:146 CUDA failure 100: no CUDA-capable device ; GPU=-1 ;")

    monkeypatch.setattr(ort, "get_available_providers", lambda: ALL)
    monkeypatch.setattr(ort, "preload_dlls", lambda: None)
    monkeypatch.setattr(ort.OrtValue, "ortvalue_from_shape_and_type", allocate)
    with pytest.raises(ConfigError, match=r"\(CUDA failure 100: no CUDA-capable device\): there"):
        check_device("cuda")


def test_a_session_that_falls_back_to_the_cpu_is_no_gpu(
    half_package: ModelPackage, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = ort.InferenceSession
    monkeypatch.setattr(sessions, "check_device", lambda _device: None)
    monkeypatch.setattr(
        ort,
        "InferenceSession",
        lambda graph, options, providers: make(graph, options, ["CPUExecutionProvider"]),
    )
    with pytest.raises(ConfigError, match="CUDAExecutionProvider did not start"):
        Sessions(half_package, "cuda-fp16", 1)


def test_the_server_says_it_in_one_line() -> None:
    with contextlib.suppress(ConfigError):
        check_device("cuda")
        pytest.skip("this machine has a GPU")
    command = [sys.executable, "-m", "server", "--device", "cuda", "--port", "0"]
    result = subprocess.run(
        command, cwd=REPOSITORY, capture_output=True, text=True, timeout=60, check=False
    )
    assert result.returncode == 1
    assert result.stdout == ""
    assert "\nerror: device is 'cuda': " in f"\n{result.stderr}"
    assert "Traceback" not in result.stderr
