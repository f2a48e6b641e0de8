"""What each method needs, and each call its id: decided before a call's message is read."""

from __future__ import annotations

import re
import uuid
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

import grpc
from grpc_health.v1 import health
from grpc_reflection.v1alpha import reflection

from server.errors import AttendantError, PermissionDeniedError
from server.log import request_id
from server.metrics import Metrics
from server.rpc import channelz
from server.rpc.entry import OPEN, Access, Metadata
from server.rpc.inference_v2 import service as inference
from server.rpc.status import refuse, status_of
from server.rpc.translation import SERVICE_NAME
from server.tracing import Tracing

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
            method = handler_call_details.method
            if method not in METHODS:
                raise PermissionDeniedError(f"{method} is open to nobody")
            self._access.enter(method, METHODS[method], metadata)
        except AttendantError as error:
            return self._refusal(error)
        return handler

    def _refusal(self, error: AttendantError) -> MethodHandler:
        async def call(_requests: Any, context: grpc.aio.ServicerContext[Any, Any]) -> None:
            self._metrics.requests.labels("", status_of(error).code.name).inc()
            await refuse(context, error)

        # Of all kinds of handlers, the one that waits for no message.
        return grpc.stream_stream_rpc_method_handler(call)
