"""What the Open Inference Protocol lists, loads and unloads."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
import pytest_asyncio

from server.rpc.inference_stubs import inference_pb2 as pb
from tests.server.rpc.calls import refusal
from tests.server.rpc.conftest import config_for
from tests.server.rpc.inference_calls import InferenceServer, infer_request, serving_inference

pytestmark = pytest.mark.asyncio(loop_scope="module")

NOT_FOUND, UNAVAILABLE = grpc.StatusCode.NOT_FOUND, grpc.StatusCode.UNAVAILABLE
INVALID = grpc.StatusCode.INVALID_ARGUMENT


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(numbers_package: Path) -> AsyncIterator[InferenceServer]:
    config = config_for(numbers_package, num_slots=8, without_keys="translate,admin")
    async with serving_inference(config) as server:
        yield server


@pytest_asyncio.fixture(loop_scope="module")
async def fresh(numbers_package: Path) -> AsyncIterator[InferenceServer]:
    config = config_for(numbers_package, num_slots=8, without_keys="translate,admin")
    async with serving_inference(config) as server:
        yield server


async def test_the_index_lists_the_models(server: InferenceServer) -> None:
    for ready in (False, True):
        asked = pb.RepositoryIndexRequest(ready=ready)
        (model,) = (await server.stub.RepositoryIndex(asked)).models
        assert (model.name, model.version, model.state) == ("numbers", "1", "READY")
    asked = pb.RepositoryIndexRequest(repository_name="other")
    code, message = await refusal(server.stub.RepositoryIndex(asked))
    assert code is NOT_FOUND
    assert message == (
        "repository_name: there is no repository 'other'; the only one's name is empty"
    )


async def test_a_model_is_unloaded_and_loaded_again(
    fresh: InferenceServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="server.rpc.inference_v2.service")
    unload = pb.RepositoryModelUnloadRequest(model_name="numbers")
    unload.parameters["unload_dependents"].bool_param = False
    await fresh.stub.RepositoryModelUnload(unload)
    (model,) = (await fresh.stub.RepositoryIndex(pb.RepositoryIndexRequest())).models
    assert (model.name, model.version) == ("numbers", "1")
    assert (model.state, model.reason) == ("UNAVAILABLE", "unloaded")
    assert not (await fresh.stub.RepositoryIndex(pb.RepositoryIndexRequest(ready=True))).models
    assert not (await fresh.stub.ModelReady(pb.ModelReadyRequest(name="numbers"))).ready
    code, message = await refusal(fresh.stub.ModelInfer(infer_request("six")))
    assert (code, message) == (NOT_FOUND, "model numbers has been unloaded")
    code, _ = await refusal(fresh.stub.ModelMetadata(pb.ModelMetadataRequest(name="numbers")))
    assert code is UNAVAILABLE

    load = pb.RepositoryModelLoadRequest(model_name="numbers")
    await fresh.stub.RepositoryModelLoad(load)
    assert (await fresh.stub.ModelReady(pb.ModelReadyRequest(name="numbers"))).ready
    assert (await fresh.stub.ModelInfer(infer_request("six"))).outputs
    assert "asked to unload 'numbers', by no key" in caplog.text
    assert "asked to load 'numbers', by no key" in caplog.text


async def test_a_model_that_is_not_there_is_not_loaded(server: InferenceServer) -> None:
    load = pb.RepositoryModelLoadRequest(model_name="absent")
    unload = pb.RepositoryModelUnloadRequest(model_name="absent")
    expected = (NOT_FOUND, "model: there is no model 'absent'; there are: numbers")
    assert await refusal(server.stub.RepositoryModelLoad(load)) == expected
    assert await refusal(server.stub.RepositoryModelUnload(unload)) == expected


@pytest.mark.parametrize(
    ("name", "value"), [("config", "{}"), ("file:1/model.onnx", b"x"), ("other", True)]
)
async def test_a_model_is_not_loaded_otherwise_than_it_was_exported(
    server: InferenceServer, name: str, value: Any
) -> None:
    fields = {str: "string_param", bytes: "bytes_param", bool: "bool_param"}
    load = pb.RepositoryModelLoadRequest(model_name="numbers")
    setattr(load.parameters[name], fields[type(value)], value)
    code, message = await refusal(server.stub.RepositoryModelLoad(load))
    assert code is INVALID
    assert (
        message == f"parameters: {name!r} is set; a package is loaded as it is, without parameters"
    )
    unload = pb.RepositoryModelUnloadRequest(model_name="numbers")
    unload.parameters[name].SetInParent()
    code, message = await refusal(server.stub.RepositoryModelUnload(unload))
    assert code is INVALID
    assert message == f"parameters: there is no parameter {name!r}; there is unload_dependents"
