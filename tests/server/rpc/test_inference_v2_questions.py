"""What the Open Inference Protocol tells of the server and its models, and what it cannot do."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest
import pytest_asyncio
from attendant_protos.v1.translation_pb2_grpc import TranslationServiceStub
from google.protobuf.message_factory import GetMessageClass

from server.rpc.app import App
from server.rpc.inference_stubs import inference_pb2 as pb
from tests.server.rpc.calls import gated, refusal, request, until
from tests.server.rpc.conftest import config_for
from tests.server.rpc.inference_calls import (
    SERVICE,
    InferenceServer,
    infer_request,
    serving_inference,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")

NOT_FOUND, UNAVAILABLE = grpc.StatusCode.NOT_FOUND, grpc.StatusCode.UNAVAILABLE
INVALID, UNIMPLEMENTED = grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.UNIMPLEMENTED


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(numbers_package: Path) -> AsyncIterator[InferenceServer]:
    config = config_for(
        numbers_package,
        num_slots=8,
        max_texts=16,
        max_waiting=77,
        without_keys="translate,admin",
    )
    async with serving_inference(config) as server:
        yield server


@pytest_asyncio.fixture(loop_scope="module")
async def fresh(numbers_package: Path) -> AsyncIterator[InferenceServer]:
    config = config_for(numbers_package, num_slots=8, without_keys="translate,admin")
    async with serving_inference(config) as server:
        yield server


async def test_a_server_that_serves_is_live_and_ready(server: InferenceServer) -> None:
    assert (await server.stub.ServerLive(pb.ServerLiveRequest())).live
    assert (await server.stub.ServerReady(pb.ServerReadyRequest())).ready
    for name, version in (("numbers", ""), ("numbers", "1")):
        asked = pb.ModelReadyRequest(name=name, version=version)
        assert (await server.stub.ModelReady(asked)).ready
    for name, version in (("absent", ""), ("numbers", "2")):
        asked = pb.ModelReadyRequest(name=name, version=version)
        assert not (await server.stub.ModelReady(asked)).ready


async def test_a_server_that_loads_is_live_and_not_ready(
    numbers_package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import server.rpc.app as module

    load, seen = module.load_model, []

    def load_while_watched(*arguments: object) -> object:
        with grpc.insecure_channel(f"127.0.0.1:{app.port}") as channel:
            for name in ("ServerLive", "ServerReady", "ModelReady"):
                method = SERVICE.methods_by_name[name]
                call = channel.unary_unary(
                    f"/{SERVICE.full_name}/{name}",
                    request_serializer=GetMessageClass(method.input_type).SerializeToString,
                    response_deserializer=GetMessageClass(method.output_type).FromString,
                )
                response = call(GetMessageClass(method.input_type)())
                seen.append([value for _, value in response.ListFields()])
            call = channel.unary_unary(f"/{SERVICE.full_name}/ModelMetadata")
            with pytest.raises(grpc.RpcError) as caught:
                call(b"")
            seen.append([caught.value.code()])
        return load(*arguments)

    monkeypatch.setattr(module, "load_model", load_while_watched)
    app = App(config_for(numbers_package))
    await app.start()
    await app.stop()
    assert seen == [[True], [], [], [UNAVAILABLE]]


async def test_a_server_that_drains_is_live_and_not_ready(fresh: InferenceServer) -> None:
    with gated(fresh.app) as gate:
        call = asyncio.ensure_future(fresh.stub.ModelInfer(infer_request("six")))
        await until(lambda: fresh.num_pending == 1)
        stopping = asyncio.create_task(fresh.app.stop())
        await until(lambda: fresh.app._drain.begun.is_set())
        assert (await fresh.stub.ServerLive(pb.ServerLiveRequest())).live
        assert not (await fresh.stub.ServerReady(pb.ServerReadyRequest())).ready
        ready = await fresh.stub.ModelReady(pb.ModelReadyRequest(name="numbers"))
        assert not ready.ready
        (model,) = (await fresh.stub.RepositoryIndex(pb.RepositoryIndexRequest())).models
        assert (model.state, model.reason) == ("UNAVAILABLE", "the server takes no work")
        code, message = await refusal(fresh.stub.ModelInfer(infer_request("six")))
        assert (code, message) == (UNAVAILABLE, "the server is shutting down")
        gate.open()
        assert (await call).outputs
    await stopping


async def test_a_dead_engine_is_not_ready(fresh: InferenceServer) -> None:
    (model,) = fresh.app.models.all()
    (worker,) = model.engine._workers
    os.kill(worker._process.pid, signal.SIGKILL)
    await until(lambda: not worker.is_alive)
    asked = pb.ModelReadyRequest(name="numbers")
    assert not (await fresh.stub.ModelReady(asked)).ready
    (entry,) = (await fresh.stub.RepositoryIndex(pb.RepositoryIndexRequest())).models
    assert entry.state == "UNAVAILABLE"
    assert not (await fresh.stub.RepositoryIndex(pb.RepositoryIndexRequest(ready=True))).models
    await until(lambda: not fresh.app._is_serving)
    assert not (await fresh.stub.ServerReady(pb.ServerReadyRequest())).ready


async def test_the_server_says_who_it_is_and_what_it_has(server: InferenceServer) -> None:
    found = await server.stub.ServerMetadata(pb.ServerMetadataRequest())
    assert found.name == "attendant"
    assert found.version == "0.1.0"
    assert found.extensions == [
        "model_configuration",
        "model_repository",
        "parameters",
        "schedule_policy",
        "statistics",
    ]


async def test_the_tensors_of_a_model(server: InferenceServer) -> None:
    found = await server.stub.ModelMetadata(pb.ModelMetadataRequest(name="numbers"))
    assert (found.name, found.versions, found.platform) == ("numbers", ["1"], "onnxruntime_onnx")
    tensors = {t.name: (t.datatype, list(t.shape)) for t in found.inputs}
    assert tensors == {"text": ("BYTES", [-1, 1]), "target_prefix": ("BYTES", [-1, 1])}
    tensors = {t.name: (t.datatype, list(t.shape)) for t in found.outputs}
    assert tensors == {
        "translation": ("BYTES", [-1, -1]),
        "score": ("FP32", [-1, -1]),
        "log_probability": ("FP32", [-1, -1]),
        "finish_reason": ("BYTES", [-1, -1]),
        "alignment": ("BYTES", [-1, -1]),
        "num_source_tokens": ("INT32", [-1, 1]),
        "num_target_tokens": ("INT32", [-1, 1]),
    }


async def test_the_configuration_is_that_of_the_server(server: InferenceServer) -> None:
    asked = pb.ModelConfigRequest(name="numbers", version="1")
    config = (await server.stub.ModelConfig(asked)).config
    assert (config.name, config.max_batch_size) == ("numbers", 16)
    assert [(t.name, t.data_type, list(t.dims), t.optional) for t in config.input] == [
        ("text", pb.TYPE_STRING, [1], False),
        ("target_prefix", pb.TYPE_STRING, [1], True),
    ]
    outputs = {t.name: (t.data_type, list(t.dims)) for t in config.output}
    assert outputs["translation"] == (pb.TYPE_STRING, [-1])
    assert outputs["score"] == (pb.TYPE_FP32, [-1])
    assert outputs["num_source_tokens"] == (pb.TYPE_INT32, [1])
    (group,) = config.instance_group
    assert (group.name, group.count, group.kind) == ("cpu-int8", 1, pb.ModelInstanceGroup.KIND_CPU)
    assert config.dynamic_batching.priority_levels == 3
    assert config.dynamic_batching.default_queue_policy.max_queue_size == 77
    assert not config.model_transaction_policy.decoupled
    facts = {name: fact.string_value for name, fact in config.parameters.items()}
    assert facts == {
        "languages": "en de",
        "directions": "en-de",
        "variant": "cpu-int8",
        "rows": "8",
        "max_source_tokens": "64",
        "max_text_characters": "5000",
        "max_request_tokens": "16384",
    }


async def test_the_limit_of_the_configuration_holds(server: InferenceServer) -> None:
    assert len((await server.infer(*["six"] * 16)).outputs[0].contents.bytes_contents) == 16
    code, _ = await refusal(server.stub.ModelInfer(infer_request(*["six"] * 17)))
    assert code is INVALID


@pytest.mark.parametrize("name", ["ModelMetadata", "ModelConfig", "ModelStatistics"])
async def test_questions_about_what_does_not_exist(server: InferenceServer, name: str) -> None:
    kind = GetMessageClass(SERVICE.methods_by_name[name].input_type)
    ask = getattr(server.stub, name)
    code, message = await refusal(ask(kind(name="absent")))
    assert code is NOT_FOUND
    assert message == "model: there is no model 'absent'; there are: numbers"
    code, message = await refusal(ask(kind(name="numbers", version="9")))
    assert code is NOT_FOUND
    assert message == "model_version: model numbers has no version '9'; it has 1"


async def statistics(server: InferenceServer, name: str = "") -> pb.ModelStatistics:
    response = await server.stub.ModelStatistics(pb.ModelStatisticsRequest(name=name))
    (found,) = response.model_stats
    return found


async def test_statistics_are_what_was_done(fresh: InferenceServer) -> None:
    nothing = await statistics(fresh)
    assert nothing == pb.ModelStatistics(
        name="numbers", version="1", inference_stats=nothing.inference_stats
    )
    assert nothing.inference_stats.success == pb.StatisticDuration()
    started = time.monotonic()
    counts = ["six", "seven", "nine thousand"]
    outputs = ["num_target_tokens"]
    lengths = [
        (await fresh.infer(*[text] * 2, outputs=outputs)).outputs[0].contents.int_contents[0]
        for text in counts
    ]
    await TranslationServiceStub(fresh.channel).Translate(request("six"))
    call = fresh.stub.ModelStreamInfer(iter([infer_request("six", parameters={"stream": True})]))
    assert [answer async for answer in call][-1].infer_response.outputs
    elapsed_ns = (time.monotonic() - started) * 1e9
    found = await statistics(fresh, "numbers")
    stats = found.inference_stats
    assert (stats.success.count, stats.fail.count, found.inference_count) == (5, 0, 8)
    parts = (stats.queue, stats.compute_input, stats.compute_infer, stats.compute_output)
    assert [part.count for part in parts] == [5] * 4
    assert sum(part.ns for part in parts) == pytest.approx(stats.success.ns, abs=10)
    assert 0 < stats.success.ns < elapsed_ns
    assert all(part.ns > 0 for part in parts)
    assert stats.compute_infer.ns > stats.compute_output.ns
    steps = {batch.batch_size: batch.compute_infer for batch in found.batch_stats}
    assert steps[2].count == sum(lengths)
    assert steps[1].count == 2 * lengths[0]
    assert found.execution_count == sum(lengths) + 2 * lengths[0]
    assert 0 < steps[1].ns + steps[2].ns < elapsed_ns
    assert abs(found.last_inference / 1000 - time.time()) < 60


async def test_waiting_is_counted_as_waiting(fresh: InferenceServer) -> None:
    with gated(fresh.app) as gate:
        call = asyncio.ensure_future(fresh.stub.ModelInfer(infer_request("six")))
        await until(lambda: fresh.num_pending == 1)
        await asyncio.sleep(0.05)
        first = asyncio.ensure_future(fresh.stub.ModelInfer(infer_request(*["seven"] * 8)))
        await until(lambda: fresh.num_pending == 9)
        gate.open()
        await asyncio.gather(call, first)
    stats = (await statistics(fresh)).inference_stats
    assert stats.queue.ns + stats.compute_infer.ns > 50_000_000
    assert stats.queue.ns > 0


async def test_what_fails_and_what_is_given_up_is_a_failure(fresh: InferenceServer) -> None:
    with gated(fresh.app) as gate:
        call = fresh.stub.ModelInfer(infer_request("six"))
        await until(lambda: fresh.num_pending == 1)
        call.cancel()
        await until(lambda: fresh.num_pending == 0)
        late = fresh.stub.ModelInfer(infer_request("six", parameters={"timeout": 20_000}))
        pending = asyncio.ensure_future(refusal(late))
        await until(lambda: fresh.num_pending == 1)
        await asyncio.sleep(0.03)
        gate.open()
        await pending
    await refusal(fresh.stub.ModelInfer(infer_request("six", parameters={"beam_size": 99})))
    stats = (await statistics(fresh)).inference_stats
    assert (stats.success.count, stats.fail.count) == (0, 2)
    assert stats.fail.ns > 20_000_000


UNSUPPORTED = {
    **{
        f"{kind}SharedMemory{verb}": "shared memory is not supported: send tensors in the request"
        for kind in ("System", "Cuda")
        for verb in ("Status", "Register", "Unregister")
    },
    "TraceSetting": "trace settings are not supported: this server writes no traces of Triton's",
    "LogSettings": "log settings are not supported: they are fixed when the server starts",
}


@pytest.mark.parametrize("name", UNSUPPORTED)
async def test_what_is_not_supported_says_so(server: InferenceServer, name: str) -> None:
    kind = GetMessageClass(SERVICE.methods_by_name[name].input_type)
    code, message = await refusal(getattr(server.stub, name)(kind()))
    assert code is UNIMPLEMENTED
    assert message == UNSUPPORTED[name]


async def test_questions_are_no_work(fresh: InferenceServer) -> None:
    await fresh.stub.ServerLive(pb.ServerLiveRequest())
    await fresh.stub.ModelMetadata(pb.ModelMetadataRequest())
    await refusal(fresh.stub.ModelConfig(pb.ModelConfigRequest(name="absent")))
    families = fresh.app.metrics.registry.collect()
    counted = [s for f in families if f.name == "attendant_requests" for s in f.samples]
    assert counted == []
    await fresh.infer("six")
    await refusal(fresh.stub.ModelInfer(infer_request("six", model_name="absent")))
    sample = fresh.app.metrics.registry.get_sample_value
    ok, failed = ({"model": m, "code": c} for m, c in (("numbers", "OK"), ("", "NOT_FOUND")))
    assert sample("attendant_requests_total", ok) == 1
    assert sample("attendant_requests_total", failed) == 1
    latency = sample("attendant_request_duration_seconds_count", {"model": "numbers"})
    assert latency == 1
