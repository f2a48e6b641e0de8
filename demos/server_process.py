"""A server in a process of its own, on a free port, for demos, tests and benchmarks."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
STOP_TIMEOUT_S = 60.0


class ServerFailed(Exception):  # noqa: N818 - named after what happened, as subprocess names its own
    """The server ended before it served; the message is what it printed."""


@dataclass(frozen=True)
class ServerProcess:
    """A server that serves."""

    process: subprocess.Popen[str]
    target: str
    """host:port."""
    ready_s: float
    """Seconds from start to serving."""

    def resident_mb(self) -> dict[str, float]:
        """Resident memory in MB of the server's process and, together, of its engines' processes;
        pages that they share count for each.
        """
        pid = self.process.pid
        by_thread = Path(f"/proc/{pid}/task").glob("*/children")
        children = [int(child) for file in by_thread for child in file.read_text().split()]
        return {"server": _resident_mb(pid), "engines": sum(map(_resident_mb, children))}

    def stop(self) -> int:
        """Sends SIGTERM and waits for the drain; returns the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(STOP_TIMEOUT_S)


def _resident_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    line = next(line for line in status.splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1000


def start_server(models: Path, *flags: str, cpus: set[int] | None = None) -> ServerProcess:
    """Starts a server on a free port of loopback, on the processors `cpus` where given, and waits
    until it serves. Raises ServerFailed.
    """
    command = [sys.executable, "-m", "server", "--models", str(models), "--port", "0", *flags]
    started = time.monotonic()
    process = subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)
    if cpus is not None:
        os.sched_setaffinity(process.pid, cpus)
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line.startswith("serving on "):
        process.kill()
        process.stdout.close()
        raise ServerFailed(f"exit code {process.wait()}, see its messages above")
    return ServerProcess(process, line.split()[-1], time.monotonic() - started)


@contextmanager
def running_server(
    models: Path, *flags: str, cpus: set[int] | None = None
) -> Iterator[ServerProcess]:
    """A server for the length of a block."""
    server = start_server(models, *flags, cpus=cpus)
    try:
        yield server
    finally:
        server.stop()
        if server.process.stdout is not None:
            server.process.stdout.close()
