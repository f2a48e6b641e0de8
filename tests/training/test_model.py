from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.training import torch_reference
from tests.training.tiny import make_model, model_config
from training.config import PAD_ID
from training.model import (
    AddNorm,
    DecoderLayer,
    EncoderLayer,
    FeedForward,
    LayerCache,
    LearnedPositionalEncoding,
    MultiHeadAttention,
    PositionalEncoding,
    Transformer,
    scaled_dot_product_attention,
)

SHAPES = [
    {"norm": "post"},
    {"norm": "pre"},
    {"positions": "learned"},
    {"tie_embeddings": False},
]
both_norms = pytest.mark.parametrize("norm", ["post", "pre"])
all_shapes = pytest.mark.parametrize("shape", SHAPES, ids=lambda s: "-".join(map(str, s.values())))


def close(ours: Tensor, theirs: Tensor) -> None:
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


def causal(length: int) -> Tensor:
    """True where attention is allowed."""
    return torch.ones(length, length, dtype=torch.bool).tril()


def source_batch() -> Tensor:
    """Three sources of 7, 4 and 1 tokens, padded; int64 (3, 7)."""
    source = torch.randint(4, 37, (3, 7))
    source[1, 4:] = PAD_ID
    source[2, 1:] = PAD_ID
    return source


def randomise(module: nn.Module) -> nn.Module:
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.normal_(std=0.3)
    return module.eval()


# Attention


@pytest.mark.parametrize("mask", [torch.ones(1, 1, 1, 6, dtype=torch.bool), causal(6)])
def test_scaled_dot_product_attention_is_torchs(mask: Tensor) -> None:
    query, key, value = torch.randn(3, 2, 4, 6, 8).unbind(0)
    ours = scaled_dot_product_attention(query, key, value, mask, nn.Identity())
    close(ours, F.scaled_dot_product_attention(query, key, value, mask))


def test_masked_positions_get_a_weight_of_exactly_zero() -> None:
    query, key, value = torch.randn(3, 1, 1, 5, 4).unbind(0)
    mask = torch.tensor([True, True, False, True, False])
    before = scaled_dot_product_attention(query, key, value, mask, nn.Identity())
    value = value.masked_fill(~mask[:, None], 1e30)
    assert torch.equal(before, scaled_dot_product_attention(query, key, value, mask, nn.Identity()))


def test_a_row_that_may_attend_nowhere_is_finite() -> None:
    query, key, value = torch.randn(3, 1, 1, 3, 4).unbind(0)
    mask = torch.zeros(3, 3, dtype=torch.bool)
    assert scaled_dot_product_attention(query, key, value, mask, nn.Identity()).isfinite().all()


def test_dropout_falls_on_the_attention_weights() -> None:
    attention = MultiHeadAttention(model_config(attention_dropout=0.5)).train()
    x, mask = torch.randn(1, 6, 16), causal(6)
    assert not torch.equal(attention(x, x, mask), attention(x, x, mask))


def test_multi_head_attention_is_torchs() -> None:
    ours = randomise(MultiHeadAttention(model_config(num_heads=4)))
    x, memory = torch.randn(3, 5, 16), torch.randn(3, 7, 16)
    is_token = source_batch() != PAD_ID
    theirs, _ = torch_reference.attention(ours)(x, memory, memory, key_padding_mask=~is_token)
    close(ours(x, memory, is_token[:, None, None]), theirs)


# Layers


@both_norms
def test_encoder_layer_is_torchs(norm: str) -> None:
    config = model_config(norm=norm)
    ours = randomise(EncoderLayer(config))
    x, is_token = torch.randn(3, 7, 16), source_batch() != PAD_ID
    theirs = torch_reference.encoder_layer(ours, config)(x, src_key_padding_mask=~is_token)
    close(ours(x, is_token[:, None, None])[is_token], theirs[is_token])


