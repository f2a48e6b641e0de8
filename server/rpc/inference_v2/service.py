"""inference.GRPCInferenceService: the handlers and how gRPC finds them."""

from __future__ import annotations

import logging
import re
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any, NoReturn

import grpc
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message_factory import GetMessageClass

from server.config import ServerConfig
from server.errors import NotFoundError, UnavailableError, UnsupportedError, shown
from server.rpc.caller import caller_name
from server.rpc.inference_stubs import inference_pb2 as pb
from server.rpc.inference_v2.catalogue import Catalogue
from server.rpc.inference_v2.description import (
    model_config,
    model_metadata,
    model_statistics,
    server_metadata,
)
from server.rpc.inference_v2.messages import FINAL, Inference, named_as_here, read_request
from server.rpc.inference_v2.stream import InferStream
from server.rpc.interceptors import Accounting
from server.rpc.parsing import checked, parser
from server.rpc.translation import caller_of
from server.translator import TranslationResult, Translator

logger = logging.getLogger(__name__)

SERVICE = pb.DESCRIPTOR.services_by_name["GRPCInferenceService"]
SERVICE_NAME = SERVICE.full_name
COUNTED = frozenset({f"/{SERVICE_NAME}/ModelInfer"})
"""Methods that are work; of a stream, each request is."""

_SHARED_MEMORY = "shared memory is not supported: send tensors in the request"
UNSUPPORTED = {
    **{
        f"{kind}SharedMemory{verb}": _SHARED_MEMORY
        for kind in ("System", "Cuda")
        for verb in ("Status", "Register", "Unregister")
    },
    "TraceSetting": "trace settings are not supported: this server writes no traces of Triton's",
    "LogSettings": "log settings are not supported: they are fixed when the server starts",
}
"""Methods that are never answered, and why."""

Context = grpc.aio.ServicerContext[Any, Any]


