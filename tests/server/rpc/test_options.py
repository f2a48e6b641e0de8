"""Every option of decoding over a real socket, on the bundled model."""

from __future__ import annotations

import math
from typing import Any

import pytest
from attendant_protos.v1 import translation_pb2 as pb

from tests.server.rpc.calls import CAPTION, SCORES, Server, pieces, request

pytestmark = pytest.mark.asyncio(loop_scope="module")

CAPTIONS = [
    CAPTION,
    "Two men are repairing the roof of an old house.",
    "A dog.",
    "People in the park, some of them with umbrellas, watch a man who plays the guitar.",
]


def log_probability(hypothesis: pb.Hypothesis, num_forced: int = 0) -> float:
    return sum(token.log_probability for token in hypothesis.tokens[num_forced:])


# Search


@pytest.mark.parametrize("text", CAPTIONS)
async def test_a_beam_answers_its_best_hypotheses_best_first(captions: Server, text: str) -> None:
    found = await captions.decode(text, beam_size=6, num_hypotheses=4)
    scores = [hypothesis.score for hypothesis in found.hypotheses]
    assert scores == sorted(scores, reverse=True)
    assert len({tuple(pieces(hypothesis)) for hypothesis in found.hypotheses}) == 4
    assert found.text == found.hypotheses[0].text
    assert found.target_tokens == len(found.hypotheses[0].tokens)
    (fewer,) = (await captions.decode(text, beam_size=6)).hypotheses
    assert fewer == found.hypotheses[0]
    (greedy,) = (await captions.decode(text)).hypotheses
    assert greedy.score <= scores[0]


async def test_a_beam_of_one_is_greedy(captions: Server) -> None:
    assert await captions.decode(CAPTION, beam_size=1) == await captions.decode(CAPTION)


async def test_a_plain_request_is_answered_plainly(captions: Server) -> None:
    plain = await captions.translate(CAPTION)
    assert not plain.hypotheses
    assert plain.text == (await captions.decode(CAPTION)).text


@pytest.mark.parametrize("options", [{"beam_size": 2}, {"sampling": pb.Sampling(seed=1)}])
async def test_beams_and_samples_have_scores_unasked_and_tokens_on_demand(
    captions: Server, options: dict[str, Any]
) -> None:
    found = await captions.translate(CAPTION, options=pb.DecodingOptions(**options))
    (hypothesis,) = found.hypotheses
    assert hypothesis.HasField("score")
    assert hypothesis.log_probability < 0
    assert not hypothesis.tokens
    assert not hypothesis.HasField("alignment")


@pytest.mark.parametrize("length_penalty", [-1.0, 0.0, 0.6, 1.0, 2.0])
@pytest.mark.parametrize("prefix", ["", "Ein kleines"])
async def test_the_score_is_the_log_probability_over_the_length(
    captions: Server, length_penalty: float, prefix: str
) -> None:
    options = pb.DecodingOptions(beam_size=4, num_hypotheses=4, length_penalty=length_penalty)
    fields = {"options": options, "output": SCORES, "target_prefixes": [prefix]}
    found = await captions.translate(CAPTION, **fields)
    num_forced = len(prefix.split())
    assert len(found.hypotheses) == 4
    for hypothesis in found.hypotheses:
        total = log_probability(hypothesis, num_forced)
        assert hypothesis.log_probability == pytest.approx(total, abs=1e-5)
        length = len(hypothesis.tokens) - num_forced
        expected = hypothesis.log_probability / length**length_penalty
        assert hypothesis.score == pytest.approx(expected, rel=1e-12)
        assert hypothesis.tokens[-1].piece == "</s>"


async def test_a_length_penalty_decides_between_short_and_long(captions: Server) -> None:
    short, long = [
        await captions.decode(CAPTIONS[3], beam_size=8, num_hypotheses=8, length_penalty=penalty)
        for penalty in (-2.0, 4.0)
    ]
    assert short.target_tokens < long.target_tokens


async def num_steps(server: Server, text: str, **options: Any) -> float:
    before = server.metric("attendant_decode_batch_size_count")
    await server.decode(text, **options)
    return server.metric("attendant_decode_batch_size_count") - before


