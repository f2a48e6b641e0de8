"""torch's own Transformer layers with the weights of ours, to compare with."""

from __future__ import annotations

import torch
from torch import nn

from training.config import ModelConfig
from training.model import DecoderLayer, EncoderLayer, FeedForward, MultiHeadAttention, Transformer


def attention(ours: MultiHeadAttention) -> nn.MultiheadAttention:
    """torch's attention, its three input projections packed into one matrix."""
    d_model = ours.w_o.in_features
    theirs = nn.MultiheadAttention(d_model, ours.num_heads, batch_first=True)
    _copy_attention(ours, theirs)
    return theirs.eval()


def _copy_attention(ours: MultiHeadAttention, theirs: nn.MultiheadAttention) -> None:
    inputs = (ours.w_q, ours.w_k, ours.w_v)
    state = {
        "in_proj_weight": torch.cat([linear.weight for linear in inputs]),
        "in_proj_bias": torch.cat([linear.bias for linear in inputs]),
        "out_proj.weight": ours.w_o.weight,
        "out_proj.bias": ours.w_o.bias,
    }
    theirs.load_state_dict(state)


def _copy_feed_forward(ours: FeedForward, theirs: nn.Module) -> None:
    theirs.linear1.load_state_dict(ours.w_1.state_dict())
    theirs.linear2.load_state_dict(ours.w_2.state_dict())


def _arguments(config: ModelConfig) -> dict[str, object]:
    return {
        "d_model": config.d_model,
        "nhead": config.num_heads,
        "dim_feedforward": config.d_ff,
        "dropout": 0.0,
        "batch_first": True,
        "norm_first": config.norm == "pre",
    }


def encoder_layer(ours: EncoderLayer, config: ModelConfig) -> nn.TransformerEncoderLayer:
    theirs = nn.TransformerEncoderLayer(**_arguments(config))
    _copy_attention(ours.self_attention, theirs.self_attn)
    _copy_feed_forward(ours.feed_forward, theirs)
    theirs.norm1.load_state_dict(ours.self_attention_norm.norm.state_dict())
    theirs.norm2.load_state_dict(ours.feed_forward_norm.norm.state_dict())
    return theirs.eval()


def decoder_layer(ours: DecoderLayer, config: ModelConfig) -> nn.TransformerDecoderLayer:
    theirs = nn.TransformerDecoderLayer(**_arguments(config))
    _copy_attention(ours.self_attention, theirs.self_attn)
    _copy_attention(ours.cross_attention, theirs.multihead_attn)
    _copy_feed_forward(ours.feed_forward, theirs)
    theirs.norm1.load_state_dict(ours.self_attention_norm.norm.state_dict())
    theirs.norm2.load_state_dict(ours.cross_attention_norm.norm.state_dict())
    theirs.norm3.load_state_dict(ours.feed_forward_norm.norm.state_dict())
    return theirs.eval()


def transformer(ours: Transformer) -> nn.Transformer:
    """torch's stacks from embedded input to the decoder's output. Its own default ends in a norm
    even after post-norm layers, so its stacks are replaced.
    """
    config = ours.config
    encoder = nn.TransformerEncoder(
        encoder_layer(ours.encoder_layers[0], config), 1, enable_nested_tensor=False
    )
    encoder.layers = nn.ModuleList(encoder_layer(layer, config) for layer in ours.encoder_layers)
    decoder = nn.TransformerDecoder(decoder_layer(ours.decoder_layers[0], config), 1)
    decoder.layers = nn.ModuleList(decoder_layer(layer, config) for layer in ours.decoder_layers)
    encoder.num_layers, decoder.num_layers = len(encoder.layers), len(decoder.layers)
    if config.norm == "pre":
        encoder.norm, decoder.norm = ours.encoder_norm, ours.decoder_norm
    whole = nn.Transformer(config.d_model, config.num_heads, 1, 1, batch_first=True)
    whole.encoder, whole.decoder = encoder, decoder  # not as arguments: it would initialise them
    return whole.eval()
