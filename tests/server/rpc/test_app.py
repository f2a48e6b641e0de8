"""Start, health, reflection, cancellation and shutdown of the whole server, over a real socket."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import grpc
import pytest
from attendant_protos.v1 import translation_pb2 as pb
from attendant_protos.v1.translation_pb2_grpc import TranslationServiceStub
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from server.config import ServerConfig
from server.engine.engine import StepStats
from server.errors import ConfigError, PackageError
from server.rpc.app import App, running
from tests.server.rpc.calls import engine_of, metric, until
from tests.server.rpc.conftest import config_for

pytestmark = pytest.mark.asyncio

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
LONG = "nine thousand, nine hundred and ninety-nine"


def request(text: str = LONG, count: int = 1) -> pb.TranslateRequest:
    return pb.TranslateRequest(source_language="en", target_language="de", texts=[text] * count)


def is_all_sent(app: App) -> bool:
    """Whether the engine's process has been sent all that it is to know."""
    (model,) = app.models.all()
    (worker,) = model.engine._workers
    return not worker._unsent


async def health_of(channel: grpc.aio.Channel, service: str = "") -> int:
    stub = health_pb2_grpc.HealthStub(channel)
    response = await stub.Check(health_pb2.HealthCheckRequest(service=service))
    return int(response.status)


async def test_health_is_answered_for_the_whole_the_services_and_the_models(
    channel: grpc.aio.Channel,
) -> None:
    assert await health_of(channel) == SERVING
    assert await health_of(channel, "inference.GRPCInferenceService") == SERVING
    assert await health_of(channel, "models/numbers") == SERVING
    assert await health_of(channel, "attendant.v1.TranslationService") == SERVING
    assert await health_of(channel, "inference.GRPCInferenceService") == SERVING
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await health_of(channel, "no.such.Service")
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


async def test_health_says_no_until_the_model_is_warm(
    numbers_package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import server.rpc.app as module

    seen: list[tuple[int, grpc.StatusCode]] = []
    load = module.load_model

    def load_while_watched(*arguments: object) -> object:
        with grpc.insecure_channel(f"127.0.0.1:{app.port}") as channel:
            check = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())
            call = TranslationServiceStub(channel).Translate
            with pytest.raises(grpc.RpcError) as caught:
                call(request())
            seen.append((check.status, caught.value.code()))
        return load(*arguments)

    monkeypatch.setattr(module, "load_model", load_while_watched)
    app = App(config_for(numbers_package))
    await app.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{app.port}") as channel:
        assert await health_of(channel) == SERVING
    await app.stop()
    assert seen == [(NOT_SERVING, grpc.StatusCode.UNAVAILABLE)]


async def test_reflection_describes_the_api_to_its_standard_client(
    channel: grpc.aio.Channel,
) -> None:
    stub = reflection_pb2_grpc.ServerReflectionStub(channel)

    async def ask(**fields: str) -> reflection_pb2.ServerReflectionResponse:
        call = stub.ServerReflectionInfo(iter([reflection_pb2.ServerReflectionRequest(**fields)]))
        return await call.read()

    listed = (await ask(list_services="")).list_services_response.service
    assert {service.name for service in listed} == {
        "attendant.v1.TranslationService",
        "inference.GRPCInferenceService",
        "grpc.channelz.v1.Channelz",
        "grpc.health.v1.Health",
        "grpc.reflection.v1alpha.ServerReflection",
    }
    described = await ask(file_containing_symbol="attendant.v1.TranslationService")
    pool = DescriptorPool()
    for serialised in described.file_descriptor_response.file_descriptor_proto:
        pool.AddSerializedFile(serialised)
    method = pool.FindServiceByName("attendant.v1.TranslationService").methods_by_name["Translate"]
    fields = [field.name for field in method.input_type.fields]
    assert fields[:5] == ["model", "source_language", "target_language", "texts", "options"]
    assert fields == [field.name for field in pb.TranslateRequest.DESCRIPTOR.fields]


async def test_a_storm_of_cancellations_leaves_no_slot_in_use(
    app: App, channel: grpc.aio.Channel
) -> None:
    stub = TranslationServiceStub(channel)
    (model,) = app.models.all()
    for _ in range(5):
        calls = [stub.Translate(request(count=4)) for _ in range(16)]
        # A busy machine may be done with all of them before it looks.
        await until(lambda c=calls: model.engine.num_pending >= 8 or all(x.done() for x in c))
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
    await until(lambda: model.engine.num_pending == 0)  # the server has heard of every cancellation
    gauges = ("attendant_cache_slots_used", "attendant_sequences_waiting")
    await until(lambda: all(metric(app, gauge) == 0 for gauge in gauges))
    assert (await stub.Translate(request())).translations[0].text


