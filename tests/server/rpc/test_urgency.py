"""Deadlines, partial results, priorities, and whom a call is counted to."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from attendant_protos.v1 import translation_pb2 as pb

from server.engine.sequence import Job, Priority
from server.rpc.translation import caller_of
from tests.server.rpc.calls import (
    ALIGNMENT,
    CAPTION,
    SCORES,
    Server,
    engine_of,
    gated,
    joined,
    refusal,
    request,
    stream_request,
    until,
)
from tests.server.rpc.conftest import config_for, serving

pytestmark = pytest.mark.asyncio(loop_scope="module")

PARTIAL = pb.FINISH_REASON_DEADLINE
SLOW_STEP_S = 0.03
FAR_S = 60.0


@pytest.fixture
def slow_steps(captions: Server) -> Iterator[None]:
    """A larger model: this one would be done before any deadline."""
    engine = engine_of(captions.app)
    step = engine.step

    def slow_step() -> object:
        time.sleep(SLOW_STEP_S)
        return step()

    engine.step = slow_step  # type: ignore[method-assign,assignment]
    yield
    del engine.step


@pytest.fixture
def let_time_run_out(captions: Server) -> Iterator[Callable[[], None]]:
    """Moves the engine's clock past every deadline."""
    engine = engine_of(captions.app)
    clock = engine._clock

    def run_out() -> None:
        engine._clock = lambda: clock() + 2 * FAR_S

    yield run_out
    engine._clock = clock


# Partial results


@pytest.mark.usefixtures("slow_steps")
async def test_a_partial_result_arrives_before_the_deadline(
    captions: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Half of the time is kept back, for a busy machine; how much it is else is tested below.
    monkeypatch.setattr("server.translator.PARTIAL_MARGIN", 0.5)
    monkeypatch.setattr("server.translator.MAX_PARTIAL_MARGIN_S", 10.0)
    whole = (await captions.translate(CAPTION)).text
    options = pb.DecodingOptions(min_target_tokens=200, loop_guard=0)
    found = await captions.translate(
        CAPTION, options=options, output=SCORES, partial_at_deadline=True, timeout=1.2
    )
    assert found.finish_reason == found.hypotheses[0].finish_reason == PARTIAL
    assert found.text
    assert whole.startswith(found.text) or found.text.startswith(whole)
    assert found.target_tokens == len(found.hypotheses[0].tokens)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"beam_size": 4, "num_hypotheses": 4},
        {"sampling": pb.Sampling(seed=2), "num_hypotheses": 3},
        {"num_alternatives": 3},
    ],
)
async def test_at_the_deadline_the_best_so_far_is_answered(
    captions: Server, let_time_run_out: Callable[[], None], options: dict[str, Any]
) -> None:
    num_steps = 5
    with gated(captions.app) as gate:
        call = asyncio.ensure_future(
            captions.translate(
                CAPTION,
                options=pb.DecodingOptions(**options),
                output=pb.OutputOptions(scores=True, alignment=True),
                partial_at_deadline=True,
                timeout=FAR_S,
            )
        )
        steps = captions.metric("attendant_decode_batch_size_count")
        gate.allow(num_steps)
        await until(
            lambda: captions.metric("attendant_decode_batch_size_count") == steps + num_steps
        )
        let_time_run_out()
        gate.open()
        found = await call
    assert found.finish_reason == PARTIAL
    assert found.target_tokens == num_steps
    width = max(options.get("num_hypotheses", 1), options.get("num_alternatives", 1))
    assert len(found.hypotheses) == width
    for hypothesis in found.hypotheses:
        assert hypothesis.finish_reason == PARTIAL
        assert len(hypothesis.tokens) == len(hypothesis.alignment.links) == num_steps
    await until(lambda: captions.metric("attendant_cache_slots_used") == 0)


