"""The table from status codes to errors."""

import pickle

import grpc
import pytest
from attendant import AttendantError, InvalidRequestError, OverloadedError
from attendant.errors import ERROR_BY_CODE, error_from_rpc


def rpc_error(code: grpc.StatusCode, details: str | None) -> grpc.aio.AioRpcError:
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata(), details=details)


@pytest.mark.parametrize("code", [code for code in grpc.StatusCode if code.name != "OK"])
def test_every_status_arrives_with_its_code_and_the_servers_words(code: grpc.StatusCode) -> None:
    error = error_from_rpc(rpc_error(code, "the server's words"))
    assert type(error) is ERROR_BY_CODE.get(code, AttendantError)
    assert error.code is code
    assert str(error) == "the server's words"


def test_each_error_has_a_code_that_leads_back_to_it() -> None:
    for kind in set(ERROR_BY_CODE.values()):
        assert ERROR_BY_CODE[kind("raised here").code] is kind


def test_a_status_without_words_still_has_a_message() -> None:
    error = error_from_rpc(rpc_error(grpc.StatusCode.ABORTED, None))
    assert str(error) == "the call failed with ABORTED"


def test_a_full_queue_and_a_message_too_large_share_a_status_but_not_an_error() -> None:
    code = grpc.StatusCode.RESOURCE_EXHAUSTED
    too_large = rpc_error(code, "SERVER: Received message larger than max (5 vs. 4)")
    assert type(error_from_rpc(too_large)) is InvalidRequestError
    assert type(error_from_rpc(rpc_error(code, "the queue is full"))) is OverloadedError


def test_errors_can_be_pickled() -> None:
    error = pickle.loads(pickle.dumps(AttendantError("words", grpc.StatusCode.ABORTED)))
    assert (str(error), error.code) == ("words", grpc.StatusCode.ABORTED)


@pytest.mark.parametrize(
    ("message", "field"),
    [
        ("texts[3]: it has 300 tokens, model m takes at most 256", "texts[3]"),
        ("options.beam_size: it is 40, at most 16 are allowed", "options.beam_size"),
        ("target_language: model m has no language 'xx'", "target_language"),
        ("model numbers has been unloaded", None),
        ("the queue is full: 4 texts are pending", None),
    ],
)
def test_an_error_names_the_field(message: str, field: str | None) -> None:
    assert InvalidRequestError(message).field == field
