"""python -m server.rpc.healthcheck: asks the server of this container for its health, once.

The exit code is 0 if it serves and 1 if not. Host and port come from the server's environment
variables; flags given to the server are not seen here. A server that speaks TLS is asked at its
health port, for the check has neither a name to expect nor a certificate of its own.
"""

from __future__ import annotations

import os
import sys

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from server.config import ServerConfig, parse_config
from server.errors import ConfigError

TIMEOUT_S = 3.0
"""How long the server may take to answer; shorter than the container engine's own limit."""


def main() -> int:
    """The exit code; anything but SERVING is said on standard output, where the engine keeps it."""
    try:
        problem = check(parse_config([], os.environ))
    except ConfigError as error:
        problem = str(error)
    if problem:
        print(problem)
    return 1 if problem else 0


def check(config: ServerConfig) -> str:
    """Why the server of `config` does not serve; empty if it does."""
    # Listening on 0.0.0.0 means all addresses; connecting to it means this machine.
    target = f"{config.host}:{config.health_port or config.port}"
    if config.tls_certificate and not config.health_port:
        return f"{target}: it speaks TLS; set ATTENDANT_HEALTH_PORT for this check"
    # The check stays inside the container, whatever proxy its environment names.
    with grpc.insecure_channel(target, options=[("grpc.enable_http_proxy", 0)]) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        try:
            answer = stub.Check(health_pb2.HealthCheckRequest(), timeout=TIMEOUT_S)
        except grpc.RpcError as error:
            return f"{target}: {error.code().name}: {error.details()}"
    if answer.status == health_pb2.HealthCheckResponse.SERVING:
        return ""
    return f"{target}: {health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)}"


if __name__ == "__main__":
    sys.exit(main())
