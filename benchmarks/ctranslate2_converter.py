"""Our checkpoints as CTranslate2 models."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import cast

import numpy as np
import sentencepiece
import torch
from ctranslate2.specs import common_spec, transformer_spec
from torch import Tensor, nn

from training.checkpoint import load_model
from training.config import UNK_ID
from training.model import (
    DecoderLayer,
    EncoderLayer,
    FeedForward,
    LearnedPositionalEncoding,
    MultiHeadAttention,
    PositionalEncoding,
    Transformer,
)


def convert(checkpoint: Path, folder: Path, alignment_layer: int = -1) -> Path:
    """Writes the model in `checkpoint`, whose tokenizer.model lies beside it, into the new
    `folder`; returns `folder`.
    """
    processor = sentencepiece.SentencePieceProcessor(
        model_file=str(checkpoint.with_name("tokenizer.model"))
    )
    pieces = [processor.id_to_piece(i) for i in range(processor.get_piece_size())]
    return convert_model(load_model(checkpoint)[0], pieces, folder, alignment_layer)


def convert_model(
    model: Transformer, pieces: Sequence[str], folder: Path, alignment_layer: int = -1
) -> Path:
    """Writes `model`, whose vocabulary is `pieces`, into the new `folder`; returns `folder`.

    Attention asked for is the mean over all heads of decoder layer `alignment_layer`.
    """
    config = model.config
    spec = transformer_spec.TransformerSpec.from_config(
        (config.num_encoder_layers, config.num_decoder_layers),
        config.num_heads,
        pre_norm=config.norm == "pre",
        activation=common_spec.Activation.RELU,
        alignment_layer=alignment_layer,
        alignment_heads=0,  # all of them
    )
    _set_encoder(spec.encoder, model)
    _set_decoder(spec.decoder, model)
    spec.config.layer_norm_epsilon = 1e-5
    spec.config.unk_token = pieces[UNK_ID]
    spec.config.bos_token = pieces[config.bos_id]
    spec.config.eos_token = pieces[config.eos_id]
    spec.config.decoder_start_token = pieces[config.bos_id]
    spec.register_source_vocabulary(list(pieces))
    spec.register_target_vocabulary(list(pieces))
    spec.validate()
    spec.optimize(quantization="float32")
    folder.mkdir(parents=True)
    spec.save(str(folder))
    return folder


def _array(tensor: Tensor) -> np.ndarray:
    return tensor.detach().float().numpy()


def _set_encoder(spec: transformer_spec.TransformerEncoderSpec, model: Transformer) -> None:
    spec.embeddings[0].weight = _array(model.embedding.words.weight)
    spec.scale_embeddings = True
    _set_positions(spec.position_encodings, model)
    for layer_spec, layer in zip(spec.layer, model.encoder_layers, strict=True):
        layer = cast(EncoderLayer, layer)
        _set_self_attention(layer_spec.self_attention, layer.self_attention)
        _set_norm(layer_spec.self_attention.layer_norm, layer.self_attention_norm.norm)
        _set_feed_forward(layer_spec.ffn, layer.feed_forward, layer.feed_forward_norm.norm)
    if model.config.norm == "pre":
        _set_norm(spec.layer_norm, cast(nn.LayerNorm, model.encoder_norm))


def _set_decoder(spec: transformer_spec.TransformerDecoderSpec, model: Transformer) -> None:
    spec.embeddings.weight = _array(model.embedding.words.weight)
    spec.scale_embeddings = True
    spec.start_from_zero_embedding = False
    _set_positions(spec.position_encodings, model)
    for layer_spec, layer in zip(spec.layer, model.decoder_layers, strict=True):
        layer = cast(DecoderLayer, layer)
        _set_self_attention(layer_spec.self_attention, layer.self_attention)
        _set_norm(layer_spec.self_attention.layer_norm, layer.self_attention_norm.norm)
        _set_cross_attention(layer_spec.attention, layer.cross_attention)
        _set_norm(layer_spec.attention.layer_norm, layer.cross_attention_norm.norm)
        _set_feed_forward(layer_spec.ffn, layer.feed_forward, layer.feed_forward_norm.norm)
    if model.config.norm == "pre":
        _set_norm(spec.layer_norm, cast(nn.LayerNorm, model.decoder_norm))
    _set_linear(spec.projection, model.output)


def _set_positions(spec: transformer_spec.PositionEncoderSpec, model: Transformer) -> None:
    """CTranslate2's own sinusoids put all sines first, so the table is always given."""
    positions = model.embedding.positions
    if isinstance(positions, PositionalEncoding):
        spec.encodings = _array(positions.table)
    else:
        spec.encodings = _array(cast(LearnedPositionalEncoding, positions).embedding.weight)


def _set_self_attention(
    spec: transformer_spec.attention_spec.MultiHeadAttentionSpec, attention: MultiHeadAttention
) -> None:
    _set_linear(spec.linear[0], attention.w_q, attention.w_k, attention.w_v)
    _set_linear(spec.linear[1], attention.w_o)


def _set_cross_attention(
    spec: transformer_spec.attention_spec.MultiHeadAttentionSpec, attention: MultiHeadAttention
) -> None:
    _set_linear(spec.linear[0], attention.w_q)
    _set_linear(spec.linear[1], attention.w_k, attention.w_v)
    _set_linear(spec.linear[2], attention.w_o)


def _set_feed_forward(
    spec: transformer_spec.FeedForwardSpec, feed_forward: FeedForward, norm: nn.LayerNorm
) -> None:
    _set_norm(spec.layer_norm, norm)
    _set_linear(spec.linear_0, feed_forward.w_1)
    _set_linear(spec.linear_1, feed_forward.w_2)


def _set_linear(spec: common_spec.LinearSpec, *layers: nn.Linear) -> None:
    """Several layers of one input are one, their outputs side by side."""
    spec.weight = _array(torch.cat([layer.weight for layer in layers]))
    spec.bias = _array(torch.cat([layer.bias for layer in layers]))


def _set_norm(spec: common_spec.LayerNormSpec, norm: nn.LayerNorm) -> None:
    spec.gamma = _array(norm.weight)
    spec.beta = _array(norm.bias)
