"""Who calls, and whether they may: decided before a call's message is read.

A key comes in the metadata, as `authorization: Bearer KEY` or `x-api-key: KEY`.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any, TypeAlias

import grpc
from grpc_health.v1 import health
from grpc_reflection.v1alpha import reflection

from server.config import ServerConfig
from server.errors import AttendantError, PermissionDeniedError, UnauthenticatedError
from server.log import request_id
from server.metrics import Metrics
from server.rpc import channelz
from server.rpc.caller import caller_name
from server.rpc.inference_v2 import service as inference
from server.rpc.status import refuse, status_of
from server.rpc.translation import SERVICE_NAME
from server.security.keys import ApiKey, KeyRing, read_keys
from server.security.rate import Quotas
from server.security.watched import Watched
from server.tracing import Tracing

OPEN = "open"
"""Needs no key: probes have none."""
METHODS = {
    f"/{SERVICE_NAME}/Translate": "translate",
    f"/{SERVICE_NAME}/TranslateStream": "translate",
    f"/{SERVICE_NAME}/ListModels": "translate",
    f"/{SERVICE_NAME}/GetModel": "translate",
    f"/{SERVICE_NAME}/Tokenize": "translate",
    f"/{SERVICE_NAME}/Detokenize": "translate",
    f"/{health.SERVICE_NAME}/Check": OPEN,
    f"/{health.SERVICE_NAME}/List": OPEN,
    f"/{health.SERVICE_NAME}/Watch": OPEN,
    # It tells of all connections, others' too.
    **{f"/{channelz.SERVICE_NAME}/{method}": "admin" for method in channelz.METHODS},
    # The API is no secret, but whoever has no key has no use for it.
    f"/{reflection.SERVICE_NAME}/ServerReflectionInfo": "translate",
    # Of the Open Inference Protocol: probes are open, and what changes the server is not for all.
    **{
        f"/{inference.SERVICE_NAME}/{method.name}": "translate"
        for method in inference.SERVICE.methods
    },
    f"/{inference.SERVICE_NAME}/ServerLive": OPEN,
    f"/{inference.SERVICE_NAME}/ServerReady": OPEN,
    f"/{inference.SERVICE_NAME}/RepositoryModelLoad": "admin",
    f"/{inference.SERVICE_NAME}/RepositoryModelUnload": "admin",
}
"""The permission that each method needs. A method that is not here is refused to everybody."""

REQUEST_ID_HEADER = "x-request-id"
REQUEST_ID = re.compile(r"[!-~]{1,128}")
"""What is taken from a caller: printable ASCII without spaces, so that a log line stays one."""

MethodHandler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
Metadata = Iterable[tuple[str, str | bytes]]


class Access:
    """The rules of one server, and who has used how much of what they grant."""

    def __init__(self, config: ServerConfig) -> None:
        """Raises CredentialsError if the keys cannot be read."""
        self._anonymous = config.anonymous_permissions
        self.quotas = Quotas()
        self.keys: Watched[KeyRing] | None = None
        if config.api_keys:
            path = Path(config.api_keys)
            self.keys = Watched([path], lambda: read_keys(path))

    def enter(self, method: str, metadata: Metadata) -> str:
        """The caller's name, empty where nobody has one, of a call that may be made.

        Raises UnauthenticatedError, PermissionDeniedError or LimitExceededError.
        """
        permission = METHODS.get(method)
        if permission is None:
            raise PermissionDeniedError(f"{method} is open to nobody")
        if permission == OPEN:
            return ""
        if self.keys is None:
            if permission not in self._anonymous:
                needed = f"a key with the permission {permission}, and this server has no keys"
                raise PermissionDeniedError(f"{method} needs {needed}")
            return ""
        key = _find(self.keys.value, metadata)
        if permission not in key.permissions:
            raise PermissionDeniedError(f"key {key.name} has not the permission {permission}")
        self.quotas.charge_request(key)
        return key.name


def _find(ring: KeyRing, metadata: Metadata) -> ApiKey:
    presented = {key for name, value in metadata if (key := _presented(name, value)) is not None}
    # Two that differ: neither is clearly meant.
    found = ring.find(presented.pop()) if len(presented) == 1 else None
    if found is None:
        raise UnauthenticatedError
    return found


def _presented(name: str, value: str | bytes) -> str | None:
    if not isinstance(value, str):
        return None
    if name == "x-api-key":
        return value
    if name == "authorization":
        scheme, _, key = value.partition(" ")
        return key.strip() if scheme.lower() == "bearer" else ""
    return None


def _request_id(metadata: Metadata) -> str:
    """The caller's own, or a new one. It names a call to people, and opens nothing."""
    for name, value in metadata:
        if name == REQUEST_ID_HEADER and isinstance(value, str) and REQUEST_ID.fullmatch(value):
            return value
    return uuid.uuid4().hex


class AccessInterceptor(grpc.aio.ServerInterceptor):
    """The outermost: gives each call its id and its caller's name, or refuses it."""

    def __init__(self, access: Access, metrics: Metrics, tracing: Tracing) -> None:
        self._access = access
        self._metrics = metrics
        self._tracing = tracing

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[MethodHandler | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> MethodHandler | None:
        """The method's handler, or one that refuses; a method that does not exist has none."""
        handler = await continuation(handler_call_details)
        if handler is None:
            return None
        metadata = handler_call_details.invocation_metadata or ()
        # A call has a task of its own, and so this context.
        request_id.set(_request_id(metadata))
        self._tracing.join(metadata)
        try:
            caller_name.set(self._access.enter(handler_call_details.method, metadata))
        except AttendantError as error:
            return self._refusal(error)
        return handler

    def _refusal(self, error: AttendantError) -> MethodHandler:
        async def call(_requests: Any, context: grpc.aio.ServicerContext[Any, Any]) -> None:
            self._metrics.requests.labels("", status_of(error).code.name).inc()
            await refuse(context, error)

        # Of all kinds of handlers, the one that waits for no message.
        return grpc.stream_stream_rpc_method_handler(call)
