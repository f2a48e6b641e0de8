"""Runs in .venv-tritonclient: all that Triton's own client does with the server at TARGET, and what
came of it as JSON. Usage: python tritonclient_session.py TARGET VERSION, that of the model
"""

import asyncio
import base64
import json
import queue
import sys
import threading

import numpy as np
import tritonclient.grpc as triton
import tritonclient.grpc.aio as triton_aio
from tritonclient.grpc import model_config_pb2, service_pb2
from tritonclient.utils import InferenceServerException

MODEL = "multi30k"
EN_DE = {"source_language": "en", "target_language": "de"}
TEXTS = ["Two dogs are playing.", "", "A man is riding a bicycle. 🚲", "Ein Hündchen"]
SLOW = {**EN_DE, "beam_size": 16, "min_target_tokens": 120, "loop_guard": 0}
MANY = TEXTS[:1] * 32


def tensor(texts, shape=None, name="text"):
    array = np.array(texts, dtype=np.object_).reshape(shape or [len(texts)])
    given = triton.InferInput(name, list(array.shape), "BYTES")
    given.set_data_from_numpy(array)
    return given


def outputs(*names):
    return [triton.InferRequestedOutput(name) for name in names]


def listed(array):
    """An array as JSON holds it."""
    if array is None:
        return None
    values = array.astype(object).ravel().tolist()
    values = [value.decode() if isinstance(value, bytes) else value for value in values]
    return {"shape": list(array.shape), "values": values}


def error_of(function, *arguments, **options):
    try:
        function(*arguments, **options)
    except InferenceServerException as error:
        return [error.status(), error.message()]
    return None


def questions(client, version):
    return {
        "live": client.is_server_live(),
        "ready": client.is_server_ready(),
        "model_ready": client.is_model_ready(MODEL),
        "version_ready": client.is_model_ready(MODEL, version),
        "absent_ready": client.is_model_ready("absent"),
        "server": client.get_server_metadata(as_json=True),
        "metadata": client.get_model_metadata(MODEL, as_json=True),
        "config": client.get_model_config(MODEL, as_json=True),
        "index": client.get_model_repository_index(as_json=True),
        "statistics": client.get_inference_statistics(MODEL, as_json=True),
    }


def inference(client, version):
    def infer(texts, shape=None, names=None, **options):
        return client.infer(MODEL, [tensor(texts, shape)], outputs=names, **options)

    flat = infer(TEXTS, parameters=EN_DE, request_id="flat")
    column = infer(TEXTS, [len(TEXTS), 1], parameters=EN_DE, model_version=version)
    names = ("score", "finish_reason", "translation", "num_source_tokens", "num_target_tokens")
    beam = {**EN_DE, "beam_size": 3, "num_hypotheses": 2, "length_penalty": 0.6}
    rich = infer(TEXTS, None, outputs(*names), parameters=beam)
    urgent = infer(
        TEXTS, parameters=EN_DE, priority=1, timeout=60_000_000, compression_algorithm="gzip"
    )
    prefixed = client.infer(
        MODEL,
        [tensor(TEXTS[:1]), tensor(["Drei"], name="target_prefix")],
        parameters=EN_DE,
    )
    sampled = infer(TEXTS[:1], parameters={**EN_DE, "temperature": 1.5, "seed": 7})
    return {
        "flat": listed(flat.as_numpy("translation")),
        "id": flat.get_response().id,
        "version": flat.get_response().model_version,
        "column": listed(column.as_numpy("translation")),
        "rich": {name: listed(rich.as_numpy(name)) for name in names},
        "absent_output": listed(rich.as_numpy("other")),
        "urgent": listed(urgent.as_numpy("translation")),
        "prefixed": listed(prefixed.as_numpy("translation")),
        "sampled": listed(sampled.as_numpy("translation")),
        "seed": sampled.get_response().parameters["seed"].int64_param,
        "nothing": listed(infer([], parameters=EN_DE).as_numpy("translation")),
        "contents": contents(client),
    }


def contents(client):
    """Without raw tensors, which the client has no method for; as_numpy of such an answer needs an
    older NumPy.
    """
    request = service_pb2.ModelInferRequest(model_name=MODEL)
    given = request.inputs.add(name="text", datatype="BYTES", shape=[len(TEXTS), 1])
    given.contents.bytes_contents.extend(text.encode() for text in TEXTS)
    for name, value in EN_DE.items():
        request.parameters[name].string_param = value
    (output,) = client._client_stub.ModelInfer(request).outputs
    return listed(np.array(output.contents.bytes_contents, np.object_).reshape(output.shape))