async def test_what_is_cancelled_before_its_turn_is_not_decoded(
    app: App, channel: grpc.aio.Channel
) -> None:
    stub = TranslationServiceStub(channel)
    (model,) = app.models.all()
    signal_engine(app, signal.SIGSTOP)  # so that all have come, and gone, before the first step
    calls = [stub.Translate(request(count=4)) for _ in range(16)]
    await until(lambda: model.engine.num_pending == 64)
    for call in calls:
        call.cancel()
    await until(lambda: model.engine.num_pending == 0 and is_all_sent(app))
    signal_engine(app, signal.SIGCONT)
    num_own = (await stub.Translate(request())).translations[0].target_tokens
    await until(lambda: metric(app, "attendant_cache_slots_used") == 0)
    num_steps = metric(app, "attendant_decode_batch_size_count")
    # All 64, 8 at a time, would take eight times as many as one alone.
    assert num_own <= num_steps <= 3 * num_own


async def test_a_deadline_frees_the_slot(app: App, channel: grpc.aio.Channel) -> None:
    stub = TranslationServiceStub(channel)
    calls = [stub.Translate(request(count=16), timeout=0.005) for _ in range(4)]
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    codes = {o.code() for o in outcomes if isinstance(o, grpc.aio.AioRpcError)}
    assert codes == {grpc.StatusCode.DEADLINE_EXCEEDED}
    await until(lambda: metric(app, "attendant_cache_slots_used") == 0)


