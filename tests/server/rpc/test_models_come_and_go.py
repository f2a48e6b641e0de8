"""New versions, bad ones and dead engines, with real packages under a real server."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import time
from collections import Counter
from pathlib import Path

import grpc
import pytest

from server.package import _seal
from tests.server.rpc.calls import Server, refusal, request, until
from tests.server.rpc.conftest import config_for, serving

pytestmark = pytest.mark.asyncio

NUM_SWAPS = 10
NUM_CALLERS = 8


@pytest.fixture
def first(numbers_package: Path, tmp_path: Path) -> Path:
    """Version 1 in a folder of its own."""
    return version(numbers_package, tmp_path, 1)


def version(package: Path, models: Path, number: int, name: str = "numbers") -> Path:
    """A copy of `package` as another version, put into its place at once."""
    staged = models / "staged" / str(number)
    shutil.copytree(package, staged)
    manifest = json.loads((staged / "manifest.json").read_text(encoding="utf-8"))
    del manifest["seal"]
    manifest |= {"name": name, "version": str(number)}
    manifest["seal"] = _seal(manifest)
    (staged / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    place = models / "models" / name / str(number)
    place.parent.mkdir(parents=True, exist_ok=True)
    staged.rename(place)
    return place


async def served(server: Server) -> str:
    response = await server.stub.Translate(request("one", "two", "three"))
    assert all(translation.text for translation in response.translations)
    return str(response.model)


async def test_ten_swaps_under_load_fail_no_request(
    first: Path, numbers_package: Path, tmp_path: Path
) -> None:
    answers: Counter[str] = Counter()
    async with serving(config_for(first, num_slots=8, model_poll_s=0.3)) as server:
        is_over = asyncio.Event()

        async def call() -> None:
            while not is_over.is_set():
                answers[await served(server)] += 1

        callers = [asyncio.create_task(call()) for _ in range(NUM_CALLERS)]
        await until(lambda: answers["numbers/1"] > 0)
        num_files = num_open_files()
        for number in range(2, NUM_SWAPS + 2):
            version(numbers_package, tmp_path, number)
            await until(lambda n=number: answers[f"numbers/{n}"] > 0, timeout_s=60)
        is_over.set()
        await asyncio.gather(*callers)  # which raises what any of them met
        (model,) = server.app.models.all()
        assert model.package.label == f"numbers/{NUM_SWAPS + 1}"
        await until(lambda: len(engine_processes()) == 1)  # the ten old ones have ended
        await until(lambda: num_open_files() <= num_files)
    assert len(answers) == NUM_SWAPS + 1


def num_open_files() -> int:
    """Of this process, sockets and pipes too."""
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def engine_processes() -> list[int]:
    """Children of this process that are engines' hosts."""
    threads = Path(f"/proc/{os.getpid()}/task").glob("*/children")
    hosts = []
    for pid in [pid for children in threads for pid in children.read_text().split()]:
        try:
            if b"server.engine_host" in Path(f"/proc/{pid}/cmdline").read_bytes():
                hosts.append(int(pid))
        except OSError:
            continue
    return hosts


async def test_a_bad_version_is_refused_and_the_old_one_stays(
    first: Path, numbers_package: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(config_for(first, num_slots=8, model_poll_s=0.1)) as server:
        bad = version(numbers_package, tmp_path, 2)
        weights = max(bad.rglob("*"), key=lambda path: path.stat().st_size)
        weights.write_bytes(weights.read_bytes()[:-1] + b"x")
        await until(lambda: "numbers/2 is refused" in caplog.text, timeout_s=60)
        assert await served(server) == "numbers/1"
        good = version(numbers_package, tmp_path, 3)
        await until(lambda: server.app.models.get("").package.folder == good, timeout_s=60)
        assert await served(server) == "numbers/3"


async def test_files_that_are_torn_or_gone_harm_nothing_that_serves(
    first: Path, tmp_path: Path
) -> None:
    async with serving(config_for(first, num_slots=8, model_poll_s=0.1)) as server:
        expected = (await server.stub.Translate(request("one", "two"))).translations
        for path in [path for path in first.rglob("*") if path.is_file()]:
            path.write_bytes(b"torn")
        assert (await server.stub.Translate(request("one", "two"))).translations == expected
        shutil.rmtree(first)
        await asyncio.sleep(0.5)
        assert (await server.stub.Translate(request("one", "two"))).translations == expected


async def test_a_killed_engine_is_back_within_seconds(first: Path) -> None:
    async with serving(config_for(first, num_slots=8)) as server:
        await served(server)
        (pid,) = engine_processes()
        calls = [
            asyncio.ensure_future(server.stub.Translate(request("one", "two", "three", "four")))
            for _ in range(8)
        ]
        os.kill(pid, signal.SIGKILL)
        killed = time.monotonic()
        results = await asyncio.gather(*calls, return_exceptions=True)
        codes = {r.code() for r in results if isinstance(r, grpc.aio.AioRpcError)}
        assert codes <= {grpc.StatusCode.UNAVAILABLE}
        while True:
            try:
                assert await served(server) == "numbers/1"
                break
            except grpc.aio.AioRpcError as error:
                assert error.code() is grpc.StatusCode.UNAVAILABLE  # noqa: PT017
                assert time.monotonic() - killed < 30
                await asyncio.sleep(0.05)
        assert engine_processes() != [pid]


async def test_a_model_is_loaded_when_it_is_first_asked_for(first: Path) -> None:
    async with serving(config_for(first, num_slots=8, load="none")) as server:
        assert engine_processes() == []
        assert await served(server) == "numbers/1"
        assert len(engine_processes()) == 1


async def test_two_models_take_turns_in_memory_that_holds_one(
    first: Path, numbers_package: Path, tmp_path: Path
) -> None:
    version(numbers_package, tmp_path, 1, name="figures")
    async with serving(config_for(first, num_slots=8, load="numbers")) as server:
        (model,) = server.app.models.all()
        half_more = model.memory_bytes * 3 // 2 >> 20
    config = config_for(first, num_slots=8, load="none", model_memory_mb=half_more)
    async with serving(config) as server:
        message = request("one", "two")
        expected = None
        for name in ("numbers", "figures", "numbers"):
            message.model = name
            answer = await server.stub.Translate(message)
            assert answer.model == f"{name}/1"
            assert [model.name for model in server.app.models.all()] == [name]
            await until(lambda: len(engine_processes()) == 1)
            expected = expected or answer.translations
            assert answer.translations == expected


async def test_a_package_in_the_place_of_another_is_refused(
    first: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(config_for(first, num_slots=8, model_poll_s=0.1)) as server:
        staged = first.parent.parent / "staged"
        shutil.copytree(first, staged)
        staged.rename(first.parent / "2")  # its manifest says numbers/1 still
        await until(lambda: "numbers/2 is refused" in caplog.text, timeout_s=60)
        assert "its manifest says numbers/1" in caplog.text
        assert await served(server) == "numbers/1"


async def test_a_version_may_be_asked_for_by_name(first: Path) -> None:
    async with serving(config_for(first, num_slots=8)) as server:
        message = request("one")
        message.model = "numbers/1"
        assert (await server.stub.Translate(message)).model == "numbers/1"
        message.model = "numbers/7"
        code, details = await refusal(server.stub.Translate(message))
        assert code is grpc.StatusCode.NOT_FOUND
        assert details == "model: 'numbers/7' does not serve; numbers/1 does"
