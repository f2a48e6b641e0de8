from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from itertools import repeat

import pytest
from attendant import DeadlineError, FinishReason, OverloadedError, Translation, UnavailableError

from benchmarks import overload
from demos.bundled import PACKAGE as BUNDLED

TEXTS = ["A dog runs.", "Two men.", "A woman sleeps.", "Children play."]


@pytest.fixture
def all_processors() -> Iterator[None]:
    before = os.sched_getaffinity(0)
    yield
    os.sched_setaffinity(0, before)


@pytest.mark.usefixtures("all_processors")
def test_every_call_is_counted_once_at_every_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    cpus = sorted(os.sched_getaffinity(0))
    short = {"CAPACITY_S": 1.0, "STEADY_S": 1.0, "OVERLOAD_S": 1.5}
    for name, value in (short | {"SERVER_CPU": cpus[0], "CLIENT_CPU": cpus[-1]}).items():
        monkeypatch.setattr(overload, name, value)
    num_sent: list[int] = []
    send = overload._send

    async def counting_send(call: overload.Call, per_s: float, seconds: float) -> None:
        num_sent.append(0)

        async def counted() -> None:
            num_sent[-1] += 1
            await call()

        await send(counted, per_s, seconds)

    monkeypatch.setattr(overload, "_send", counting_send)
    found = overload.measure(BUNDLED.parents[1], TEXTS)
    able = found["capacity_texts_per_s"]
    assert isinstance(able, float)
    assert able > 0
    runs = found["runs"]
    assert isinstance(runs, list)
    assert [run["times_capacity"] for run in runs] == [0.5, 1, 3, 0.5]
    assert [run["offered_per_s"] for run in runs] == [0.5 * able, able, 3 * able, 0.5 * able]
    for run, count in zip(runs, num_sent, strict=True):
        assert count == run["num_good"] + run["num_refused"] + run["late"] + run["unavailable"]
        assert run["goodput"] == pytest.approx(4 * run["num_good"] / run["seconds"])
        assert run["hinted"] == run["full"] <= run["num_refused"]


class Answers:
    """In place of a client: `error` after `seconds`, or a translation."""

    def __init__(self, seconds: float, error: Exception | None) -> None:
        self.seconds, self.error = seconds, error

    async def translate(self, texts: list[str], **_fields: object) -> list[Translation]:
        await asyncio.sleep(self.seconds)
        if self.error is not None:
            raise self.error
        return [Translation(text, FinishReason.STOP, 1, 1) for text in texts]

    async def __aenter__(self) -> Answers:
        return self

    async def __aexit__(self, *_error: object) -> None:
        pass


def overloaded(retry_after_s: float | None) -> OverloadedError:
    error = OverloadedError("full")
    error.retry_after_s = retry_after_s
    return error


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("seconds", "error", "expected"),
    [
        (0.0, None, {"num_good": 1}),
        (0.0, overloaded(0.1), {"full": 1, "hinted": 1}),
        (0.0, overloaded(None), {"full": 1, "hinted": 0, "num_refused": 1}),
        (0.0, DeadlineError("too close"), {"num_refused": 1, "late": 0}),
        (0.2, DeadlineError("passed"), {"num_refused": 0, "late": 1}),
        (0.0, UnavailableError("gone"), {"unavailable": 1, "num_refused": 0}),
    ],
)
async def test_what_became_of_a_call_is_told_apart(
    monkeypatch: pytest.MonkeyPatch,
    seconds: float,
    error: Exception | None,
    expected: dict[str, int],
) -> None:
    async def once(call: overload.Call, _per_s: float, _seconds: float) -> None:
        await call()

    monkeypatch.setattr(overload, "AsyncClient", lambda *_, **__: Answers(seconds, error))
    monkeypatch.setattr(overload, "_send", once)
    monkeypatch.setattr(overload, "DEADLINE_S", 0.2)
    run = await overload.offer("nowhere", repeat(TEXTS), 1.0, 1.0)
    assert expected.items() <= run.summary().items()