def errors(client):
    def infer(given, **options):
        return error_of(client.infer, MODEL, [given], **{"parameters": EN_DE, **options})

    numbers = triton.InferInput("text", [1], "FP32")
    numbers.set_data_from_numpy(np.zeros(1, dtype=np.float32))
    shared = triton.InferInput("text", [1], "BYTES")
    shared.set_shared_memory("region", 8)
    good = tensor(["A dog."])
    return {
        "model": error_of(client.infer, "absent", [good], parameters=EN_DE),
        "version": infer(good, model_version="no-such"),
        "tensor": infer(tensor(["A dog."], name="texts")),
        "datatype": infer(numbers),
        "shape": infer(tensor(["a", "b"], [1, 2])),
        "parameter": infer(good, parameters={**EN_DE, "beams": 4}),
        "type": infer(good, parameters={**EN_DE, "beam_size": "4"}),
        "value": infer(good, parameters={**EN_DE, "beam_size": 99}),
        "output": infer(good, outputs=outputs("logits")),
        "classes": infer(good, outputs=[triton.InferRequestedOutput("score", class_count=2)]),
        "shared": infer(shared),
        "sequence": infer(good, sequence_id=3, sequence_start=True),
        "timeout": infer(tensor(MANY), parameters=SLOW, timeout=20_000),
        "client_timeout": infer(tensor(MANY), parameters=SLOW, client_timeout=0.05),
        "load_config": error_of(client.load_model, MODEL, config="{}"),
        "load_files": error_of(
            client.load_model, MODEL, config="{}", files={"file:1/model.onnx": b"x"}
        ),
        "system_memory": error_of(client.get_system_shared_memory_status),
        "register": error_of(client.register_system_shared_memory, "a", "/b", 8),
        "cuda_memory": error_of(client.get_cuda_shared_memory_status),
        "trace": error_of(client.get_trace_settings),
        "log": error_of(client.get_log_settings),
    }


def loading(client):
    """What the model says while it is put away, and once it is back."""
    client.unload_model(MODEL, unload_dependents=False)
    found = {
        "ready_without": client.is_model_ready(MODEL),
        "index": client.get_model_repository_index(as_json=True)["models"],
        "error": error_of(client.infer, MODEL, [tensor(TEXTS)], parameters=EN_DE),
    }
    client.load_model(MODEL)
    result = client.infer(MODEL, [tensor(TEXTS)], parameters=EN_DE)
    return {
        **found,
        "ready": client.is_model_ready(MODEL),
        "texts": listed(result.as_numpy("translation"))["values"],
    }


def told(result, error):
    """What a callback was given."""
    if error is not None:
        return {"error": [error.status(), error.message()]}
    response = result.get_response()
    return {
        "id": response.id,
        "texts": listed(result.as_numpy("translation"))["values"],
        "final": response.parameters["triton_final_response"].bool_param,
    }


def asynchronous(client):
    answers = queue.Queue()

    def callback(result, error):
        answers.put(told(result, error))

    def start(texts, **options):
        return client.async_infer(MODEL, [tensor(texts)], callback, **options)

    start(TEXTS, parameters=EN_DE, request_id="a")
    good = answers.get(timeout=60)
    start(MANY, parameters=SLOW, client_timeout=0.05)
    late = answers.get(timeout=60)
    call = start(MANY, parameters=SLOW)
    call.cancel()
    return {"good": good, "late": late, "cancelled": answers.get(timeout=60)}


def stream(client):
    answers = queue.Queue()
    client.start_stream(lambda result, error: answers.put(told(result, error)))
    for i, text in enumerate(TEXTS):
        client.async_stream_infer(MODEL, [tensor([text])], parameters=EN_DE, request_id=str(i))
    client.async_stream_infer("absent", [tensor(["a"])], parameters=EN_DE, request_id="bad")
    client.async_stream_infer(
        MODEL,
        [tensor(TEXTS[:1])],
        parameters={**EN_DE, "stream": True},
        request_id="grow",
        enable_empty_final_response=True,
    )
    client.stop_stream()
    found = []
    while not answers.empty():
        found.append(answers.get())
    return found


def cancelled_stream(client):
    answers, first = queue.Queue(), threading.Event()

    def callback(result, error):
        answers.put(told(result, error))
        first.set()

    client.start_stream(callback)
    client.async_stream_infer(MODEL, [tensor(TEXTS[:1])], parameters=EN_DE)
    first.wait(60)
    for _ in range(4):
        client.async_stream_infer(MODEL, [tensor(MANY)], parameters=SLOW)
    client.stop_stream(cancel_requests=True)
    return [answers.get(timeout=60) for _ in range(answers.qsize())]


async def aio(target):
    async with triton_aio.InferenceServerClient(target) as client:
        calls = [client.infer(MODEL, [tensor([text])], parameters=EN_DE) for text in TEXTS]
        results = await asyncio.gather(*calls)
    return [listed(result.as_numpy("translation"))["values"][0] for result in results]


def descriptors():
    """The protocol as the client has it."""
    files = (model_config_pb2.DESCRIPTOR, service_pb2.DESCRIPTOR)
    return [base64.b64encode(file.serialized_pb).decode() for file in files]


def main(target, version):
    with triton.InferenceServerClient(target) as client:
        report = {
            "inference": inference(client, version),
            "errors": errors(client),
            "async": asynchronous(client),
            "stream": stream(client),
            "cancelled_stream": cancelled_stream(client),
            "aio": asyncio.run(aio(target)),
            "questions": questions(client, version),
            "descriptors": descriptors(),
            "loading": loading(client),
        }
    print(json.dumps(report))


if __name__ == "__main__":
    main(*sys.argv[1:])
