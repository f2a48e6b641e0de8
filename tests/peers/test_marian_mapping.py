"""What beam search is compared on: Marian's weights in our Transformer give Marian's numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import pairwise

import pytest
import torch
from transformers import MarianMTModel

from tests.peers import PeerHypothesis, single_thread
from tests.peers.marian import (
    NEVER,
    SHAPE,
    MarianOptions,
    generate,
    random_marian,
    random_sources,
    to_transformer,
)
from training.config import BOS_ID, EOS_ID, PAD_ID
from training.model import Transformer
from training.search import greedy_search, max_target_tokens

SOURCES = random_sources(24)


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    with single_thread():
        yield


@pytest.fixture(scope="module")
def marian() -> MarianMTModel:
    return random_marian()


@pytest.fixture(scope="module")
def transformer(marian: MarianMTModel) -> Transformer:
    return to_transformer(marian)


def log_probs(model: Transformer, source: list[int], tokens: list[int]) -> torch.Tensor:
    """Of each of `tokens` after those before it, by our model without a cache; float (T,)."""
    target = torch.tensor([[BOS_ID, *tokens[:-1]]])
    with torch.inference_mode():
        logits = model(torch.tensor([source]), target)[0]  # (T, V)
    return torch.log_softmax(logits, dim=-1).gather(1, torch.tensor(tokens)[:, None])[:, 0]


def test_logits_are_the_same(marian: MarianMTModel, transformer: Transformer) -> None:
    generator = torch.Generator().manual_seed(3)
    target = torch.randint(4, SHAPE.vocabulary_size, (len(SOURCES), 30), generator=generator)
    target[:, 0] = BOS_ID
    source = torch.nn.utils.rnn.pad_sequence(
        [torch.tensor(s) for s in SOURCES], batch_first=True, padding_value=PAD_ID
    )  # (B, S)
    with torch.inference_mode():
        mask = (source != PAD_ID).long()
        theirs = marian(input_ids=source, attention_mask=mask, decoder_input_ids=target).logits
        ours = transformer(source, target)  # (B, T, V)
    assert len({len(s) for s in SOURCES}) > 1  # something is padded
    choosable = [i for i in range(SHAPE.vocabulary_size) if i not in (PAD_ID, BOS_ID)]
    assert (ours - theirs)[..., choosable].abs().max() <= 1e-4
    for logits in (ours, theirs):
        assert logits[..., [PAD_ID, BOS_ID]].max() < NEVER / 2


def test_greedy_search_is_the_same(marian: MarianMTModel, transformer: Transformer) -> None:
    limits = [max_target_tokens(len(s), SHAPE.max_length) for s in SOURCES]
    theirs = generate(marian, SOURCES, MarianOptions(max_new_tokens=max(limits)))
    expected = [
        [token for token in found[0].tokens[:limit] if token != EOS_ID]
        for found, limit in zip(theirs, limits, strict=True)
    ]
    assert greedy_search(transformer, SOURCES) == expected
    assert sum(found[0].tokens[-1] == EOS_ID for found in theirs) > len(SOURCES) // 3


@pytest.mark.parametrize("num_beams", [1, 4])
@pytest.mark.parametrize("length_penalty", [0.0, 0.6, 1.0])
def test_a_score_is_the_log_probability_over_a_power_of_the_length_with_the_end_counted(
    marian: MarianMTModel, transformer: Transformer, num_beams: int, length_penalty: float
) -> None:
    options = MarianOptions(
        max_new_tokens=16,
        num_beams=num_beams,
        num_return_sequences=num_beams,
        length_penalty=length_penalty,
    )
    for source, found in zip(SOURCES[:6], generate(marian, SOURCES[:6], options), strict=True):
        assert len(found) == num_beams
        assert [h.score for h in found] == sorted((h.score for h in found), reverse=True)
        for hypothesis in found:
            tokens = list(hypothesis.tokens)
            total = float(log_probs(transformer, source, tokens).sum())
            assert hypothesis.score == pytest.approx(
                total / len(tokens) ** length_penalty, abs=1e-4
            )


def test_a_prompt_is_kept_and_counts_neither_for_the_score_nor_for_the_limit(
    marian: MarianMTModel, transformer: Transformer
) -> None:
    prompts = [[7 + i, 9, 11][: 1 + i % 3] for i in range(6)]
    options = MarianOptions(max_new_tokens=12, num_beams=3)
    for source, prompt, (found,) in zip(
        SOURCES[:6], prompts, generate(marian, SOURCES[:6], options, prompts), strict=True
    ):
        tokens = [*prompt, *found.tokens]
        total = float(log_probs(transformer, source, tokens)[len(prompt) :].sum())
        assert found.score == pytest.approx(total / len(found.tokens), abs=1e-4)
        assert EOS_ID not in found.tokens[:-1]
        assert len(found.tokens) == 12 or found.tokens[-1] == EOS_ID


@pytest.mark.parametrize("early_stopping", [True, False, "never"])
def test_options_reach_the_search(marian: MarianMTModel, early_stopping: bool | str) -> None:
    options = MarianOptions(
        max_new_tokens=10,
        min_new_tokens=3,
        num_beams=4,
        num_return_sequences=4,
        early_stopping=early_stopping,
        no_repeat_ngram_size=2,
    )
    for found in generate(marian, SOURCES, options):
        for hypothesis in found:
            tokens = hypothesis.tokens
            pairs = list(pairwise(tokens))
            assert len(set(pairs)) == len(pairs)
            assert EOS_ID not in tokens[:3]
            assert len(tokens) <= 10


def test_later_stopping_finds_nothing_worse(marian: MarianMTModel) -> None:
    def best(early_stopping: bool | str) -> list[PeerHypothesis]:
        options = MarianOptions(max_new_tokens=24, num_beams=4, early_stopping=early_stopping)
        return [found[0] for found in generate(marian, sources, options)]

    sources = random_sources(32)
    first, heuristic, never = best(True), best(False), best("never")
    assert all(a.score <= b.score for a, b in zip(first, heuristic, strict=True))
    assert all(a.score <= b.score for a, b in zip(heuristic, never, strict=True))
    assert first != heuristic != never


def test_random_weights_give_translations_worth_comparing(marian: MarianMTModel) -> None:
    sources = random_sources(200, seed=5)
    found = [
        hypotheses[0].tokens
        for hypotheses in generate(marian, sources, MarianOptions(max_new_tokens=24, num_beams=4))
    ]
    lengths = Counter(len(tokens) for tokens in found)
    assert sum(tokens[-1] == EOS_ID for tokens in found) >= 100
    assert len(lengths) >= 15
    assert len(set(found)) >= 150
