"""Load from several processes, against a real server."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace

import grpc
import pytest
from attendant import NotFoundError
from attendant.load.config import (
    Arrivals,
    ClosedLoop,
    Content,
    Endpoint,
    LoadTest,
    OpenLoop,
    Timing,
)
from attendant.load.progress import Progress, together
from attendant.load.schedule import constant_arrivals
from attendant.load.summary import summarize
from attendant.load.workers import WorkerDied, measure_in_processes

from ..echo_server import PATIENCE_S, EchoServer, refuse

TIMING = Timing(duration_s=1.0, warm_up_s=0.2, num_windows=5)


def a_test(server: EchoServer) -> LoadTest:
    return LoadTest(
        endpoint=Endpoint(target=server.target, timeout_s=20),
        pattern=OpenLoop(100, Arrivals.CONSTANT),
        timing=TIMING,
        content=Content(("A dog.", "Two dogs."), "en", "de"),
        workers=2,
    )


def test_two_workers_send_the_whole_schedule_between_them(server: EchoServer) -> None:
    seen: list[Progress] = []
    summary = summarize(measure_in_processes(a_test(server), seen.append))
    due_s = list(constant_arrivals(100, TIMING.end_s))
    num_warm_up = sum(at_s < TIMING.warm_up_s for at_s in due_s)
    assert summary.answered == summary.arrivals == len(due_s) - num_warm_up
    assert summary.warm_up.answered == num_warm_up
    assert len(summary.client.cpu_shares) == 2
    # Each worker sends one request before the run.
    assert len(server.requests) == len(due_s) + 2
    assert seen
    assert seen[-1].arrivals <= len(due_s)


def test_a_closed_loops_callers_are_shared_out(server: EchoServer) -> None:
    test = replace(a_test(server), pattern=ClosedLoop(3))
    summary = summarize(measure_in_processes(test, lambda progress: None))
    assert summary.answered == summary.arrivals > 3
    assert server.max_in_flight <= 3


def test_a_refusal_is_raised_as_it_is(server: EchoServer) -> None:
    server.answer = refuse(grpc.StatusCode.NOT_FOUND, "there is no model 'x'")
    with pytest.raises(NotFoundError, match=r"^there is no model 'x'$"):
        measure_in_processes(a_test(server), lambda progress: None)


def test_a_worker_that_dies_ends_the_run(server: EchoServer) -> None:
    # A key that is none is a defect of whoever made the test: the command checks it before.
    endpoint = replace(a_test(server).endpoint, api_key="not a key")
    with pytest.raises(WorkerDied):
        measure_in_processes(replace(a_test(server), endpoint=endpoint), lambda progress: None)


def test_workers_end_with_their_parent(server: EchoServer) -> None:
    command = [sys.executable, "-m", "attendant", "load", "--target", server.target]
    command += ["--rate", "20", "--duration", "600", "--workers", "2"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as parent:
        until(lambda: len(server.requests) > 4)  # both have begun
        parent.kill()
        assert parent.stderr is not None
        # The workers have it too: it ends when the last of them does, and none complains.
        assert parent.stderr.read() == ""


def test_ctrl_c_ends_the_run_in_silence(server: EchoServer) -> None:
    command = [sys.executable, "-m", "attendant", "load", "--target", server.target]
    command += ["--rate", "20", "--duration", "600", "--workers", "2"]
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as parent:
        until(lambda: len(server.requests) > 4)
        os.killpg(parent.pid, signal.SIGINT)  # as a terminal does: to all of them
        assert parent.stderr is not None
        assert parent.stderr.read() == ""
    assert parent.returncode == 130


def until(is_so: Callable[[], bool]) -> None:
    """Waits for what must happen, and fails if it does not."""
    patience_ends_s = time.monotonic() + 3 * PATIENCE_S
    while not is_so():
        assert time.monotonic() < patience_ends_s
        time.sleep(0.01)


def test_progress_adds_up() -> None:
    first = Progress(1.0, 10, 5, 1, (0.1,), 0.3)
    second = Progress(1.1, 20, 10, 2, (0.2, 0.3), 0.6)
    both = together([first, second])
    assert both == Progress(1.1, 30, 15, 3, (0.1, 0.2, 0.3), 0.6)
    assert both.in_flight == 12
