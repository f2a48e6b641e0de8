"""An echo server that speaks TLS, and notes what its callers show."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import grpc

from tests.certificates import Authority, Pair

from .echo_server import EchoServer, echo


class Caller:
    """An answer that notes the metadata of each call, and the name in its certificate."""

    def __init__(self) -> None:
        self.metadata: list[dict[str, Any]] = []
        self.names: list[list[bytes]] = []

    def __call__(self, request: Any, context: grpc.ServicerContext) -> Any:
        self.metadata.append(dict(context.invocation_metadata()))
        self.names.append(list(context.peer_identities() or ()))
        return echo(request, context)

    def streamed(self, inner: Callable[..., Any]) -> Callable[..., Any]:
        def answer(request: Any, context: grpc.ServicerContext) -> Any:
            self.metadata.append(dict(context.invocation_metadata()))
            return inner(request, context)

        return answer


def add_tls(server: EchoServer, pair: Pair, clients: Authority | None = None) -> str:
    """Lets `server`, not yet started, speak TLS on a port of its own; the target."""
    credentials = grpc.ssl_server_credentials(
        [(pair.key.read_bytes(), pair.certificate.read_bytes())],
        root_certificates=clients.pem if clients else None,
        require_client_auth=clients is not None,
    )
    return f"localhost:{server._server.add_secure_port('localhost:0', credentials)}"