async def test_each_rule_of_early_stopping_stops_at_its_own_time(captions: Server) -> None:
    texts = [*CAPTIONS, "It rained all night, so the path by the river is closed.", "Where is it?"]
    rules = (pb.EARLY_STOPPING_PATIENCE, pb.EARLY_STOPPING_HEURISTIC, pb.EARLY_STOPPING_NEVER)
    steps = [
        [await num_steps(captions, text, beam_size=4, early_stopping=rule) for rule in rules]
        for text in texts
    ]
    assert all(first <= second <= third for first, second, third in steps)
    assert any(first < second for first, second, _ in steps)
    assert any(second < third for _, second, third in steps)
    unspecified = [await num_steps(captions, text, beam_size=4) for text in texts]
    assert unspecified == [first for first, *_ in steps]


async def test_patience_waits_for_more_or_fewer_hypotheses(captions: Server) -> None:
    text = CAPTIONS[1]
    steps = [await num_steps(captions, text, beam_size=4, patience=p) for p in (0.25, 1.0, 2.0)]
    assert steps == sorted(set(steps))


# Sampling


def sampled(seed: int | None = None, **options: Any) -> dict[str, Any]:
    return {"sampling": pb.Sampling(seed=seed, temperature=1.5, **options)}


async def test_the_same_seed_gives_the_same_text_and_others_differ(captions: Server) -> None:
    seeds = (0, 1, 2, 3, 2**64 - 1)
    first = [await captions.decode(CAPTION, **sampled(seed)) for seed in seeds]
    again = [await captions.decode(CAPTION, **sampled(seed)) for seed in seeds]
    assert first == again
    assert len({translation.text for translation in first}) == len(seeds)


async def test_a_seed_that_the_server_picked_is_told_and_gives_the_same_again(
    captions: Server,
) -> None:
    asked = request(CAPTION, "A dog.", options=pb.DecodingOptions(**sampled()))
    first, other = [await captions.stub.Translate(asked) for _ in range(2)]
    assert first.HasField("seed")
    assert first.seed != other.seed
    assert [t.text for t in first.translations] != [t.text for t in other.translations]
    asked.options.sampling.seed = first.seed
    assert await captions.stub.Translate(asked) == first
    assert not (await captions.stub.Translate(request(CAPTION))).HasField("seed")


async def test_samples_are_independent_and_come_best_first(captions: Server) -> None:
    found = await captions.decode(CAPTION, num_hypotheses=5, **sampled(7))
    scores = [hypothesis.score for hypothesis in found.hypotheses]
    assert scores == sorted(scores, reverse=True)
    assert len({hypothesis.text for hypothesis in found.hypotheses}) == 5
    assert found.text == found.hypotheses[0].text
    alone = await captions.decode(CAPTION, **sampled(7))
    assert alone.hypotheses[0] in found.hypotheses  # the first of the five, wherever it ranks


@pytest.mark.parametrize("sharp", [{"top_k": 1}, {"top_p": 0.0001}, {"temperature": 0.01}])
async def test_sampling_without_choice_is_greedy(captions: Server, sharp: dict[str, Any]) -> None:
    options = {"sampling": pb.Sampling(**{"seed": 1, "temperature": 5.0, **sharp})}
    assert await captions.decode(CAPTION, **options) == await captions.decode(CAPTION)


@pytest.mark.parametrize("narrow", [{"top_k": 3}, {"top_p": 0.5}, {"temperature": 0.7}])
async def test_a_narrow_choice_is_more_probable_than_a_wide_one(
    captions: Server, narrow: dict[str, Any]
) -> None:
    options = {"num_hypotheses": 8, "loop_guard": 0}
    wide = await captions.decode(CAPTION, **options, **sampled(3))
    sampling = pb.Sampling(**{"seed": 3, "temperature": 1.5, **narrow})
    found = await captions.decode(CAPTION, **options, sampling=sampling)
    assert mean_score(found) > mean_score(wide)


def mean_score(found: pb.Translation) -> float:
    return sum(hypothesis.score for hypothesis in found.hypotheses) / len(found.hypotheses)


async def test_padding_and_the_start_are_never_drawn(numbers: Server) -> None:
    options = {"min_target_tokens": 60, "loop_guard": 0, "num_hypotheses": 8}
    drawn: set[str] = set()
    for seed in range(4):
        sampling = pb.Sampling(seed=seed, temperature=100.0)
        found = await numbers.decode("six", sampling=sampling, **options)
        drawn |= {piece for hypothesis in found.hypotheses for piece in pieces(hypothesis)}
    assert len(drawn) > 100  # of 160
    assert not drawn & {"<pad>", "<s>"}


# Alternatives