@both_norms
def test_decoder_layer_is_torchs(norm: str) -> None:
    config = model_config(norm=norm)
    ours = randomise(DecoderLayer(config))
    x, memory, is_token = torch.randn(3, 5, 16), torch.randn(3, 7, 16), source_batch() != PAD_ID
    empty = torch.zeros(3, 2, 0, 8)
    cache = LayerCache(empty, empty, *ours.cross_attention.project_key_value(memory))
    theirs = torch_reference.decoder_layer(ours, config)(
        x, memory, tgt_mask=~causal(5), memory_key_padding_mask=~is_token
    )
    close(ours(x, cache, causal(5), is_token[:, None, None])[0], theirs)


def test_post_norm_normalises_the_sum() -> None:
    sublayer = randomise(AddNorm(model_config(norm="post")))
    x, output = torch.randn(2, 3, 16), torch.randn(2, 3, 16)
    assert sublayer.before(x) is x
    close(sublayer.after(x, output), sublayer.norm(x + output))


def test_pre_norm_normalises_the_input_and_leaves_the_residual_alone() -> None:
    sublayer = randomise(AddNorm(model_config(norm="pre")))
    x, output = torch.randn(2, 3, 16), torch.randn(2, 3, 16)
    close(sublayer.before(x), sublayer.norm(x))
    close(sublayer.after(x, output), x + output)


def test_only_pre_norm_stacks_end_in_a_norm() -> None:
    assert isinstance(make_model(norm="pre").decoder_norm, nn.LayerNorm)
    assert isinstance(make_model(norm="post").decoder_norm, nn.Identity)


@pytest.mark.parametrize(
    ("activation", "formula"),
    [
        ("relu", lambda x: max(x, 0.0)),
        ("gelu", lambda x: x * 0.5 * (1 + math.erf(x / math.sqrt(2)))),
        ("swish", lambda x: x / (1 + math.exp(-x))),
    ],
)
def test_the_feed_forward_applies_its_activation_between_two_projections(
    activation: str, formula: Callable[[float], float]
) -> None:
    layer = randomise(FeedForward(model_config(activation=activation)))
    x = torch.randn(1, 3, 16)
    hidden = layer.w_1(x)
    expected = layer.w_2(torch.tensor([[[formula(v) for v in row] for row in hidden[0].tolist()]]))
    close(layer(x), expected)


# Embedding and positions


def test_sinusoidal_positions_follow_the_formula() -> None:
    table = PositionalEncoding(50, 6)(torch.arange(50))
    for p in (0, 1, 17, 49):
        for i in range(3):
            angle = p / 10000 ** (2 * i / 6)
            assert table[p, 2 * i].item() == pytest.approx(math.sin(angle), abs=1e-6)
            assert table[p, 2 * i + 1].item() == pytest.approx(math.cos(angle), abs=1e-6)


def test_sinusoidal_positions_are_no_part_of_the_weights() -> None:
    assert not [name for name in make_model().state_dict() if "position" in name]


def test_learned_positions_are_rows_of_a_trained_table() -> None:
    positions = LearnedPositionalEncoding(8, 4)
    positions(torch.tensor([[3, 5]])).sum().backward()
    trained = positions.embedding.weight.grad.abs().sum(dim=1).nonzero().flatten()
    assert trained.tolist() == [3, 5]


def test_embedding_is_words_times_the_square_root_of_d_plus_positions() -> None:
    embedding = make_model(d_model=16).embedding
    ids, positions = torch.tensor([[5, 9]]), torch.tensor([0, 1])
    expected = embedding.words.weight[ids] * 4.0 + embedding.positions.table[:2]
    close(embedding(ids, positions), expected)


def test_tied_embeddings_are_one_matrix() -> None:
    tied, untied = make_model(tie_embeddings=True), make_model(tie_embeddings=False)
    assert tied.output.weight is tied.embedding.words.weight
    difference = sum(p.numel() for p in untied.parameters()) - sum(
        p.numel() for p in tied.parameters()
    )
    assert difference == 37 * 16


