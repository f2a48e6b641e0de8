"""Messages to requests: every field arrives, and what was left out stays out."""

from __future__ import annotations

from dataclasses import fields

import pytest
from attendant_protos.v1 import translation_pb2 as pb

from server.engine.options import EarlyStopping
from server.engine.sequence import Priority
from server.request import RequestedOptions, RequestedSampling
from server.rpc.messages import read_request, read_stream_request, response
from server.translation import Ending, HypothesisText, Translation
from server.translator import TranslationResult


def options_of(**options: object) -> RequestedOptions:
    message = pb.TranslateRequest(options=pb.DecodingOptions(**options))
    return read_request(message, "caller", None).options


def test_a_request_holds_what_every_option_of_the_api_says() -> None:
    names = [field.name for field in pb.DecodingOptions.DESCRIPTOR.fields]
    assert names == [field.name for field in fields(RequestedOptions)]
    names = [field.name for field in pb.Sampling.DESCRIPTOR.fields]
    assert names == [field.name for field in fields(RequestedSampling)]


def test_every_option_arrives() -> None:
    values: dict[str, object] = {
        "max_target_tokens": 1,
        "min_target_tokens": 2,
        "max_length_ratio": 0.3,
        "min_length_ratio": 0.4,
        "beam_size": 5,
        "num_hypotheses": 6,
        "length_penalty": 0.7,
        "patience": 0.8,
        "num_alternatives": 9,
        "no_repeat_ngram_size": 10,
        "repetition_penalty": 1.1,
        "loop_guard": 12,
        "suppressed_tokens": ["a", "b"],
    }
    sampling = {"temperature": 0.1, "top_k": 2, "top_p": 0.3, "seed": 2**64 - 1}
    found = options_of(
        early_stopping=pb.EARLY_STOPPING_NEVER, sampling=pb.Sampling(**sampling), **values
    )
    assert found == RequestedOptions(
        early_stopping=EarlyStopping.NEVER, sampling=RequestedSampling(**sampling), **values
    )


def test_what_was_left_out_is_none_and_zero_is_zero() -> None:
    assert options_of() == RequestedOptions()
    assert options_of(sampling=pb.Sampling()).sampling == RequestedSampling()
    found = options_of(beam_size=0, length_penalty=0.0, sampling=pb.Sampling(seed=0, top_k=0))
    assert (found.beam_size, found.length_penalty) == (0, 0.0)
    assert found.sampling == RequestedSampling(seed=0, top_k=0)


@pytest.mark.parametrize("value", [0.1, 0.7, 1.1, 0.01, 0.0001, 1.4142, 33.333, 0.0, -2.5, 1000.0])
def test_a_float_is_the_decimal_that_was_written(value: float) -> None:
    assert options_of(max_length_ratio=value).max_length_ratio == value


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (pb.EARLY_STOPPING_UNSPECIFIED, None),
        (pb.EARLY_STOPPING_PATIENCE, EarlyStopping.PATIENCE),
        (pb.EARLY_STOPPING_HEURISTIC, EarlyStopping.HEURISTIC),
        (pb.EARLY_STOPPING_NEVER, EarlyStopping.NEVER),
    ],
)
def test_rules_of_early_stopping(number: int, expected: EarlyStopping | None) -> None:
    assert options_of(early_stopping=number).early_stopping is expected


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (pb.PRIORITY_UNSPECIFIED, Priority.STANDARD),
        (pb.PRIORITY_INTERACTIVE, Priority.INTERACTIVE),
        (pb.PRIORITY_STANDARD, Priority.STANDARD),
        (pb.PRIORITY_BULK, Priority.BULK),
    ],
)
def test_priorities(number: int, expected: Priority) -> None:
    assert read_request(pb.TranslateRequest(priority=number), "", None).priority is expected


def test_a_request_and_a_stream_are_the_same_to_the_server() -> None:
    common = {
        "model": "m",
        "source_language": "en",
        "target_language": "de",
        "options": pb.DecodingOptions(beam_size=2),
        "priority": pb.PRIORITY_BULK,
        "partial_at_deadline": True,
        "output": pb.OutputOptions(scores=True, alignment=True),
    }
    unary = pb.TranslateRequest(texts=["a"], target_prefixes=["b"], **common)
    stream = pb.TranslateStreamRequest(text="a", target_prefix="b", **common)
    one, other = read_request(unary, "c", 2.5), read_stream_request(stream, "c", 2.5)
    assert (one.text_field, one.prefix_field) == ("texts[{}]", "target_prefixes[{}]")
    assert (other.text_field, other.prefix_field) == ("text", "target_prefix")
    names = {field.name for field in fields(one)} - {"text_field", "prefix_field"}
    assert {name: getattr(one, name) for name in names} == {
        name: getattr(other, name) for name in names
    }
    assert (one.caller, one.timeout_s, one.takes_partial) == ("c", 2.5, True)
    assert (one.returns_scores, one.returns_alignment) == (True, True)
    only_scores = pb.TranslateRequest(output=pb.OutputOptions(scores=True))
    assert not read_request(only_scores, "", None).returns_alignment


@pytest.mark.parametrize("ending", list(Ending))
def test_every_ending_has_a_finish_reason(ending: Ending) -> None:
    hypothesis = HypothesisText("t", ending)
    result = TranslationResult([Translation("t", ending, 1, 2, [hypothesis])], "m/1")
    (translation,) = response(result).translations
    expected = f"FINISH_REASON_{ending.name}"
    assert pb.FinishReason.Name(translation.finish_reason) == expected
    assert pb.FinishReason.Name(translation.hypotheses[0].finish_reason) == expected
    assert not translation.hypotheses[0].HasField("score")