@pytest.mark.parametrize("prefix", ["", "Ein kleines"])
async def test_alternatives_are_the_best_next_tokens_each_continued_greedily(
    captions: Server, prefix: str
) -> None:
    options = pb.DecodingOptions(num_alternatives=5)
    fields = {"options": options, "output": SCORES, "target_prefixes": [prefix]}
    found = await captions.translate(CAPTION, **fields)
    place = len(prefix.split())
    first = [hypothesis.tokens[place] for hypothesis in found.hypotheses]
    assert len({token.piece for token in first}) == 5
    assert [t.log_probability for t in first] == sorted(t.log_probability for t in first)[::-1]
    assert all(hypothesis.text.startswith(prefix) for hypothesis in found.hypotheses)
    greedy = await captions.translate(CAPTION, output=SCORES, target_prefixes=[prefix])
    assert found.text == greedy.text
    assert found.hypotheses[0] == greedy.hypotheses[0]
    for hypothesis in found.hypotheses:
        begun = hypothesis.text[: len(prefix)] + hypothesis.tokens[place].piece.replace("▁", " ")
        continued = await captions.translate(CAPTION, target_prefixes=[begun])
        assert hypothesis.text == continued.text


async def test_what_is_suppressed_is_no_alternative(numbers: Server) -> None:
    vocabulary = numbers.app.models.get("").tokenizer
    allowed = {"</s>", "▁ein", "hundert"}
    suppressed = [
        piece
        for piece in map(vocabulary.piece, range(160))
        if vocabulary.find(piece) is not None and piece not in allowed
    ]
    found = await numbers.decode("six", num_alternatives=8, suppressed_tokens=suppressed)
    first = {hypothesis.tokens[0].piece for hypothesis in found.hypotheses}
    assert not first & {*suppressed}
    assert len(first) == len(found.hypotheses) < 8


# Prefixes


async def test_each_text_begins_with_its_own_prefix(captions: Server) -> None:
    prefixes = ["Ein Mädchen spielt", "", "Der Hund"]
    asked = request(CAPTION, CAPTION, "A dog.", target_prefixes=prefixes, output=SCORES)
    found = (await captions.stub.Translate(asked)).translations
    assert found[1] == (await captions.decode(CAPTION))
    for translation, prefix in zip(found, prefixes, strict=True):
        assert translation.text.startswith(prefix)
        assert translation.finish_reason == pb.FINISH_REASON_STOP
        assert len(translation.text) > len(prefix)


async def test_forced_tokens_have_the_probability_that_the_model_gives_them(
    captions: Server,
) -> None:
    free = (await captions.decode(CAPTION)).hypotheses[0]
    for num_forced in (1, 5, 14):
        prefix = "".join(token.piece for token in free.tokens[:num_forced]).replace("▁", " ")
        fields = {"target_prefixes": [prefix], "output": SCORES}
        forced = (await captions.translate(CAPTION, **fields)).hypotheses[0]
        assert forced.tokens == free.tokens
        total = log_probability(forced, num_forced)
        assert forced.log_probability == pytest.approx(total, abs=1e-5)


async def test_a_prefix_of_bytes_is_kept(captions: Server) -> None:
    found = await captions.translate("A dog.", target_prefixes=["🐕 日本"], output=SCORES)
    assert found.text.startswith("🐕 日本")
    assert "<0xF0>" in pieces(found)


# Lengths


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"max_target_tokens": 4}, 4),
        ({"max_length_ratio": 0.5}, 9),
        ({"max_target_tokens": 4, "max_length_ratio": 0.5}, 4),
        ({"max_target_tokens": 9, "max_length_ratio": 0.25}, 4),
        ({"max_length_ratio": 0.01}, 1),
        ({"beam_size": 4, "max_target_tokens": 4}, 4),
    ],
)
async def test_the_smaller_upper_limit_counts(
    captions: Server, options: dict[str, Any], expected: int
) -> None:
    found = await captions.decode(CAPTION, **options)
    assert found.source_tokens == 18
    assert found.finish_reason == pb.FINISH_REASON_LENGTH
    assert found.target_tokens == len(pieces(found)) == expected


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"min_target_tokens": 20}, 20),
        ({"min_length_ratio": 1.1}, 20),  # of 18: 19.8
        ({"min_target_tokens": 17, "min_length_ratio": 1.1}, 20),
        ({"min_target_tokens": 20, "min_length_ratio": 0.1}, 20),
        ({"min_target_tokens": 18}, 18),
        ({"min_target_tokens": 15}, 17),  # as long as it is by itself
    ],
)
async def test_the_larger_lower_limit_counts(
    captions: Server, options: dict[str, Any], expected: int
) -> None:
    found = await captions.decode(CAPTION, **options)
    assert found.finish_reason == pb.FINISH_REASON_STOP
    assert found.target_tokens == expected
    assert "</s>" not in pieces(found)[:-1]