@pytest.mark.parametrize("options", [{}, {"beam_size": 3}])
async def test_a_stream_ends_with_what_there_was(
    captions: Server, let_time_run_out: Callable[[], None], options: dict[str, Any]
) -> None:
    decoding = pb.DecodingOptions(**options)
    with gated(captions.app) as gate:
        asked = stream_request(CAPTION, options=decoding, partial_at_deadline=True)
        messages = aiter(captions.stub.TranslateStream(asked, timeout=FAR_S))
        gate.allow(9)
        first = await anext(messages)
        let_time_run_out()
        gate.open()
        rest = [message async for message in messages]
    assert rest[-1].translation.finish_reason == PARTIAL
    assert first.text + joined(rest) == rest[-1].translation.text


async def test_a_text_that_never_began_is_answered_empty(
    captions: Server, let_time_run_out: Callable[[], None]
) -> None:
    with gated(captions.app) as gate:
        call = asyncio.ensure_future(
            captions.stub.Translate(
                request(CAPTION, "", partial_at_deadline=True, output=ALIGNMENT),
                timeout=FAR_S,
            )
        )
        await until(lambda: captions.async_engine.num_pending == 1)
        let_time_run_out()
        gate.open()
        found, empty = (await call).translations
    assert (found.text, found.finish_reason, found.target_tokens) == ("", PARTIAL, 0)
    assert not found.hypotheses[0].alignment.links
    assert empty.finish_reason == pb.FINISH_REASON_EMPTY


async def test_what_ended_in_time_stands_beside_what_did_not(
    captions: Server, let_time_run_out: Callable[[], None]
) -> None:
    asked = request("A dog.", CAPTION, partial_at_deadline=True)
    with gated(captions.app) as gate:
        call = asyncio.ensure_future(captions.stub.Translate(asked, timeout=FAR_S))
        gate.allow(14)  # the short one needs 12, the long one 17
        await until(lambda: captions.async_engine.num_pending == 1)
        let_time_run_out()
        gate.open()
        short, long = (await call).translations
    assert short.finish_reason == pb.FINISH_REASON_STOP
    assert long.finish_reason == PARTIAL
    assert short == await captions.translate("A dog.")


# Deadlines


