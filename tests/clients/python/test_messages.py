"""Requests as they are built, answers as they are read."""

import pytest
from attendant import FinishReason, InternalError, InvalidRequestError, Translation
from attendant.messages import build_request, parse_response
from attendant_protos.v1 import translation_pb2 as pb


def test_a_request_holds_every_field() -> None:
    request = build_request(["a", ""], "en", "de", "multi30k", 7)
    assert request == pb.TranslateRequest(
        model="multi30k",
        source_language="en",
        target_language="de",
        texts=["a", ""],
        options=pb.DecodingOptions(max_target_tokens=7),
    )


def test_options_left_out_are_not_sent() -> None:
    assert not build_request(["a"], "en", "de", "", None).HasField("options")


def test_a_limit_of_zero_is_sent_for_the_server_to_judge() -> None:
    assert build_request(["a"], "en", "de", "", 0).options.HasField("max_target_tokens")


@pytest.mark.parametrize("limit", [-1, 2**32])
def test_a_limit_that_protobuf_cannot_hold_is_refused_by_name(limit: int) -> None:
    with pytest.raises(InvalidRequestError, match=f"^max_target_tokens: .*{limit}$"):
        build_request(["a"], "en", "de", "", limit)


def test_half_a_surrogate_pair_is_refused_by_field_and_place() -> None:
    with pytest.raises(InvalidRequestError, match=r"^texts\[1\]: .* character 2$"):
        build_request(["fine", "no\ud800"], "en", "de", "", None)
    with pytest.raises(InvalidRequestError, match=r"^model: "):
        build_request(["fine"], "en", "de", "\udfff", None)


def test_an_answer_is_read_field_by_field() -> None:
    message = pb.Translation(
        text="Hund", finish_reason=pb.FINISH_REASON_LENGTH, source_tokens=3, target_tokens=4
    )
    (translation,) = parse_response(pb.TranslateResponse(translations=[message]), 1)
    assert translation == Translation("Hund", FinishReason.LENGTH, 3, 4)
    assert str(translation) == "Hund"


@pytest.mark.parametrize("number", [number for number in pb.FinishReason.values() if number != 0])
def test_every_finish_reason_of_the_api_has_a_name(number: int) -> None:
    response = pb.TranslateResponse(translations=[pb.Translation(finish_reason=number)])
    reason = parse_response(response, 1)[0].finish_reason
    assert pb.FinishReason.Name(number) == f"FINISH_REASON_{reason.name}"


def test_a_finish_reason_of_a_newer_server_is_unknown() -> None:
    response = pb.TranslateResponse(translations=[pb.Translation(finish_reason=99)])
    assert parse_response(response, 1)[0].finish_reason is FinishReason.UNKNOWN


def test_an_answer_with_another_number_of_translations_is_an_error() -> None:
    with pytest.raises(InternalError, match="1 translations for 2 texts"):
        parse_response(pb.TranslateResponse(translations=[pb.Translation()]), 2)
