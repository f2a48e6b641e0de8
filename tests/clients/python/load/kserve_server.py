"""A small server of the Open Inference Protocol: answers texts in upper case, or as a test says."""

import struct
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Self

import grpc
from attendant.load.kserve_stubs import inference_pb2 as pb

from ..echo_server import PATIENCE_S

Infer = Callable[[pb.ModelInferRequest, grpc.ServicerContext], pb.ModelInferResponse]


def text_of(request: pb.ModelInferRequest, name: str = "text") -> str:
    """The first element of a tensor of the request, which is raw."""
    (index,) = (i for i, tensor in enumerate(request.inputs) if tensor.name == name)
    raw = request.raw_input_contents[index]
    (length,) = struct.unpack_from("<I", raw)
    return raw[4 : 4 + length].decode()


def response_of(text: str, num_words: int, is_last: bool) -> pb.ModelInferResponse:
    response = pb.ModelInferResponse(model_name="echo")
    content = text.encode()
    for name, kind, raw in (
        ("translation", "BYTES", struct.pack("<I", len(content)) + content),
        ("num_source_tokens", "INT32", struct.pack("<i", num_words)),
        ("num_target_tokens", "INT32", struct.pack("<i", num_words + 1)),
    ):
        response.outputs.add(name=name, datatype=kind, shape=[1])
        response.raw_output_contents.append(raw)
    if is_last:
        response.parameters["triton_final_response"].bool_param = True
    return response


def infer(request: pb.ModelInferRequest, context: grpc.ServicerContext) -> pb.ModelInferResponse:
    text = text_of(request)
    return response_of(text.upper(), len(text.split()), is_last=False)


class KserveServer:
    """The two methods that matter on a free port, for as long as the `with` block runs."""

    def __init__(self) -> None:
        self.answer: Infer = infer
        self.stream_error = ""
        self.requests: list[pb.ModelInferRequest] = []
        self._threads = ThreadPoolExecutor(max_workers=20)
        self._server = grpc.server(self._threads)
        methods = {
            "ModelInfer": grpc.unary_unary_rpc_method_handler(
                self._infer,
                pb.ModelInferRequest.FromString,
                pb.ModelInferResponse.SerializeToString,
            ),
            "ModelStreamInfer": grpc.stream_stream_rpc_method_handler(
                self._stream,
                pb.ModelInferRequest.FromString,
                pb.ModelStreamInferResponse.SerializeToString,
            ),
        }
        service = grpc.method_handlers_generic_handler("inference.GRPCInferenceService", methods)
        self._server.add_generic_rpc_handlers((service,))
        self.target = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"

    def _infer(
        self, request: pb.ModelInferRequest, context: grpc.ServicerContext
    ) -> pb.ModelInferResponse:
        self.requests.append(request)
        return self.answer(request, context)

    def _stream(
        self, requests: Iterator[pb.ModelInferRequest], context: grpc.ServicerContext
    ) -> Iterator[pb.ModelStreamInferResponse]:
        for request in requests:
            self.requests.append(request)
            if self.stream_error:
                yield pb.ModelStreamInferResponse(error_message=self.stream_error)
                continue
            words = text_of(request).upper().split()
            for word in words:
                part = response_of(f"{word} ", len(words), is_last=False)
                yield pb.ModelStreamInferResponse(infer_response=part)
            last = response_of("", len(words), is_last=True)
            yield pb.ModelStreamInferResponse(infer_response=last)

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop(0).wait(PATIENCE_S)
        self._threads.shutdown()
