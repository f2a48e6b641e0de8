"""One request through either protocol, over a real socket."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pytest
from attendant import (
    TLS,
    EarlyStopping,
    InternalError,
    NotFoundError,
    Options,
    OverloadedError,
    Priority,
    Sampling,
    UnavailableError,
)
from attendant.load.answer import Answer
from attendant.load.config import Endpoint, ProtocolName, Request
from attendant.load.kserve_messages import (
    build_infer_request,
    parse_infer_response,
    parse_stream_error,
)
from attendant.load.kserve_stubs import inference_pb2 as pb
from attendant.load.session import connect

from tests.certificates import Authority

from ..echo_server import EchoServer, refuse
from ..secure_server import add_tls
from .kserve_server import KserveServer, text_of

REQUEST = Request("two small dogs", "en", "de")


@pytest.fixture
def kserve() -> Iterator[KserveServer]:
    with KserveServer() as running:
        yield running


def endpoint_of(server: EchoServer | KserveServer, is_streamed: bool = False) -> Endpoint:
    is_kserve = isinstance(server, KserveServer)
    return Endpoint(
        target=server.target,
        protocol=ProtocolName.KSERVE if is_kserve else ProtocolName.ATTENDANT,
        model="echo" if is_kserve else "",
        is_streamed=is_streamed,
        timeout_s=20,
    )


def ask(endpoint: Endpoint, request: Request = REQUEST) -> Answer:
    async def main() -> Answer:
        async with connect(endpoint) as send:
            return await send(request)

    return asyncio.run(main())


def test_both_protocols_answer_alike(server: EchoServer, kserve: KserveServer) -> None:
    expected = Answer(source_tokens=3, target_tokens=4, source_characters=14, target_characters=14)
    assert ask(endpoint_of(server)) == expected
    assert ask(endpoint_of(kserve)) == expected


def test_both_protocols_stream_word_by_word(server: EchoServer, kserve: KserveServer) -> None:
    answers = [ask(endpoint_of(which, is_streamed=True)) for which in (server, kserve)]
    for answer in answers:
        assert len(answer.parts_s) == 3
        assert list(answer.parts_s) == sorted(answer.parts_s)
        assert (answer.source_tokens, answer.target_tokens) == (3, 4)


def test_failures_have_their_status(server: EchoServer, kserve: KserveServer) -> None:
    full = refuse(grpc.StatusCode.RESOURCE_EXHAUSTED, "the queue is full")
    server.answer, kserve.answer = full, full  # type: ignore[assignment]
    for which in (server, kserve):
        with pytest.raises(OverloadedError, match="the queue is full"):
            ask(endpoint_of(which))
    kserve.stream_error = "[request id: 7] NOT_FOUND: model: there is no model 'x'"
    with pytest.raises(NotFoundError, match=r"^model: there is no model 'x'$"):
        ask(endpoint_of(kserve, is_streamed=True))


def test_nobody_there_is_unavailable(nowhere: str) -> None:
    endpoint = Endpoint(target=nowhere, protocol=ProtocolName.KSERVE, model="m", timeout_s=20)
    for is_streamed in (False, True):
        with pytest.raises(UnavailableError):
            ask(replace(endpoint, is_streamed=is_streamed))


def test_keys_are_shown_to_both(server: EchoServer, kserve: KserveServer) -> None:
    shown: list[Any] = []

    def note(answer: Any) -> Any:
        def noting(request: Any, context: grpc.ServicerContext) -> Any:
            shown.append(dict(context.invocation_metadata()).get("authorization"))
            return answer(request, context)

        return noting

    server.answer, kserve.answer = note(server.answer), note(kserve.answer)
    for which in (server, kserve):
        ask(replace(endpoint_of(which), api_key="a-key"))
    assert shown == ["Bearer a-key"] * 2


def test_both_speak_tls(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    for which in (EchoServer(), KserveServer()):
        target = add_tls(which, authority.issue("server"))  # type: ignore[arg-type]
        with which:
            endpoint = replace(endpoint_of(which), target=target)
            assert ask(replace(endpoint, tls=TLS(ca=authority.file))).target_tokens == 4
            with pytest.raises(UnavailableError):  # an authority that it does not trust
                ask(replace(endpoint, tls=TLS()))


def parameters_of(options: Options, is_streamed: bool = False) -> dict[str, Any]:
    message = build_infer_request(replace(REQUEST, options=options), "m", is_streamed)
    return {
        name: getattr(value, value.WhichOneof("parameter_choice"))
        for name, value in message.parameters.items()
    }


def test_options_are_parameters_of_their_types() -> None:
    languages = {"source_language": "en", "target_language": "de"}
    assert parameters_of(Options()) == languages
    assert parameters_of(Options(), is_streamed=True) == {**languages, "stream": True}
    options = Options(
        beam_size=4,
        length_penalty=0.6,
        early_stopping=EarlyStopping.NEVER,
        sampling=Sampling(temperature=0.5, seed=7),
        suppressed_tokens=("a", "b"),
        priority=Priority.BULK,
        partial_at_deadline=True,
    )
    assert parameters_of(options) == {
        **languages,
        "beam_size": 4,
        "length_penalty": 0.6,
        "early_stopping": "never",
        "temperature": 0.5,
        "seed": 7,
        "suppressed_tokens": "a b",
        "priority": 3,
        "partial_at_deadline": True,
    }


def test_prefixes_and_further_outputs_are_asked_for() -> None:
    options = Options(target_prefix="Zwei", scores=True, alignment=True)
    message = build_infer_request(replace(REQUEST, options=options), "m", is_streamed=False)
    assert text_of(message) == "two small dogs"
    assert text_of(message, "target_prefix") == "Zwei"
    assert {"score", "alignment"} < {output.name for output in message.outputs}


def test_an_answer_without_a_translation_is_the_servers_failure() -> None:
    with pytest.raises(InternalError, match="no translation"):
        parse_infer_response(pb.ModelInferResponse())


@pytest.mark.parametrize("message", ["it went wrong", "[request id: 1] NONSENSE: x"])
def test_an_error_without_a_status_is_internal(message: str) -> None:
    error = parse_stream_error(message)
    assert isinstance(error, InternalError)
    assert str(error) == message
