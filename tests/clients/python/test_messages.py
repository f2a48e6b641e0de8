"""Requests as they are built, answers as they are read."""

from dataclasses import fields
from typing import Any

import pytest
from attendant import (
    Alignment,
    EarlyStopping,
    FinishReason,
    Hypothesis,
    InternalError,
    InvalidRequestError,
    Options,
    Priority,
    Sampling,
    TextsRefusedError,
    Token,
    TokenLink,
    TranslatedSentence,
    Translation,
    TranslationPart,
)
from attendant.messages import (
    build_request,
    build_stream_request,
    check_end,
    parse_part,
    parse_response,
)
from attendant_protos.v1 import translation_pb2 as pb


def test_a_request_holds_every_field() -> None:
    request = build_request(["a", ""], "en", "de", "multi30k", Options(max_target_tokens=7))
    assert request == pb.TranslateRequest(
        model="multi30k",
        source_language="en",
        target_language="de",
        texts=["a", ""],
        options=pb.DecodingOptions(max_target_tokens=7),
    )


NUMBERS: dict[str, Any] = {
    "max_target_tokens": 1,
    "min_target_tokens": 2,
    "max_length_ratio": 0.5,
    "min_length_ratio": 0.25,
    "beam_size": 5,
    "num_hypotheses": 6,
    "length_penalty": 0.75,
    "patience": 8.0,
    "num_alternatives": 9,
    "no_repeat_ngram_size": 10,
    "repetition_penalty": 1.5,
    "loop_guard": 12,
}
SAMPLING: dict[str, Any] = {
    "temperature": 0.5,
    "top_k": 2,
    "top_p": 0.25,
    "seed": 2**64 - 1,
}
COMMON = {
    "model": "m",
    "source_language": "en",
    "target_language": "de",
    "options": pb.DecodingOptions(
        early_stopping=pb.EARLY_STOPPING_NEVER,
        sampling=pb.Sampling(**SAMPLING),
        suppressed_tokens=["a", "b"],
        **NUMBERS,
    ),
    "priority": pb.PRIORITY_BULK,
    "partial_at_deadline": True,
    "output": pb.OutputOptions(scores=True, alignment=True),
}
EVERYTHING = Options(
    early_stopping=EarlyStopping.NEVER,
    sampling=Sampling(**SAMPLING),
    suppressed_tokens=["a", "b"],
    target_prefix="p",
    priority=Priority.BULK,
    partial_at_deadline=True,
    scores=True,
    alignment=True,
    **NUMBERS,
)


def test_every_option_of_the_api_can_be_asked_for() -> None:
    ours = {field.name for field in fields(Options)}
    sampling = {field.name for field in fields(Sampling)}
    assert {field.name for field in pb.Sampling.DESCRIPTOR.fields} == sampling
    assert {field.name for field in pb.DecodingOptions.DESCRIPTOR.fields} <= ours
    assert {field.name for field in pb.OutputOptions.DESCRIPTOR.fields} <= ours
    left = {field.name for field in pb.TranslateRequest.DESCRIPTOR.fields} - ours
    assert left == {
        *("model", "source_language", "target_language", "texts"),
        *("options", "output", "target_prefixes"),
    }


def test_every_option_is_sent_with_texts_and_with_a_stream() -> None:
    request = build_request(["x", "y"], "en", "de", "m", EVERYTHING)
    expected = pb.TranslateRequest(texts=["x", "y"], target_prefixes=["p", "p"], **COMMON)
    assert request == expected
    stream = build_stream_request("x", "en", "de", "m", EVERYTHING)
    assert stream == pb.TranslateStreamRequest(text="x", target_prefix="p", **COMMON)


@pytest.mark.parametrize("options", [None, Options()])
def test_what_is_left_out_is_not_sent(options: Options | None) -> None:
    addressed = {"source_language": "en", "target_language": "de"}
    request = build_request(["a"], "en", "de", "", options)
    assert request == pb.TranslateRequest(texts=["a"], **addressed)
    stream = build_stream_request("a", "en", "de", "", options)
    assert stream == pb.TranslateStreamRequest(text="a", **addressed)


@pytest.mark.parametrize("name", NUMBERS)
def test_zero_is_sent_for_the_server_to_judge(name: str) -> None:
    request = build_request(["a"], "en", "de", "", Options(**{name: 0}))
    assert request.options.HasField(name)


