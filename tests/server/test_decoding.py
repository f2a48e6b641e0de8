"""What a caller asks for, turned into the engine's options: defaults, lengths, and seeds."""

from __future__ import annotations

import math
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server import decoding
from server.decoding import DEFAULT_LOOP_GUARD, SEED_BITS, OptionsReader
from server.engine.options import DecodingOptions, EarlyStopping
from server.errors import InvalidRequestError
from server.package import Manifest, open_package
from server.request import RequestedOptions, RequestedSampling, TranslationRequest

VOCABULARY = {"a": 10, "b": 11, "c": 12}


@pytest.fixture(scope="module")
def manifest(numbers_package: Path) -> Manifest:
    """A source of n tokens may give 2 n + 16, and nothing more than 64."""
    manifest = open_package(numbers_package).manifest
    assert (manifest.target_limit(10), manifest.architecture.max_length) == (36, 64)
    return manifest


def reader(
    manifest: Manifest, num_rows: int = 64, request: dict[str, Any] | None = None, **options: Any
) -> OptionsReader:
    asked = TranslationRequest(
        "numbers", "en", "de", ["text"], RequestedOptions(**options), **(request or {})
    )
    return OptionsReader(asked, manifest, num_rows, VOCABULARY.get)


def read(manifest: Manifest, num_source_tokens: int = 10, **options: Any) -> DecodingOptions:
    return reader(manifest, **options).read(num_source_tokens, [], 0)


def test_with_nothing_asked_it_is_greedy_search_with_a_loop_guard(manifest: Manifest) -> None:
    assert read(manifest) == DecodingOptions(36, loop_guard=DEFAULT_LOOP_GUARD)
    assert read(manifest).num_rows == 1
    assert not read(manifest).is_constrained


def test_everything_asked_for_arrives(manifest: Manifest) -> None:
    sampling = RequestedSampling(temperature=0.5, top_k=7, top_p=0.9, seed=2**64 - 1)
    common = {
        "no_repeat_ngram_size": 3,
        "repetition_penalty": 1.5,
        "loop_guard": 4,
        "length_penalty": 0.0,
    }
    beam = read(
        manifest, beam_size=5, num_hypotheses=4, early_stopping=EarlyStopping.NEVER, **common
    )
    assert (beam.beam_size, beam.num_hypotheses, beam.length_penalty) == (5, 4, 0.0)
    assert (beam.early_stopping, beam.patience) == (EarlyStopping.NEVER, 1.0)
    assert (beam.no_repeat_ngram_size, beam.repetition_penalty, beam.loop_guard) == (3, 1.5, 4)
    samples = read(manifest, sampling=sampling, num_hypotheses=6)
    assert samples.num_hypotheses == 6
    assert samples.sampling is not None
    given = {field.name: getattr(sampling, field.name) for field in fields(sampling)}
    assert vars(samples.sampling) == given
    assert read(manifest, num_alternatives=3).num_alternatives == 3
    assert read(manifest, beam_size=4, patience=0.5).patience == 0.5
    assert read(manifest, loop_guard=0).loop_guard == 0


def test_outputs_and_prefixes_are_passed_on(manifest: Manifest) -> None:
    asked = {"returns_scores": True, "returns_alignment": True}
    options = reader(manifest, request=asked).read(10, [5, 6], 0)
    assert (options.is_scored, options.is_aligned, options.prefix) == (True, True, (5, 6))
    plain = reader(manifest).read(10, [], 0)
    assert (plain.is_scored, plain.is_aligned, plain.prefix) == (False, False, ())


def test_suppressed_tokens_are_looked_up_once_each(manifest: Manifest) -> None:
    assert read(manifest, suppressed_tokens=["c", "a", "c"]).suppressed == (10, 12)
    with pytest.raises(InvalidRequestError, match=r"options\.suppressed_tokens\[1\]: 'x' is no"):
        read(manifest, suppressed_tokens=["a", "x"])