def test_the_shared_matrix_learns_from_both_its_uses() -> None:
    model = make_model()
    model(torch.tensor([[5]]), torch.tensor([[6]]))[0, 0, 7].backward()
    trained = model.output.weight.grad.abs().sum(dim=1).nonzero().flatten()
    assert trained.tolist() == [5, 6, 7]


# The whole model


@both_norms
def test_transformer_is_wired_like_torchs(norm: str) -> None:
    model = make_model(norm=norm)
    source, target = source_batch(), torch.randint(4, 37, (3, 5))
    theirs = torch_reference.transformer(model)(
        model.embedding(source, torch.arange(7)),
        model.embedding(target, torch.arange(5)),
        tgt_mask=~causal(5),
        src_key_padding_mask=source == PAD_ID,
        memory_key_padding_mask=source == PAD_ID,
    )
    close(model(source, target), theirs @ model.embedding.words.weight.T + model.output.bias)


@all_shapes
def test_cached_decoding_equals_uncached(shape: dict[str, object]) -> None:
    model = make_model(**shape)
    source, target = source_batch(), torch.randint(4, 37, (3, 12))  # ragged, with padding
    source_mask = model.padding_mask(source)
    memory = model.encode(source, source_mask)
    whole = model.decode(target, memory, source_mask)
    caches = model.start_cache(memory)
    for t in range(target.size(1)):
        logits, caches = model.decode_step(target[:, t : t + 1], caches, source_mask)
        close(logits[:, 0], whole[:, t])


def test_cached_decoding_takes_any_number_of_tokens_at_once() -> None:
    model = make_model()
    source, target = source_batch(), torch.randint(4, 37, (3, 9))
    source_mask = model.padding_mask(source)
    caches, parts = model.start_cache(model.encode(source, source_mask)), []
    for part in target.split([1, 5, 3], dim=1):
        logits, caches = model.decode_step(part, caches, source_mask)
        parts.append(logits)
    close(torch.cat(parts, dim=1), model(source, target))


@all_shapes
def test_later_target_tokens_do_not_change_earlier_logits(shape: dict[str, object]) -> None:
    model = make_model(**shape)
    source, target = source_batch(), torch.randint(4, 37, (3, 8))
    changed = target.clone()
    changed[:, 5:] = (changed[:, 5:] - 3) % 33 + 4
    before, after = model(source, target), model(source, changed)
    assert torch.equal(before[:, :5], after[:, :5])
    assert (before[:, 5:] != after[:, 5:]).any(dim=-1).all()


@all_shapes
def test_padding_changes_no_result(shape: dict[str, object]) -> None:
    model = make_model(**shape)
    source, target = source_batch(), torch.randint(4, 37, (3, 5))
    together = model(source, target)
    for row, length in enumerate((7, 4, 1)):
        alone = model(source[row : row + 1, :length], target[row : row + 1])
        close(together[row], alone[0])


def test_every_source_token_reaches_every_logit() -> None:
    model = make_model()
    source, target = torch.randint(4, 37, (1, 6)), torch.randint(4, 37, (1, 3))
    before = model(source, target)
    for position in range(6):
        changed = source.clone()
        changed[0, position] = 4 if source[0, position] != 4 else 5
        assert (model(changed, target) != before).any(dim=-1).all()


def test_dropout_is_off_in_evaluation_and_on_in_training() -> None:
    model = make_model(dropout=0.3)
    source, target = source_batch(), torch.randint(4, 37, (3, 5))
    assert torch.equal(model(source, target), model(source, target))
    model.train()
    assert not torch.equal(model(source, target), model(source, target))


def test_a_fresh_model_predicts_about_evenly() -> None:
    model = Transformer(model_config(vocabulary_size=1000, d_model=64)).eval()
    target = torch.randint(4, 1000, (8, 20))
    loss = F.cross_entropy(model(target, target).flatten(0, 1), target.roll(-1, 1).flatten())
    assert loss.item() == pytest.approx(math.log(1000), rel=0.15)