def test_sampling_with_nothing_said_is_sampling_all_the_same() -> None:
    request = build_request(["a"], "en", "de", "", Options(sampling=Sampling()))
    assert request.options.HasField("sampling")
    assert not request.options.sampling.HasField("seed")


@pytest.mark.parametrize("value", [-1, 2**32, 2**80, 1.5, "1"])
def test_a_number_that_protobuf_cannot_hold_is_refused_by_name(value: Any) -> None:
    for name in ("max_target_tokens", "beam_size"):
        with pytest.raises(InvalidRequestError, match=rf"^options\.{name}: cannot be {value!r}$"):
            build_request(["a"], "en", "de", "", Options(**{name: value}))
    with pytest.raises(InvalidRequestError, match=r"^options\.sampling\.top_k: cannot be "):
        build_request(["a"], "en", "de", "", Options(sampling=Sampling(top_k=value)))


@pytest.mark.parametrize("value", ["much", 10**400])
def test_a_ratio_that_protobuf_cannot_hold_is_refused_by_name(value: Any) -> None:
    with pytest.raises(InvalidRequestError, match=r"^options\.max_length_ratio: cannot be "):
        build_stream_request("a", "en", "de", "", Options(max_length_ratio=value))


@pytest.mark.parametrize(
    ("prefix", "sent"),
    [
        ("", []),
        ("Ein", ["Ein", "Ein"]),
        (["Ein", ""], ["Ein", ""]),
        ([], []),
        (["Ein"], ["Ein"]),  # too few, for the server to say
    ],
)
def test_a_prefix_is_for_all_texts_or_one_for_each(prefix: Any, sent: list[str]) -> None:
    request = build_request(["a", "b"], "en", "de", "", Options(target_prefix=prefix))
    assert [*request.target_prefixes] == sent


def test_a_stream_takes_one_prefix() -> None:
    with pytest.raises(InvalidRequestError, match=r"^target_prefix: "):
        build_stream_request("a", "en", "de", "", Options(target_prefix=["Ein"]))


@pytest.mark.parametrize("priority", list(Priority))
def test_every_priority_is_sent_by_its_name(priority: Priority) -> None:
    request = build_request(["a"], "en", "de", "", Options(priority=priority))
    expected = {f"PRIORITY_{priority.name}"}
    if priority is Priority.STANDARD:
        expected.add("PRIORITY_UNSPECIFIED")
    assert pb.Priority.Name(request.priority) in expected


@pytest.mark.parametrize("rule", list(EarlyStopping))
def test_every_rule_of_early_stopping_is_sent_by_its_name(rule: EarlyStopping) -> None:
    request = build_request(["a"], "en", "de", "", Options(early_stopping=rule))
    assert pb.EarlyStopping.Name(request.options.early_stopping) == f"EARLY_STOPPING_{rule.name}"


def test_half_a_surrogate_pair_is_refused_by_field_and_place() -> None:
    with pytest.raises(InvalidRequestError, match=r"^texts\[1\]: .* character 2$"):
        build_request(["fine", "no\ud800"], "en", "de", "", None)
    with pytest.raises(InvalidRequestError, match=r"^model: "):
        build_request(["fine"], "en", "de", "\udfff", None)
    with pytest.raises(InvalidRequestError, match=r"^text: .* character 0$"):
        build_stream_request("\ud800", "en", "de", "", None)
    for name, options in (
        (r"target_prefixes\[1\]", Options(target_prefix=["", "\ud800"])),
        (r"options\.suppressed_tokens\[0\]", Options(suppressed_tokens=["\ud800"])),
    ):
        with pytest.raises(InvalidRequestError, match=f"^{name}: "):
            build_request(["a", "b"], "en", "de", "", options)


def test_an_answer_is_read_field_by_field() -> None:
    message = pb.Translation(
        text="Hund", finish_reason=pb.FINISH_REASON_LENGTH, source_tokens=3, target_tokens=4
    )
    (translation,) = parse_response(pb.TranslateResponse(translations=[message]), 1)
    assert translation == Translation("Hund", FinishReason.LENGTH, 3, 4)
    assert str(translation) == "Hund"


