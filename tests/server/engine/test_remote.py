"""The process of the engines, over a real package: it starts, answers, stops, and is missed when it
dies.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from server.engine.async_engine import AsyncEngine
from server.engine.options import DecodingOptions
from server.engine.remote import REPOSITORY, EngineProcess
from server.engine.sequence import Job
from server.engine.wire import HostSpec
from server.engines import decode_all, make_engine
from server.errors import ConfigError, PackageError, UnavailableError
from server.package import open_package

pytestmark = pytest.mark.asyncio

SOURCES = [[4, 20, 30, 40, 2], [4, 9, 2], [4, 50, 51, 52, 53, 2]]


def spec(package: Path, num_workers: int = 1, device: str = "cpu", variant: str = "") -> HostSpec:
    return HostSpec(package, variant, device, 8, 1, num_workers, ageing_s=5.0)


@asynccontextmanager
async def running(
    package: Path, num_workers: int = 1
) -> AsyncIterator[tuple[EngineProcess, AsyncEngine]]:
    process = EngineProcess(spec(package, num_workers))
    assert await asyncio.to_thread(process.wait_until_ready) == "cpu-int8"
    engine = AsyncEngine(process.workers, max_pending=1000)
    engine.start()
    try:
        yield process, engine
    finally:
        await engine.close()
    assert process._process.returncode is not None


async def until(is_met: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not is_met():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.005)


@pytest.mark.parametrize("num_workers", [1, 2])
async def test_it_answers_what_an_engine_here_would(
    numbers_package: Path, num_workers: int
) -> None:
    options = [
        DecodingOptions(30, is_scored=True, is_aligned=True),
        DecodingOptions(30, beam_size=4, num_hypotheses=4),
        DecodingOptions(30, num_alternatives=3),
    ]
    here = make_engine(open_package(numbers_package), "cpu-int8", 8, 1)
    expected = decode_all(here, SOURCES, options)
    async with running(numbers_package, num_workers) as (_, engine):
        jobs = [Job(source, option) for source, option in zip(SOURCES, options, strict=True)]
        found = await engine.generate(jobs)
    for completion, hypotheses in zip(found, expected, strict=True):
        assert [h.tokens for h in completion.hypotheses] == [h.tokens for h in hypotheses]
        pairs = list(zip(completion.hypotheses, hypotheses, strict=True))
        assert [a.log_probability for a, _ in pairs] == pytest.approx(
            [b.log_probability for _, b in pairs], abs=0, nan_ok=True
        )
        assert all(
            x.tobytes() == y.tobytes()
            for a, b in pairs
            for x, y in zip(a.attention, b.attention, strict=True)
        )


async def test_more_than_the_socket_holds_is_sent_when_there_is_room(
    numbers_package: Path,
) -> None:
    async with running(numbers_package) as (process, engine):
        os.kill(process.pid, signal.SIGSTOP)
        jobs = [Job([4, *[20] * 60, 2], DecodingOptions(2)) for _ in range(900)]
        call = asyncio.ensure_future(engine.generate(jobs))
        for _ in range(2):
            cancelled = asyncio.ensure_future(engine.generate(jobs[:40]))
            await asyncio.sleep(0)
            cancelled.cancel()
        (worker,) = process.workers
        await until(lambda: len(worker._unsent) > 0)  # and this loop still runs
        os.kill(process.pid, signal.SIGCONT)
        assert len(await call) == 900
        assert not worker._unsent


async def test_a_killed_process_fails_its_callers_and_is_not_healthy(
    numbers_package: Path,
) -> None:
    async with running(numbers_package) as (process, engine):
        assert engine.is_healthy(stuck_after_s=60)
        os.kill(process.pid, signal.SIGSTOP)
        call = asyncio.ensure_future(engine.generate([Job(SOURCES[0], DecodingOptions(30))]))
        await asyncio.sleep(0)
        os.kill(process.pid, signal.SIGKILL)
        with pytest.raises(UnavailableError, match="died"):
            await call
        assert not engine.is_healthy(stuck_after_s=60)
        with pytest.raises(UnavailableError):
            await engine.generate([Job(SOURCES[0], DecodingOptions(30))])


async def test_a_process_that_says_nothing_is_stuck(numbers_package: Path) -> None:
    async with running(numbers_package) as (process, engine):
        os.kill(process.pid, signal.SIGSTOP)
        await until(lambda: not engine.is_healthy(stuck_after_s=0.6))
        os.kill(process.pid, signal.SIGCONT)
        await until(lambda: engine.is_healthy(stuck_after_s=0.6))


async def test_one_that_does_not_stop_is_killed(
    numbers_package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.engine.async_engine.JOIN_TIMEOUT_S", 0.2)
    async with running(numbers_package) as (process, _):
        os.kill(process.pid, signal.SIGSTOP)
    assert process._process.returncode == -signal.SIGKILL


async def test_what_refuses_the_package_is_raised_here(
    numbers_package: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "numbers" / "1"
    shutil.copytree(numbers_package, folder)
    (folder / "cpu-int8" / "model.weights").write_bytes(b"torn")
    for asked, error, message in (
        (spec(folder), PackageError, "model.weights: SHA-256 is"),
        (spec(numbers_package, variant="tpu"), PackageError, "no variant 'tpu'"),
        (spec(numbers_package, variant="cuda-fp16", device="cpu"), PackageError, "no variant"),
    ):
        process = EngineProcess(asked)
        with pytest.raises(error, match=message):
            await asyncio.to_thread(process.wait_until_ready)
        assert not process.is_alive
    assert issubclass(ConfigError, Exception)


async def test_a_process_that_dies_as_it_loads_is_said_so(numbers_package: Path) -> None:
    process = EngineProcess(spec(numbers_package))
    os.kill(process.pid, signal.SIGKILL)
    with pytest.raises(PackageError, match="its process ended with -9 while it loaded"):
        await asyncio.to_thread(process.wait_until_ready)


async def test_it_ends_with_the_server_however_that_ends(numbers_package: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path\n"
        "from server.engine.remote import EngineProcess; from server.engine.wire import HostSpec\n"
        "process = EngineProcess(HostSpec(Path(sys.argv[1]), '', 'cpu', 4, 1, 1, 5.0))\n"
        "process.wait_until_ready(); print(process.pid, flush=True); time.sleep(60)\n"
    )
    command = [sys.executable, "-c", code, str(numbers_package)]
    with subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(await asyncio.to_thread(parent.stdout.readline))
        parent.kill()
    await until(lambda: _state(pid) in ("gone", "Z"))


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return "gone"


async def test_ctrl_c_and_sigterm_are_left_to_the_server(numbers_package: Path) -> None:
    async with running(numbers_package) as (process, engine):
        for number in (signal.SIGINT, signal.SIGTERM):
            os.kill(process.pid, number)
        (completion,) = await engine.generate([Job(SOURCES[0], DecodingOptions(30))])
        assert completion.hypotheses[0].tokens
        assert process.is_alive
