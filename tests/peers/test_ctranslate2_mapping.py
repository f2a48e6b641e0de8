"""What beam search is compared on: our weights in CTranslate2 give our numbers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from benchmarks.ctranslate2_converter import convert, convert_model
from demos.bundled import CHECKPOINT
from tests.peers import single_thread
from tests.peers.ctranslate2_model import CTranslate2Model, CTranslate2Options
from tests.peers.marian import (
    SHAPE,
    MarianOptions,
    generate,
    random_marian,
    random_sources,
    to_transformer,
)
from tests.peers.sentences import captions
from tests.training.tiny import make_model, random_ids
from training.checkpoint import load_model
from training.config import BOS_ID, EOS_ID, PAD_ID
from training.model import Transformer
from training.search import greedy_search
from training.tokenizer import Tokenizer

NUM_TOKENS = 100  # more than any of the captions' translations has
FORCED = [[7, 9], [11, 13], [20, 8], [31, 30]]


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    with single_thread():
        yield


@pytest.fixture(scope="module")
def transformer() -> Transformer:
    return load_model(CHECKPOINT)[0]


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer(CHECKPOINT.with_name("tokenizer.model"))


@pytest.fixture(scope="module")
def sources(tokenizer: Tokenizer) -> list[list[int]]:
    return [tokenizer.encode_source(text, "de") for text in captions(24)]


@pytest.fixture(scope="module")
def greedy(transformer: Transformer, sources: list[list[int]]) -> list[list[int]]:
    return greedy_search(transformer, sources)


@pytest.fixture(scope="module")
def peer(tmp_path_factory: pytest.TempPathFactory) -> CTranslate2Model:
    return CTranslate2Model(convert(CHECKPOINT, tmp_path_factory.mktemp("ctranslate2") / "model"))


@torch.inference_mode()
def log_probs(
    model: Transformer, source: list[int], tokens: list[int], is_everything_allowed: bool = True
) -> torch.Tensor:
    """Of each of `tokens` after those before it, by our model without a cache; float (T,)."""
    logits = model(torch.tensor([source]), torch.tensor([[BOS_ID, *tokens[:-1]]]))[0]  # (T, V)
    if not is_everything_allowed:
        logits[:, [PAD_ID, BOS_ID]] = -torch.inf
    return torch.log_softmax(logits, dim=-1).gather(1, torch.tensor(tokens)[:, None])[:, 0]


def largest_difference(
    model: Transformer, peer: CTranslate2Model, sources: list[list[int]], targets: list[list[int]]
) -> float:
    """Between the log-probabilities of any token of `targets`, ends of sentence included."""
    theirs = peer.log_probs(sources, targets)
    return max(
        float((log_probs(model, source, [*target, EOS_ID]) - torch.tensor(scores)).abs().max())
        for source, target, scores in zip(sources, targets, theirs, strict=True)
    )


def test_log_probabilities_are_the_same(
    transformer: Transformer,
    tokenizer: Tokenizer,
    peer: CTranslate2Model,
    sources: list[list[int]],
    greedy: list[list[int]],
) -> None:
    unlikely = [tokenizer.encode_target(text)[1:-1] for text in captions(24)]  # not translated
    assert largest_difference(transformer, peer, sources, greedy) <= 1e-4
    assert largest_difference(transformer, peer, sources, unlikely) <= 1e-4


def test_greedy_search_is_the_same(
    peer: CTranslate2Model, sources: list[list[int]], greedy: list[list[int]]
) -> None:
    found = peer.translate(sources, CTranslate2Options(NUM_TOKENS))
    assert [list(best.tokens) for (best,) in found] == [[*ids, EOS_ID] for ids in greedy]
    assert len({len(ids) for ids in greedy}) >= 10


@pytest.mark.parametrize("norm", ["post", "pre"])
@pytest.mark.parametrize("positions", ["sinusoidal", "learned"])
@pytest.mark.parametrize("tie_embeddings", [True, False])
def test_every_kind_of_model_converts(
    norm: str, positions: str, tie_embeddings: bool, tmp_path: Path
) -> None:
    torch.manual_seed(4)
    model = make_model(norm=norm, positions=positions, tie_embeddings=tie_embeddings)
    peer = CTranslate2Model(convert_model(model, pieces(37), tmp_path / "model"))
    ids = [[*random_ids(1 + i % 9), EOS_ID] for i in range(20)]
    targets = [random_ids(1 + i % 7) for i in range(20)]
    assert largest_difference(model, peer, ids, targets) <= 1e-4


@pytest.mark.parametrize("beam_size", [1, 4])
def test_a_score_is_the_log_probability_over_a_power_of_the_length_with_the_end_counted(
    transformer: Transformer, peer: CTranslate2Model, sources: list[list[int]], beam_size: int
) -> None:
    options = CTranslate2Options(
        12, beam_size=beam_size, num_hypotheses=beam_size, length_penalty=0.6
    )
    found = peer.translate(sources[:6], options)
    assert {h.tokens[-1] == EOS_ID for best in found for h in best} == {True, False}
    for source, best in zip(sources[:6], found, strict=True):
        assert len(best) == beam_size
        for h in best:
            tokens = list(h.tokens)
            total = float(log_probs(transformer, source, tokens, is_everything_allowed=False).sum())
            assert h.score == pytest.approx(total / len(tokens) ** 0.6, abs=1e-4)


def test_a_prefix_is_left_out_of_the_tokens_and_the_log_probability_but_counts_for_the_length(
    transformer: Transformer, peer: CTranslate2Model, sources: list[list[int]]
) -> None:
    prefixes = [ids + [1000] * (i % 2) for i, ids in enumerate(FORCED)]
    found = peer.translate(sources[:4], CTranslate2Options(9, beam_size=3), prefixes)
    for source, prefix, (best,) in zip(sources[:4], prefixes, found, strict=True):
        tokens = [*prefix, *best.tokens]
        assert len(tokens) == 9 or tokens[-1] == EOS_ID
        total = log_probs(transformer, source, tokens, is_everything_allowed=False)[len(prefix) :]
        assert best.score == pytest.approx(float(total.sum()) / len(tokens), abs=1e-4)


@pytest.mark.parametrize("beam_size", [1, 3])
def test_padding_and_the_start_token_are_never_chosen(beam_size: int, tmp_path: Path) -> None:
    torch.manual_seed(4)
    model = make_model()
    with torch.no_grad():
        model.output.bias[[PAD_ID, BOS_ID]] = 50.0
    peer = CTranslate2Model(convert_model(model, pieces(37), tmp_path / "model"))
    ((best,),) = peer.translate([[5, 6, EOS_ID]], CTranslate2Options(8, beam_size=beam_size))
    assert best.tokens
    assert not {PAD_ID, BOS_ID} & set(best.tokens)
    assert best.score == pytest.approx(
        float(log_probs(model, [5, 6, EOS_ID], list(best.tokens), False).mean()), abs=1e-4
    )


@pytest.mark.parametrize("layer", [0, 1])
@pytest.mark.parametrize("beam_size", [1, 4])
def test_attention_is_the_mean_over_the_heads_of_the_layer(
    transformer: Transformer,
    sources: list[list[int]],
    layer: int,
    beam_size: int,
    tmp_path: Path,
) -> None:
    peer = CTranslate2Model(convert(CHECKPOINT, tmp_path / "model", alignment_layer=layer))
    options = CTranslate2Options(NUM_TOKENS, beam_size=beam_size, return_attention=True)
    found = peer.translate(sources[:6], options, [[], [], *FORCED])
    for source, prefix, (best,) in zip(sources[:6], [[], [], *FORCED], found, strict=True):
        tokens = [*prefix, *best.tokens]
        expected = cross_attention(transformer, layer, source, tokens)[len(prefix) :]
        assert (torch.tensor(best.attention) - expected).abs().max() <= 1e-5


def cross_attention(
    model: Transformer, layer: int, source: list[int], tokens: list[int]
) -> torch.Tensor:
    """Mean over heads of what decoder layer `layer` attends to when it chooses each of `tokens`;
    float (T, S).
    """
    weights: list[torch.Tensor] = []  # dropout sees them last
    dropout = model.decoder_layers[layer].cross_attention.dropout
    hook = dropout.register_forward_hook(lambda _m, inputs, _o: weights.append(inputs[0]))
    log_probs(model, source, tokens)
    hook.remove()
    return weights[0][0].mean(0)  # (T, S)


def test_captions_are_distinct_and_short_and_long() -> None:
    texts = captions(260)
    assert len(set(texts)) == 260
    assert captions(12) == texts[:12]
    lengths = [len(text.split()) for text in texts]
    assert (min(lengths), max(lengths)) == (4, 30)
    assert len(set(lengths)) == 27


def pieces(vocabulary_size: int) -> list[str]:
    """A vocabulary where none matters."""
    special = ["<pad>", "<s>", "</s>", "<unk>"]
    return [*special, *(f"piece{i}" for i in range(len(special), vocabulary_size))]


# Where the peers' definitions differ, and how to make them the same. Each entry: Marian's options,
# CTranslate2's, and the forced prefix of every source.
SAME = {
    "first_come": ({"early_stopping": True}, {}, []),
    "no_length_penalty": (
        {"early_stopping": True, "length_penalty": 0.0},
        {"length_penalty": 1e-6},  # 0 would stop at the first time that the best hypothesis ends
        [],
    ),
    "never": ({"early_stopping": "never"}, {"patience": 100.0}, []),
    "min_length": (
        {"early_stopping": True, "min_new_tokens": 5, "is_renormalized": True},
        {"min_decoding_length": 5},
        [],
    ),
    "ngram": (
        {"early_stopping": True, "no_repeat_ngram_size": 2, "is_renormalized": True},
        {"no_repeat_ngram_size": 2},
        [],
    ),
    "prefix": (
        {
            "early_stopping": True,
            "min_new_tokens": 1,  # right after a prefix, CTranslate2 ends the best beam only
            "is_renormalized": True,
            "length_penalty": 0.0,  # CTranslate2's length counts the prefix
            "no_repeat_ngram_size": 2,
        },
        {
            "max_decoding_length": 22,
            "min_decoding_length": 3,
            "length_penalty": 1e-6,
            "no_repeat_ngram_size": 2,
        },
        [5, 6],
    ),
}


@pytest.fixture(scope="module")
def twin(tmp_path_factory: pytest.TempPathFactory) -> CTranslate2Model:
    """The random Marian's weights."""
    folder = tmp_path_factory.mktemp("twin") / "model"
    model = to_transformer(random_marian())
    return CTranslate2Model(convert_model(model, pieces(SHAPE.vocabulary_size), folder))


@pytest.mark.parametrize("name", SAME)
def test_both_peers_find_the_same_with_options_that_mean_the_same(
    name: str, twin: CTranslate2Model
) -> None:
    marian, ctranslate2, prefix = SAME[name]
    ids = random_sources(60, seed=8)
    prefixes = [prefix] * len(ids)
    marian_options = MarianOptions(20, num_beams=4, num_return_sequences=4)
    options = CTranslate2Options(20, beam_size=4, num_hypotheses=4)
    expected = generate(random_marian(), ids, replace(marian_options, **marian), prefixes)
    found = twin.translate(ids, replace(options, **ctranslate2), prefixes)
    num_same = 0
    for a, b in zip(expected, found, strict=True):
        if [h.tokens for h in a] == [h.tokens for h in b]:
            num_same += 1
            assert [h.score for h in b] == pytest.approx([h.score for h in a], abs=2e-3)
    assert num_same >= 58  # candidates may lie nearer to each other than float32 can tell
