"""Ten thousand requests that nobody thought of: each is answered, or refused by the name of what is
wrong with it, and the server stays what it was.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from attendant import Client
from attendant_protos.v1 import translation_pb2 as pb
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from demos.server_process import ServerProcess, running_server
from server.rpc.inference_stubs import inference_pb2 as v2

NUM_EXAMPLES, PER_EXAMPLE = 500, 20
TIMEOUT_S = 20.0
ANSWERS = {
    grpc.StatusCode.OK,
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
}
NAMED = re.compile(r"([a-z_]+|'.*')[\w.\[\]/]*: ", re.DOTALL)
"""How a message begins that names a field, or a tensor in quotes."""
SERVICE, INFERENCE = "attendant.v1.TranslationService", "inference.GRPCInferenceService"
INFER_STREAM = f"/{INFERENCE}/ModelStreamInfer"
STREAMS = (f"/{SERVICE}/TranslateStream", INFER_STREAM)

ANY_TEXT = st.text(max_size=40) | st.sampled_from(["six", "nine hundred and one", "x" * 6000])
LANGUAGES = st.sampled_from(["en", "de"]) | st.text(max_size=3)
MODELS = st.sampled_from(["", "numbers", "numbers/1"]) | st.text(max_size=8)
UINTS = st.integers(0, 2**32 - 1) | st.integers(0, 20)
FLOATS = st.floats(width=32) | st.floats(0, 4, width=32)


def some(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """A part of `fields`."""
    return st.fixed_dictionaries({}, optional=fields)


SAMPLING = some(temperature=FLOATS, top_k=UINTS, top_p=FLOATS, seed=st.integers(0, 2**64 - 1)).map(
    lambda fields: pb.Sampling(**fields)
)
OPTIONS = some(
    max_target_tokens=UINTS,
    min_target_tokens=UINTS,
    max_length_ratio=FLOATS,
    min_length_ratio=FLOATS,
    beam_size=UINTS,
    num_hypotheses=UINTS,
    length_penalty=FLOATS,
    patience=FLOATS,
    early_stopping=st.integers(-1, 4),
    sampling=SAMPLING,
    num_alternatives=UINTS,
    no_repeat_ngram_size=UINTS,
    repetition_penalty=FLOATS,
    loop_guard=UINTS,
    suppressed_tokens=st.lists(ANY_TEXT, max_size=3),
).map(lambda fields: pb.DecodingOptions(**fields))
SHARED = {
    "model": MODELS,
    "source_language": LANGUAGES,
    "target_language": LANGUAGES,
    "options": OPTIONS,
    "priority": st.integers(-1, 4),
    "partial_at_deadline": st.booleans(),
    "output": st.builds(pb.OutputOptions, scores=st.booleans(), alignment=st.booleans()),
}
TRANSLATE = some(
    **SHARED,
    texts=st.lists(ANY_TEXT, max_size=4),
    target_prefixes=st.lists(ANY_TEXT, max_size=4),
    split_sentences=st.booleans(),
).map(lambda fields: pb.TranslateRequest(**fields))
STREAM = some(**SHARED, text=ANY_TEXT, target_prefix=ANY_TEXT).map(
    lambda fields: pb.TranslateStreamRequest(**fields)
)
TOKENIZE = some(model=MODELS, texts=st.lists(ANY_TEXT, max_size=4), target_language=LANGUAGES).map(
    lambda fields: pb.TokenizeRequest(**fields)
)
PIECES = st.lists(ANY_TEXT | st.sampled_from(["▁six", "<s>"]), max_size=4)
DETOKENIZE = some(
    model=MODELS, texts=st.lists(PIECES.map(lambda pieces: pb.Pieces(pieces=pieces)), max_size=3)
).map(lambda fields: pb.DetokenizeRequest(**fields))

PARAMETER = (
    st.booleans().map(lambda value: v2.InferParameter(bool_param=value))
    | st.integers(-(2**63), 2**63 - 1).map(lambda value: v2.InferParameter(int64_param=value))
    | st.floats().map(lambda value: v2.InferParameter(double_param=value))
    | ANY_TEXT.map(lambda value: v2.InferParameter(string_param=value))
    | LANGUAGES.map(lambda value: v2.InferParameter(string_param=value))
)
NAMES = st.sampled_from(
    ["source_language", "target_language", "beam_size", "temperature", "timeout", "priority", "x"]
)
TENSOR = some(
    name=st.sampled_from(["text", "target_prefix", "TEXT"]),
    datatype=st.sampled_from(["BYTES", "FP32", ""]),
    shape=st.lists(st.integers(-2, 5), max_size=3),
    parameters=st.dictionaries(NAMES, PARAMETER, max_size=1),
    contents=st.lists(st.binary(max_size=8), max_size=4).map(
        lambda values: v2.InferTensorContents(bytes_contents=values)
    ),
).map(lambda fields: v2.ModelInferRequest.InferInputTensor(**fields))
INFER = some(
    model_name=MODELS,
    model_version=st.sampled_from(["", "1", "2"]),
    id=ANY_TEXT,
    parameters=st.dictionaries(NAMES, PARAMETER, max_size=4),
    inputs=st.lists(TENSOR, max_size=2),
    raw_input_contents=st.lists(st.binary(max_size=24), max_size=2),
).map(lambda fields: v2.ModelInferRequest(**fields))

CALL = (
    st.tuples(st.just(f"/{SERVICE}/Translate"), TRANSLATE)
    | st.tuples(st.just(f"/{SERVICE}/TranslateStream"), STREAM)
    | st.tuples(st.just(f"/{SERVICE}/Tokenize"), TOKENIZE)
    | st.tuples(st.just(f"/{SERVICE}/Detokenize"), DETOKENIZE)
    | st.tuples(st.just(f"/{INFERENCE}/ModelInfer"), INFER)
    | st.tuples(st.just(INFER_STREAM), INFER)
).map(lambda call: (call[0], call[1].SerializeToString()))
METHODS = [
    *(f"/{SERVICE}/{name}" for name in ("Translate", "TranslateStream", "GetModel", "Tokenize")),
    *(f"/{INFERENCE}/{name}" for name in ("ModelInfer", "ModelConfig", "RepositoryIndex")),
    INFER_STREAM,
]
MALFORMED = st.tuples(st.sampled_from(METHODS), st.binary(max_size=60))


@st.composite
def damaged(draw: st.DrawFn) -> tuple[str, bytes]:
    """A request that was one before some of its bytes changed."""
    method, data = draw(CALL)
    damage = draw(st.lists(st.tuples(st.integers(0, 200), st.integers(0, 255)), max_size=3))
    content = bytearray(data)
    for position, value in damage:
        if content:
            content[position % len(content)] = value
    return method, bytes(content)


@pytest.fixture(scope="module")
def server(numbers_package: Path) -> Iterator[ServerProcess]:
    flags = ("--drain-delay-s", "0", "--max-waiting", "4096")
    with running_server(numbers_package.parent.parent, *flags) as server:
        yield server


@pytest.fixture(scope="module")
def channel(server: ServerProcess) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(server.target) as channel:
        yield channel


def answer(server: ServerProcess) -> str:
    with Client(server.target) as client:
        assert client.is_serving()
        return client.translate("six", source_language="en", target_language="de").text


@pytest.fixture(scope="module", autouse=True)
def before(server: ServerProcess) -> str:
    """What the server answers before anything has happened to it."""
    return answer(server)


def begin(channel: grpc.Channel, method: str, data: bytes) -> Any:
    """The call, under way."""
    if method == INFER_STREAM:
        return channel.stream_stream(method)(iter([data, data]), timeout=TIMEOUT_S)
    if method in STREAMS:
        return channel.unary_stream(method)(data, timeout=TIMEOUT_S)
    return channel.unary_unary(method).future(data, timeout=TIMEOUT_S)


def answers(call: Any) -> list[bytes]:
    """All that a stream brings."""
    found: list[bytes] = []
    with contextlib.suppress(grpc.RpcError):
        found.extend(call)
    return found


def check_stream(messages: list[bytes]) -> None:
    """What is wrong with a request of the stream is in its answer, and the stream goes on."""
    problems = [v2.ModelStreamInferResponse.FromString(data).error_message for data in messages]
    assert len(problems) >= 2
    assert not any("internal error" in problem for problem in problems)


@settings(
    max_examples=NUM_EXAMPLES,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    database=None,
    derandomize=True,
    phases=[Phase.generate],  # a failure is one request of twenty, and says which: none to shrink
)
@given(st.lists(CALL | MALFORMED | damaged(), min_size=PER_EXAMPLE, max_size=PER_EXAMPLE))
def test_every_request_has_a_status_that_says_why(
    channel: grpc.Channel, requests: list[tuple[str, bytes]]
) -> None:
    calls = [begin(channel, method, data) for method, data in requests]
    for (method, data), call in zip(requests, calls, strict=True):
        messages = answers(call) if method in STREAMS else []
        code, message = call.code(), call.details()
        assert code in ANSWERS, (method, data[:200], code, message)
        if code is grpc.StatusCode.INVALID_ARGUMENT:
            assert NAMED.match(message), (method, data[:200], message)
        if method == INFER_STREAM:
            check_stream(messages)


def test_the_server_is_what_it_was(server: ServerProcess, before: str) -> None:
    assert server.process.poll() is None
    assert answer(server) == before