@pytest.mark.usefixtures("slow_steps")
@pytest.mark.parametrize("kind", ["Translate", "TranslateStream"])
@pytest.mark.parametrize("options", [{}, {"beam_size": 4}])
async def test_past_the_deadline_the_work_stops(
    captions: Server, kind: str, options: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    asked = request if kind == "Translate" else stream_request
    message = asked(
        CAPTION, options=pb.DecodingOptions(min_target_tokens=100, loop_guard=0, **options)
    )
    code, _ = await refusal(getattr(captions.stub, kind)(message, timeout=0.2))
    assert code is grpc.StatusCode.DEADLINE_EXCEEDED
    await until(lambda: captions.async_engine.num_pending == 0)
    await until(lambda: captions.metric("attendant_cache_slots_used") == 0)
    assert captions.metric("attendant_sequences_running") == 0
    assert caplog.text == ""


async def test_the_engine_says_that_time_ran_out(
    captions: Server, let_time_run_out: Callable[[], None]
) -> None:
    for kind, asked in (("Translate", request), ("TranslateStream", stream_request)):
        with gated(captions.app) as gate:
            call = getattr(captions.stub, kind)(asked(CAPTION), timeout=FAR_S)
            await until(lambda: captions.async_engine.num_pending == 1)
            let_time_run_out()
            gate.open()
            code, details = await refusal(call)
        assert code is grpc.StatusCode.DEADLINE_EXCEEDED
        assert details == "the deadline passed, or was too close for this text"


async def test_what_cannot_end_in_time_is_refused_at_once(
    captions: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(4):
        await captions.translate(CAPTION)  # the engine learns its own pace
    monkeypatch.setattr(engine_of(captions.app)._pace, "_step_s", 1.0)
    steps = captions.metric("attendant_decode_batch_size_count")
    code, _ = await refusal(captions.stub.Translate(request(CAPTION), timeout=3.0))
    assert code is grpc.StatusCode.DEADLINE_EXCEEDED
    assert captions.metric("attendant_decode_batch_size_count") == steps
    assert (await captions.translate("A dog.")).text


# Priorities and callers


async def test_the_urgent_go_first_however_late_they_come(numbers_package: Path) -> None:
    async with serving(config_for(numbers_package, num_slots=1)) as server:
        with gated(server.app) as gate:
            calls = [asyncio.ensure_future(server.translate("six"))]
            gate.allow(1)
            await until(lambda: server.metric("attendant_sequences_running") == 1)
            for priority in (pb.PRIORITY_BULK, pb.PRIORITY_UNSPECIFIED, pb.PRIORITY_INTERACTIVE):
                calls.append(asyncio.ensure_future(server.translate("six", priority=priority)))
            await until(lambda: server.async_engine.num_pending == 4)
            gate.open()
            await asyncio.gather(*calls)
    order = [job.priority for job in gate.ended]
    assert order == [Priority.STANDARD, Priority.INTERACTIVE, Priority.STANDARD, Priority.BULK]


async def test_a_bulk_request_that_has_waited_is_let_past(numbers_package: Path) -> None:
    config = config_for(numbers_package, num_slots=1, ageing_s=0.0)
    async with serving(config) as server:
        with gated(server.app) as gate:
            calls = [asyncio.ensure_future(server.translate("six"))]
            gate.allow(1)
            await until(lambda: server.metric("attendant_sequences_running") == 1)
            priorities = [pb.PRIORITY_BULK, *[pb.PRIORITY_INTERACTIVE] * 20]
            for priority in priorities:
                calls.append(asyncio.ensure_future(server.translate("six", priority=priority)))
                await until(lambda: server.async_engine.num_pending == len(calls))
            gate.open()
            await asyncio.gather(*calls)
    order = [job.priority for job in gate.ended]
    assert order.index(Priority.BULK) == 7


@pytest.mark.parametrize(
    ("peer", "caller"),
    [
        ("ipv4:127.0.0.1:50051", "ipv4:127.0.0.1"),
        ("ipv6:[::1]:50051", "ipv6:[::1]"),
        ("ipv6:%5B2001:db8::1%5D:443", "ipv6:%5B2001:db8::1%5D"),
        ("unix:", "unix:"),
        ("unix:/run/attendant.sock", "unix:/run/attendant.sock"),
        ("", ""),
    ],
)
async def test_a_caller_is_an_address_without_its_port(peer: str, caller: str) -> None:
    assert caller_of(peer) == caller


async def test_every_job_knows_its_caller_its_urgency_and_its_deadline(
    captions: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Job] = []
    submit = captions.async_engine._submit

    def spy(jobs: list[Job]) -> object:
        seen.extend(jobs)
        return submit(jobs)

    monkeypatch.setattr(captions.async_engine, "_submit", spy)
    await captions.translate("A dog.", priority=pb.PRIORITY_BULK)
    await captions.stream("A dog.", priority=pb.PRIORITY_INTERACTIVE, partial_at_deadline=True)
    await captions.translate("A dog.", partial_at_deadline=True)
    assert {job.caller for job in seen} == {"ipv4:127.0.0.1"}
    priorities = [Priority.BULK, Priority.INTERACTIVE, Priority.STANDARD]
    assert [job.priority for job in seen] == priorities
    assert [job.takes_partial for job in seen] == [False, True, True]
    assert [job.is_streamed for job in seen] == [False, True, False]
    assert {job.deadline for job in seen} == {float("inf")}


@pytest.mark.parametrize("timeout", [0.5, 1.001, 12.0, 30.0, 100.001, 600.0])
async def test_time_is_kept_back_to_bring_a_partial_result_home(
    captions: Server, monkeypatch: pytest.MonkeyPatch, timeout: float
) -> None:
    """gRPC rounds a deadline up on its way, 100.001 s to 101: what is kept back is more."""
    deadlines: list[float] = []
    submit = captions.async_engine._submit

    def spy(jobs: list[Job]) -> object:
        deadlines.extend(job.deadline for job in jobs)
        return submit(jobs)

    monkeypatch.setattr(captions.async_engine, "_submit", spy)
    for is_partial in (True, False):
        started = time.monotonic()
        await captions.translate("A dog.", partial_at_deadline=is_partial, timeout=timeout)
        deadlines[-1] -= started
    partial, full = deadlines
    assert 0.85 * timeout < partial < timeout - min(0.05, 0.05 * timeout)
    assert full >= 0.95 * timeout