@pytest.mark.parametrize(
    ("options", "num_source_tokens", "expected"),
    [
        ({}, 10, (0, 36)),
        ({}, 60, (0, 64)),
        ({"max_target_tokens": 50}, 10, (0, 50)),  # more than the server's own limit
        ({"max_length_ratio": 5.0}, 10, (0, 50)),
        ({"max_length_ratio": 50.0}, 10, (0, 64)),
        ({"max_length_ratio": 0.7}, 10, (0, 7)),
        ({"max_length_ratio": 0.75}, 10, (0, 7)),
        ({"max_length_ratio": 0.01}, 10, (0, 1)),
        ({"max_target_tokens": 5, "max_length_ratio": 0.7}, 10, (0, 5)),
        ({"max_target_tokens": 9, "max_length_ratio": 0.7}, 10, (0, 7)),
        # The end of sentence is one of the tokens that are asked for.
        ({"min_target_tokens": 5}, 10, (4, 36)),
        ({"min_target_tokens": 1}, 10, (0, 36)),
        ({"min_target_tokens": 40}, 10, (39, 40)),  # the server's own limit gives way
        ({"min_length_ratio": 1.1}, 10, (10, 36)),
        ({"min_length_ratio": 1.11}, 10, (11, 36)),
        ({"min_length_ratio": 6.4}, 10, (63, 64)),
        ({"min_target_tokens": 20, "min_length_ratio": 1.1}, 10, (19, 36)),
        ({"min_target_tokens": 8, "min_length_ratio": 1.1}, 10, (10, 36)),
        ({"min_target_tokens": 8, "max_target_tokens": 8}, 10, (7, 8)),
    ],
)
def test_lengths(
    manifest: Manifest,
    options: dict[str, Any],
    num_source_tokens: int,
    expected: tuple[int, int],
) -> None:
    found = read(manifest, num_source_tokens, **options)
    assert (found.min_target_tokens, found.max_target_tokens) == expected


ratios = st.none() | st.floats(0, 1000)


@given(
    most=st.none() | st.integers(1, 64),
    least=st.none() | st.integers(0, 64),
    most_ratio=st.none() | st.floats(0.01, 1000),
    least_ratio=ratios,
    num_source_tokens=st.integers(3, 64),
    prefix=st.lists(st.integers(6, 99), max_size=64),
)
def test_lengths_that_are_answered_leave_room_for_a_translation(
    manifest: Manifest,
    most: int | None,
    least: int | None,
    most_ratio: float | None,
    least_ratio: float | None,
    num_source_tokens: int,
    prefix: list[int],
) -> None:
    asked = reader(
        manifest,
        max_target_tokens=most,
        min_target_tokens=least,
        max_length_ratio=most_ratio,
        min_length_ratio=least_ratio,
    )
    wanted = max(least or 0, math.ceil((least_ratio or 0) * num_source_tokens))
    try:
        options = asked.read(num_source_tokens, prefix, 7)
    except InvalidRequestError as error:
        refused = error
    else:
        refused = None
    if refused is not None:
        if refused.field != "target_prefixes[7]":
            assert refused.field in ("options.min_target_tokens", "options.min_length_ratio")
            assert f"asks for {wanted} tokens of text 7" in str(refused)
        return
    assert len(prefix) < options.max_target_tokens <= 64
    assert options.min_target_tokens < options.max_target_tokens
    assert options.max_target_tokens >= wanted == options.min_target_tokens + bool(wanted)
    assert most is None or options.max_target_tokens <= most
    if most_ratio is not None:
        assert options.max_target_tokens <= max(1, most_ratio * num_source_tokens)


def test_no_more_rows_than_the_engine_has_and_never_more_than_sixteen(manifest: Manifest) -> None:
    for num_rows, most in ((64, 16), (16, 16), (3, 3)):
        for name in ("beam_size", "num_alternatives"):
            assert reader(manifest, num_rows, **{name: most})
            with pytest.raises(InvalidRequestError, match=f"{name}: .* to {most} is allowed"):
                reader(manifest, num_rows, **{name: most + 1})


def test_a_seed_is_kept_and_one_is_picked_where_there_is_none(
    manifest: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert reader(manifest).seed is None
    for seed in (0, 2**64 - 1):
        asked = reader(manifest, sampling=RequestedSampling(seed=seed))
        assert asked.seed == seed
    picked = {reader(manifest, sampling=RequestedSampling()).seed for _ in range(20)}
    assert len(picked) == 20
    assert all(seed is not None and 0 <= seed < 2**SEED_BITS for seed in picked)
    monkeypatch.setattr(decoding.secrets, "randbits", lambda bits: bits)
    asked = reader(manifest, sampling=RequestedSampling())
    options = asked.read(10, [], 0)
    assert options.sampling is not None
    assert asked.seed == options.sampling.seed == SEED_BITS  # a float of JSON holds it


def test_errors_name_the_field_as_the_protocol_calls_it(manifest: Manifest) -> None:
    asked = reader(manifest, request={"prefix_field": "target_prefix"}, max_target_tokens=2)
    with pytest.raises(InvalidRequestError) as caught:
        asked.read(10, [5, 6], 0)
    assert caught.value.field == "target_prefix"
    with pytest.raises(InvalidRequestError) as caught:
        reader(manifest, max_target_tokens=2).read(10, [5, 6], 3)
    assert caught.value.field == "target_prefixes[3]"