async def test_both_limits_at_once_leave_one_length(captions: Server) -> None:
    found = await captions.decode(CAPTION, min_target_tokens=6, max_target_tokens=6, beam_size=3)
    assert found.target_tokens == 6


# Constraints

LONG: dict[str, Any] = {"min_target_tokens": 40, "max_target_tokens": 40, "loop_guard": 0}


def ngrams(tokens: list[str], size: int) -> list[tuple[str, ...]]:
    return list(zip(*(tokens[i:] for i in range(size)), strict=False))


@pytest.mark.parametrize("size", [1, 2, 3])
@pytest.mark.parametrize("how", [{}, {"beam_size": 3}, sampled(1)])
async def test_no_ngram_is_repeated(captions: Server, size: int, how: dict[str, Any]) -> None:
    found = await captions.decode(CAPTION, no_repeat_ngram_size=size, **LONG, **how)
    seen = ngrams(pieces(found), size)
    assert len(seen) == len(set(seen))


async def test_without_the_constraint_ngrams_repeat(captions: Server) -> None:
    seen = ngrams(pieces(await captions.decode(CAPTION, **LONG)), 3)
    assert len(seen) > len(set(seen))


async def test_a_repetition_penalty_keeps_tokens_from_coming_again(captions: Server) -> None:
    plain, mild, strong = [
        len(set(pieces(await captions.decode(CAPTION, repetition_penalty=penalty, **LONG))))
        for penalty in (1.0, 1.5, 100.0)
    ]
    assert plain < mild < strong
    reward = await captions.decode(CAPTION, repetition_penalty=0.2, **LONG)
    assert len(set(pieces(reward))) < plain


@pytest.mark.parametrize(("options", "repeats"), [({}, 8), ({"loop_guard": 3}, 3)])
@pytest.mark.parametrize("how", [{}, {"target_prefixes": ["Ein Hund."]}])
async def test_a_loop_ends_the_translation(
    captions: Server, options: dict[str, Any], repeats: int, how: dict[str, Any]
) -> None:
    decoding = pb.DecodingOptions(min_target_tokens=100, **options)
    found = await captions.translate(CAPTION, options=decoding, output=SCORES, **how)
    assert found.finish_reason == pb.FINISH_REASON_LOOP
    assert found.hypotheses[0].finish_reason == pb.FINISH_REASON_LOOP
    tokens = pieces(found)
    assert [ends_in_a_block(tokens, n) for n in (repeats, repeats + 1)] == [True, False]
    assert len(tokens) < 100


def ends_in_a_block(tokens: list[str], repeats: int) -> bool:
    return any(tokens[-block * repeats :] == tokens[-block:] * repeats for block in range(1, 17))


async def test_the_loop_guard_can_be_off(captions: Server) -> None:
    found = await captions.decode(CAPTION, min_target_tokens=100, loop_guard=0)
    assert found.target_tokens >= 100


async def test_suppressed_tokens_do_not_come_and_the_rest_share_their_probability(
    captions: Server,
) -> None:
    best, second = (await captions.decode(CAPTION, num_alternatives=2)).hypotheses
    suppressed = best.tokens[0].piece
    (found,) = (await captions.decode(CAPTION, suppressed_tokens=[suppressed])).hypotheses
    assert suppressed not in pieces(found)
    assert found.tokens[0].piece == second.tokens[0].piece
    rest = 1 - math.exp(best.tokens[0].log_probability)
    shared = math.exp(second.tokens[0].log_probability) / rest
    assert math.exp(found.tokens[0].log_probability) == pytest.approx(shared, rel=1e-4)
    both = [suppressed, second.tokens[0].piece, "▁Kleid"]
    beam = await captions.decode(CAPTION, suppressed_tokens=both, beam_size=4, num_hypotheses=4)
    assert all(not {*both} & {*pieces(hypothesis)} for hypothesis in beam.hypotheses)


async def test_where_all_is_forbidden_the_sentence_ends(numbers: Server) -> None:
    tokenizer = numbers.app.models.get("").tokenizer
    everything = [p for p in map(tokenizer.piece, range(160)) if tokenizer.find(p) is not None]
    for how in ({}, {"beam_size": 4}, {"num_alternatives": 3}, sampled(1)):
        found = await numbers.decode(
            "six", suppressed_tokens=everything, min_target_tokens=9, **how
        )
        assert found.finish_reason in (pb.FINISH_REASON_STOP, pb.FINISH_REASON_LOOP)
        assert not {*everything} & {*pieces(found)}