async def test_a_short_sentence_overtakes_the_long_ones_that_run(
    app: App, channel: grpc.aio.Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    stub = TranslationServiceStub(channel)
    (model,) = app.models.all()
    step = engine_of(app).step

    def slow_step() -> object:
        time.sleep(0.02)  # a larger model: this one would be done before the short call is sent
        return step()

    monkeypatch.setattr(engine_of(app), "step", slow_step)
    order: list[str] = []

    async def call(name: str, message: pb.TranslateRequest) -> None:
        await stub.Translate(message)
        order.append(name)

    long_ones = asyncio.create_task(call("long", request(count=7)))
    await until(lambda: model.engine.num_pending == 7)
    short = request("six", count=1)
    short.options.max_target_tokens = 1
    await call("short", short)
    await long_ones
    assert order == ["short", "long"]


async def test_the_metrics_count_what_was_done(app: App, channel: grpc.aio.Channel) -> None:
    response = await TranslationServiceStub(channel).Translate(request(count=8))
    translation = response.translations[0]
    labels = {"model": "numbers", "side": "target"}
    counted = app.metrics.registry.get_sample_value("attendant_tokens_total", labels)
    assert counted == 8 * translation.target_tokens
    steps = metric(app, "attendant_decode_batch_size_count")
    rows = metric(app, "attendant_decode_batch_size_sum")
    assert rows == 8 * translation.target_tokens
    assert steps == translation.target_tokens
    assert metric(app, "attendant_request_duration_seconds_count") == 1
    for histogram in ("queue_time", "time_to_first_token", "time_per_output_token"):
        assert metric(app, f"attendant_{histogram}_seconds_count") == 8
    first = metric(app, "attendant_time_to_first_token_seconds_sum")
    assert metric(app, "attendant_queue_time_seconds_sum") < first
    labels = {"model": "numbers", "outcome": "stop"}
    assert app.metrics.registry.get_sample_value("attendant_texts_total", labels) == 8


def count_steps(app: App) -> dict[int, int]:
    """Steps of each worker of the only model, from now on."""
    (model,) = app.models.all()
    num_steps = dict.fromkeys(range(len(model.engine._workers)), 0)

    def counted(index: int, observe: Callable[[StepStats], None]) -> Callable[[StepStats], None]:
        def count(stats: StepStats) -> None:
            num_steps[index] += 1
            observe(stats)

        return count

    for i, worker in enumerate(model.engine._workers):
        worker.on_step = counted(i, worker.on_step)
    return num_steps


async def test_several_workers_share_the_load_and_answer_as_one(numbers_package: Path) -> None:
    texts = ["nine thousand", "four hundred and eighteen", "six", LONG] * 4
    asked = pb.TranslateRequest(source_language="en", target_language="de", texts=texts)
    answers = []
    for workers in (1, 3):
        config = config_for(numbers_package, num_slots=4, workers=workers)
        async with running(config) as app:
            assert metric(app, "attendant_cache_slots") == 4 * workers
            num_steps = count_steps(app)
            async with grpc.aio.insecure_channel(f"127.0.0.1:{app.port}") as channel:
                answers.append(await TranslationServiceStub(channel).Translate(asked))
            assert all(steps > 5 for steps in num_steps.values())
            await until(lambda: metric(app, "attendant_cache_slots_used") == 0)
    assert answers[0] == answers[1]


async def test_shutdown_under_load_loses_no_accepted_request(numbers_package: Path) -> None:
    app = App(config_for(numbers_package, num_slots=2))
    await app.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{app.port}") as channel:
        stub = TranslationServiceStub(channel)
        calls = [asyncio.ensure_future(stub.Translate(request(count=16))) for _ in range(60)]
        (model,) = app.models.all()
        await until(lambda: model.engine.num_pending > 40)
        num_accepted = app._drain.num_in_flight
        await app.stop()
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
    answered = [o for o in outcomes if isinstance(o, pb.TranslateResponse)]
    refused = [o for o in outcomes if isinstance(o, grpc.aio.AioRpcError)]
    labels = {"model": "numbers", "code": "OK"}
    num_ok = app.metrics.registry.get_sample_value("attendant_requests_total", labels)
    assert len(answered) == num_ok >= num_accepted > 2
    assert len(answered) + len(refused) == 60
    assert {error.code() for error in refused} <= {grpc.StatusCode.UNAVAILABLE}
    assert all(len(o.translations) == 16 and o.translations[15].text for o in answered)


async def test_a_draining_server_says_not_serving_before_it_refuses(numbers_package: Path) -> None:
    config = ServerConfig(models=numbers_package.parent.parent, port=0, drain_delay_s=0.5)
    app = App(config)
    await app.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{app.port}") as channel:
        stub = TranslationServiceStub(channel)
        await stub.Translate(request())
        stopping = asyncio.create_task(app.stop())
        await asyncio.sleep(0)
        assert await health_of(channel) == NOT_SERVING
        assert (await stub.Translate(request())).translations[0].text
        await stopping
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.Translate(request(), wait_for_ready=False)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


def signal_engine(app: App, number: signal.Signals) -> None:
    """Sends a signal to the process of the only model's engine."""
    (model,) = app.models.all()
    (worker,) = model.engine._workers
    os.kill(worker._process.pid, number)


async def until_health_is(channel: grpc.aio.Channel, expected: int) -> None:
    deadline = time.monotonic() + 10
    while await health_of(channel) != expected:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


async def test_a_dead_engine_fails_its_callers_and_turns_health_off(
    app: App, channel: grpc.aio.Channel, caplog: pytest.LogCaptureFixture
) -> None:
    stub = TranslationServiceStub(channel)
    signal_engine(app, signal.SIGSTOP)  # else it might have answered before it dies
    call = asyncio.ensure_future(stub.Translate(request(LONG, count=8)))
    (model,) = app.models.all()
    await until(lambda: model.engine.num_pending == 8)
    signal_engine(app, signal.SIGKILL)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    assert "died" in (caught.value.details() or "")
    await until_health_is(channel, NOT_SERVING)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.Translate(request())
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    assert "the process of the engines" in caplog.text


async def test_a_stuck_engine_turns_health_off_until_it_moves_again(numbers_package: Path) -> None:
    async with (
        running(config_for(numbers_package, stuck_after_s=0.6)) as app,
        grpc.aio.insecure_channel(f"127.0.0.1:{app.port}") as channel,
    ):
        signal_engine(app, signal.SIGSTOP)
        call = asyncio.ensure_future(TranslationServiceStub(channel).Translate(request()))
        await until_health_is(channel, NOT_SERVING)
        signal_engine(app, signal.SIGCONT)
        assert (await call).translations[0].text
        await until_health_is(channel, SERVING)


async def test_a_taken_port_is_named(app: App, numbers_package: Path) -> None:
    config = ServerConfig(models=numbers_package.parent.parent, port=app.port)
    with pytest.raises(ConfigError, match=f"cannot listen on 127.0.0.1:{app.port}"):
        async with running(config):
            pytest.fail("it shares the port")


async def test_a_bad_package_does_not_start_serving(tmp_path: Path) -> None:
    with pytest.raises(PackageError, match="no model package"):
        async with running(ServerConfig(models=tmp_path, port=0, drain_delay_s=0.0)):
            pytest.fail("it serves")