HYPOTHESIS = pb.Hypothesis(
    text="Hund",
    finish_reason=pb.FINISH_REASON_STOP,
    score=-0.5,
    log_probability=-1.0,
    tokens=[pb.Token(piece="▁Hund", log_probability=-0.75)],
    alignment=pb.Alignment(
        source_tokens=["<2de>", "▁dog"],
        target_tokens=["▁Hund"],
        links=[pb.TokenLink(source=1, target=0, weight=0.5)],
        words="0-0",
    ),
)
READ = Hypothesis(
    "Hund",
    FinishReason.STOP,
    -0.5,
    -1.0,
    (Token("▁Hund", -0.75),),
    Alignment(("<2de>", "▁dog"), ("▁Hund",), (TokenLink(1, 0, 0.5),), "0-0"),
)


def test_hypotheses_are_read_field_by_field() -> None:
    bare = pb.Hypothesis(text="Hunde", finish_reason=pb.FINISH_REASON_LOOP)
    message = pb.Translation(text="Hund", hypotheses=[HYPOTHESIS, bare])
    (translation,) = parse_response(pb.TranslateResponse(translations=[message]), 1)
    assert translation.hypotheses == (READ, Hypothesis("Hunde", FinishReason.LOOP))
    assert str(translation.hypotheses[1]) == "Hunde"
    assert hash(translation)


def test_sentences_are_read_field_by_field() -> None:
    sentence = pb.TranslatedSentence(
        source=pb.TextSpan(start=2, end=6),
        target=pb.TextSpan(start=1, end=5),
        is_part=True,
        translation=pb.Translation(text="Hund", finish_reason=pb.FINISH_REASON_STOP),
    )
    message = pb.Translation(text=" Hund", sentences=[sentence])
    (translation,) = parse_response(pb.TranslateResponse(translations=[message]), 1)
    found = Translation("Hund", FinishReason.STOP, 0, 0)
    assert translation.sentences == (TranslatedSentence((2, 6), (1, 5), found, True),)
    assert hash(translation)


def test_texts_that_are_refused_raise_and_lose_nothing() -> None:
    good = pb.Translation(text="Hund", finish_reason=pb.FINISH_REASON_STOP)
    status = pb.TextStatus(code=3, field="texts[1]", message="texts[1]: it is too long")
    bad = pb.Translation(finish_reason=pb.FINISH_REASON_REFUSED, status=status)
    with pytest.raises(TextsRefusedError, match=r"^texts\[1\]: it is too long$") as caught:
        parse_response(pb.TranslateResponse(translations=[good, bad]), 2)
    first, second = caught.value.translations
    assert (first.text, first.refusal) == ("Hund", "")
    assert (second.finish_reason, second.refusal) == (FinishReason.REFUSED, status.message)
    assert isinstance(caught.value, InvalidRequestError)


def test_pages_are_asked_for_in_a_call_and_not_in_a_stream() -> None:
    options = Options(split_sentences=True)
    assert build_request(["a"], "en", "de", "", options).split_sentences
    assert not build_request(["a"], "en", "de", "", None).split_sentences
    with pytest.raises(InvalidRequestError, match=r"^split_sentences: "):
        build_stream_request("a", "en", "de", "", options)


def test_a_seed_is_read_where_there_is_one() -> None:
    messages = [pb.Translation(text="a"), pb.Translation(text="b")]
    response = pb.TranslateResponse(translations=messages, seed=0)
    assert [translation.seed for translation in parse_response(response, 2)] == [0, 0]
    response.ClearField("seed")
    assert [translation.seed for translation in parse_response(response, 2)] == [None, None]


def test_parts_are_read_and_the_last_has_it_all() -> None:
    part = parse_part(pb.TranslateStreamResponse(text=" Hund"))
    assert part == TranslationPart(" Hund")
    assert str(part) == " Hund"
    whole = pb.Translation(text="Ein Hund", target_tokens=3, hypotheses=[HYPOTHESIS])
    last = parse_part(pb.TranslateStreamResponse(translation=whole, seed=7))
    assert last.text == ""
    assert last.translation is not None
    assert (last.translation.text, last.translation.seed) == ("Ein Hund", 7)
    assert last.translation.hypotheses == (READ,)


@pytest.mark.parametrize("last", [None, TranslationPart("Ein")])
def test_a_stream_that_breaks_off_is_an_error(last: TranslationPart | None) -> None:
    with pytest.raises(InternalError, match="ended the stream"):
        check_end(last)


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
