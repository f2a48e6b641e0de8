"""How long nobody is answered when a server is killed at work and started again at once.

    python -m benchmarks.restart

Callers send sentences one after the other; SIGKILL ends the server's process, which then has no
time for anything; the same command starts it again on the same port. Counted are the seconds from
the kill to the first answer after it. The server has one processor, the callers the other.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import socket
import statistics
import time
from pathlib import Path

from attendant import NO_RETRIES, AsyncClient, AttendantError

from demos.server_process import ServerProcess, start_server

SERVER_CPU, CLIENT_CPU = 0, 1
ROUNDS, CALLERS = 7, 8
WORK_S = 1.0
"""How long it serves before it is killed."""
SENTENCE = "A young woman in a blue jacket is walking across the street."


class Answers:
    """When the server last answered."""

    def __init__(self) -> None:
        self.last = 0.0

    async def collect(self, target: str) -> None:
        """One caller, for ever: whatever fails is tried again at once."""
        async with AsyncClient(target, timeout_s=1.0, retries=NO_RETRIES) as client:
            while True:
                with contextlib.suppress(AttendantError):
                    await client.translate(SENTENCE, source_language="en", target_language="de")
                    self.last = time.monotonic()
                await asyncio.sleep(0.005)


def start(models: Path, port: int) -> ServerProcess:
    """A server that serves on `port`."""
    return start_server(models, "--port", str(port), "--drain-delay-s", "0", cpus={SERVER_CPU})


async def restart(models: Path, port: int) -> float:
    """Seconds without an answer."""
    server = await asyncio.to_thread(start, models, port)
    answers = Answers()
    callers = [asyncio.create_task(answers.collect(server.target)) for _ in range(CALLERS)]
    await asyncio.sleep(WORK_S)
    assert answers.last, "it never answered"
    server.process.kill()
    killed = time.monotonic()
    server.process.wait()
    again = await asyncio.to_thread(start, models, port)
    while answers.last < killed + (again.ready_s / 2):
        await asyncio.sleep(0.001)
    for caller in callers:
        caller.cancel()
    await asyncio.gather(*callers, return_exceptions=True)
    again.stop()
    return answers.last - killed


def free_port() -> int:
    """One that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def main() -> None:
    """Prints the median and the worst."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", type=Path, default=Path("models"))
    options = parser.parse_args()
    os.sched_setaffinity(0, {CLIENT_CPU})
    gaps = [asyncio.run(restart(options.models, free_port())) for _ in range(ROUNDS)]
    print(
        f"without an answer for {statistics.median(gaps):.2f} s, at most {max(gaps):.2f} s,"
        f" in {ROUNDS} kills"
    )


if __name__ == "__main__":
    main()