class InferenceService:
    """The handlers, one a method: errors leave as exceptions and are mapped by the interceptor."""

    def __init__(
        self,
        translator: Translator,
        catalogue: Catalogue,
        config: ServerConfig,
        accounting: Accounting,
    ) -> None:
        self._translator = translator
        self._catalogue = catalogue
        self._config = config
        self._accounting = accounting

    async def server_live(
        self, _request: pb.ServerLiveRequest, _context: Context
    ) -> pb.ServerLiveResponse:
        """ServerLive; see the proto, as for all of them."""
        return pb.ServerLiveResponse(live=True)

    async def server_ready(
        self, _request: pb.ServerReadyRequest, _context: Context
    ) -> pb.ServerReadyResponse:
        """ServerReady."""
        return pb.ServerReadyResponse(ready=self._catalogue.is_serving())

    async def model_ready(
        self, request: pb.ModelReadyRequest, _context: Context
    ) -> pb.ModelReadyResponse:
        """ModelReady: a question, so that a model that does not exist is no error."""
        try:
            model = self._catalogue.find(request.name, request.version)
        except (NotFoundError, UnavailableError):
            return pb.ModelReadyResponse(ready=False)
        return pb.ModelReadyResponse(ready=self._catalogue.is_ready(model))

    async def server_metadata(
        self, _request: pb.ServerMetadataRequest, _context: Context
    ) -> pb.ServerMetadataResponse:
        """ServerMetadata."""
        return server_metadata()

    async def model_metadata(
        self, request: pb.ModelMetadataRequest, _context: Context
    ) -> pb.ModelMetadataResponse:
        """ModelMetadata."""
        return model_metadata(self._catalogue.find(request.name, request.version))

    async def model_config(
        self, request: pb.ModelConfigRequest, _context: Context
    ) -> pb.ModelConfigResponse:
        """ModelConfig."""
        model = self._catalogue.find(request.name, request.version)
        return pb.ModelConfigResponse(config=model_config(model, self._config))

    async def model_statistics(
        self, request: pb.ModelStatisticsRequest, _context: Context
    ) -> pb.ModelStatisticsResponse:
        """ModelStatistics."""
        models = self._catalogue.find_all(request.name, request.version)
        return pb.ModelStatisticsResponse(model_stats=map(model_statistics, models))

    async def repository_index(
        self, request: pb.RepositoryIndexRequest, _context: Context
    ) -> pb.RepositoryIndexResponse:
        """RepositoryIndex."""
        return self._catalogue.index(request)

    async def repository_model_load(
        self, request: pb.RepositoryModelLoadRequest, _context: Context
    ) -> pb.RepositoryModelLoadResponse:
        """RepositoryModelLoad."""
        _note("load", request.model_name)
        await self._catalogue.load(request)
        return pb.RepositoryModelLoadResponse()

    async def repository_model_unload(
        self, request: pb.RepositoryModelUnloadRequest, _context: Context
    ) -> pb.RepositoryModelUnloadResponse:
        """RepositoryModelUnload."""
        _note("unload", request.model_name)
        await self._catalogue.unload(request)
        return pb.RepositoryModelUnloadResponse()

    async def model_infer(
        self, request: pb.ModelInferRequest, context: Context
    ) -> pb.ModelInferResponse:
        """ModelInfer."""
        self._catalogue.check(request.model_name, request.model_version)
        inference = _read(request, context, is_stream=False)
        return inference.answer(await self._translate(inference))

    async def _translate(self, inference: Inference) -> TranslationResult:
        with named_as_here():
            return await self._translator.translate(inference.request)

    def model_stream_infer(
        self, requests: AsyncIterator[Any], context: Context
    ) -> AsyncGenerator[pb.ModelStreamInferResponse]:
        """ModelStreamInfer."""
        return InferStream(lambda request: self._respond(request, context), self._accounting).run(
            requests
        )

    async def _respond(
        self, request: Any, context: Context
    ) -> AsyncGenerator[pb.ModelInferResponse]:
        """Answers to one request of a stream, the last with FINAL."""
        message = checked(request, "ModelInferRequest")
        self._catalogue.check(message.model_name, message.model_version)
        inference = _read(message, context, is_stream=True)
        if not inference.is_growing:
            yield _marked(inference.answer(await self._translate(inference)), is_final=True)
            return
        with named_as_here():
            async with (
                self._catalogue.use(message.model_name, message.model_version) as model,
                aclosing(self._translator.stream(inference.request)) as parts,
            ):
                async for part in parts:
                    if isinstance(part, TranslationResult):
                        yield _marked(inference.end(part), is_final=True)
                    elif inference.takes_text:
                        yield _marked(inference.part(model.package.label, part), is_final=False)


def _note(verb: str, model: str) -> None:
    """Who changes what is served is always in the log."""
    logger.info("asked to %s %s, by %s", verb, shown(model), caller_name.get() or "no key")


def _read(message: pb.ModelInferRequest, context: Context, is_stream: bool) -> Inference:
    return read_request(
        message, caller_of(context.peer()), context.time_remaining(), is_stream=is_stream
    )


def _marked(response: pb.ModelInferResponse, is_final: bool) -> pb.ModelInferResponse:
    response.parameters[FINAL].bool_param = is_final
    return response


def make_handler(service: InferenceService) -> grpc.GenericRpcHandler:
    """What a grpc.aio server takes for the service: every method of the proto."""
    methods = {method.name: _handler(service, method) for method in SERVICE.methods}
    return grpc.method_handlers_generic_handler(SERVICE_NAME, methods)


def _handler(
    service: InferenceService, method: MethodDescriptor
) -> grpc.RpcMethodHandler[Any, Any]:
    options: dict[str, Any] = {
        "request_deserializer": parser(GetMessageClass(method.input_type)),
        "response_serializer": GetMessageClass(method.output_type).SerializeToString,
    }
    if method.client_streaming:
        return grpc.stream_stream_rpc_method_handler(service.model_stream_infer, **options)
    if method.name in UNSUPPORTED:
        handle = _refusing(UNSUPPORTED[method.name])
    else:
        handle = getattr(service, re.sub(r"(?<!^)(?=[A-Z])", "_", method.name).lower())

    async def call(request: Any, context: Context) -> Any:
        return await handle(checked(request, method.input_type.name), context)

    return grpc.unary_unary_rpc_method_handler(call, **options)


def _refusing(message: str) -> Any:
    async def refuse(_request: Any, _context: Context) -> NoReturn:
        raise UnsupportedError(message)

    return refuse
