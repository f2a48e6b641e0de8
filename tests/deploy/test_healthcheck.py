"""The container's health check against a real health service."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from server.rpc.healthcheck import main

STATUS = health_pb2.HealthCheckResponse


@pytest.fixture
def servicer(monkeypatch: pytest.MonkeyPatch) -> Iterator[health.HealthServicer]:
    """The health of a server on the port that the environment names."""
    servicer = health.HealthServicer()
    server = grpc.server(ThreadPoolExecutor(1))
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    monkeypatch.setenv("ATTENDANT_PORT", str(port))
    yield servicer
    server.stop(None).wait()


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_serving_is_0(
    servicer: health.HealthServicer, host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ATTENDANT_HOST", host)
    servicer.set("", STATUS.SERVING)
    assert main() == 0


def test_a_server_with_tls_is_asked_at_its_health_port(
    servicer: health.HealthServicer, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    servicer.set("", STATUS.SERVING)
    monkeypatch.setenv("ATTENDANT_TLS_CERTIFICATE", "server.crt")
    assert main() == 1
    assert "set ATTENDANT_HEALTH_PORT" in capsys.readouterr().out
    monkeypatch.setenv("ATTENDANT_HEALTH_PORT", os.environ["ATTENDANT_PORT"])
    monkeypatch.setenv("ATTENDANT_PORT", "1")
    assert main() == 0


def test_not_serving_is_1_and_says_so(
    servicer: health.HealthServicer, capsys: pytest.CaptureFixture[str]
) -> None:
    servicer.set("", STATUS.NOT_SERVING)
    assert main() == 1
    assert "NOT_SERVING" in capsys.readouterr().out


def test_a_proxy_in_the_environment_is_not_asked(
    servicer: health.HealthServicer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)
    servicer.set("", STATUS.SERVING)
    assert main() == 0


def test_nobody_there_is_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as taken:  # bound, and nobody listens
        taken.bind(("127.0.0.1", 0))
        monkeypatch.setenv("ATTENDANT_PORT", str(taken.getsockname()[1]))
        assert main() == 1
    assert "UNAVAILABLE" in capsys.readouterr().out


def test_a_setting_that_makes_no_sense_is_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ATTENDANT_PORT", "many")
    assert main() == 1
    assert "ATTENDANT_PORT" in capsys.readouterr().out
