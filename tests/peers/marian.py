"""Hugging Face's MarianMTModel with random weights, the same weights in our Transformer, and its
`generate`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import GenerationConfig, MarianConfig, MarianMTModel

from tests.peers import PeerHypothesis
from training.checkpoint import load_model_tensors
from training.config import ModelConfig
from training.model import Transformer

SHAPE = ModelConfig(
    vocabulary_size=64,
    d_model=64,
    num_heads=4,
    d_ff=128,
    num_encoder_layers=2,
    num_decoder_layers=2,
    dropout=0.0,
    positions="learned",
    max_length=64,
)
"""Positions are `learned` so that Marian's table, whose sines and cosines lie otherwise than ours,
can be copied as weights.
"""
NEVER = -1e9
"""Logit bias of what cannot be chosen."""
EMBEDDING_SCALE = 0.8
"""Deviation of a scaled embedding's features."""
LOGIT_SCALE = 1.5
"""Deviation of logits over the vocabulary."""


@dataclass(frozen=True)
class MarianOptions:
    """Arguments of `generate`; whatever else a generation config can switch on is off."""

    max_new_tokens: int
    """The end of sentence counts, a prompt does not."""
    min_new_tokens: int = 0
    num_beams: int = 1
    num_return_sequences: int = 1
    length_penalty: float = 1.0
    early_stopping: bool | str = False
    """True, False or "never"."""
    no_repeat_ngram_size: int = 0
    repetition_penalty: float = 1.0
    is_renormalized: bool = False
    """Whether what remains after a constraint shares the probability of what it forbids."""


def random_marian(
    shape: ModelConfig = SHAPE, seed: int = 1, eos_bias: float = 2.5
) -> MarianMTModel:
    """A model of `shape` whose translations differ from source to source and end at all lengths,
    the earlier the larger `eos_bias`.
    """
    model = MarianMTModel(_marian_config(shape)).eval()
    model.generation_config = GenerationConfig()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "embed_positions" not in name:
                parameter.copy_(_random_weight(name, parameter, generator))
        model.final_logits_bias.zero_()
        model.final_logits_bias[0, [shape.pad_id, shape.bos_id]] = NEVER
        model.final_logits_bias[0, shape.eos_id] = eos_bias
        _spread(model, shape, generator)
    return model


def to_transformer(marian: MarianMTModel, shape: ModelConfig = SHAPE) -> Transformer:
    """Our model with the weights of `marian`."""
    model = Transformer(shape)
    state = marian.state_dict()
    tensors = {
        "embedding.words.weight": state["model.shared.weight"],
        "embedding.positions.embedding.weight": state["model.encoder.embed_positions.weight"],
        "output.bias": state["final_logits_bias"][0],
    }
    for side in ("encoder", "decoder"):
        for i in range(len(getattr(model, f"{side}_layers"))):
            for ours, theirs in _layer_names(side).items():
                for kind in ("weight", "bias"):
                    source = state[f"model.{side}.layers.{i}.{theirs}.{kind}"]
                    tensors[f"{side}_layers.{i}.{ours}.{kind}"] = source
    load_model_tensors(model, tensors)
    return model.eval()


def random_sources(count: int, shape: ModelConfig = SHAPE, seed: int = 1) -> list[list[int]]:
    """`count` sources of 3 to 10 tokens, the end of sentence last; none has unknown tokens."""
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.randint(2, 10, (count,), generator=generator).tolist()
    return [
        [*torch.randint(4, shape.vocabulary_size, (n,), generator=generator).tolist(), shape.eos_id]
        for n in lengths
    ]


def generate(
    model: MarianMTModel,
    sources: Sequence[Sequence[int]],
    options: MarianOptions,
    prompts: Sequence[Sequence[int]] | None = None,
) -> list[list[PeerHypothesis]]:
    """The best translations of each of `sources`, each after its own forced prefix in `prompts`.

    Sources whose lengths agree share a batch, so that nothing is ever padded. A score is that of
    `sequences_scores`; where `num_beams` is 1, which has none, it is made likewise of the model's
    own log-probabilities.
    """
    prompts = prompts or [()] * len(sources)
    groups: dict[tuple[int, int], list[int]] = {}
    for i, (source, prompt) in enumerate(zip(sources, prompts, strict=True)):
        groups.setdefault((len(source), len(prompt)), []).append(i)
    found: dict[int, list[PeerHypothesis]] = {}
    for rows in groups.values():
        batch = _generate_batch(
            model, [sources[i] for i in rows], [prompts[i] for i in rows], options
        )
        found.update(zip(rows, batch, strict=True))
    return [found[i] for i in range(len(sources))]


def _marian_config(shape: ModelConfig) -> MarianConfig:
    return MarianConfig(
        vocab_size=shape.vocabulary_size,
        d_model=shape.d_model,
        encoder_layers=shape.num_encoder_layers,
        decoder_layers=shape.num_decoder_layers,
        encoder_attention_heads=shape.num_heads,
        decoder_attention_heads=shape.num_heads,
        encoder_ffn_dim=shape.d_ff,
        decoder_ffn_dim=shape.d_ff,
        activation_function="relu",
        max_position_embeddings=shape.max_length,
        dropout=0.0,
        scale_embedding=True,
        share_encoder_decoder_embeddings=True,
        tie_word_embeddings=True,
        pad_token_id=shape.pad_id,
        bos_token_id=shape.bos_id,
        eos_token_id=shape.eos_id,
        decoder_start_token_id=shape.bos_id,
        forced_eos_token_id=None,
        attn_implementation="eager",
    )


def _random_weight(name: str, parameter: Tensor, generator: torch.Generator) -> Tensor:
    """Larger than a model would start with: sublayers must outweigh the residual, else tied
    embeddings repeat the last token for ever, and attention must be sharp to see the source.
    """
    noise = torch.randn(parameter.shape, generator=generator)
    if parameter.dim() == 1:
        return 0.2 * noise
    if name == "model.shared.weight":
        return EMBEDDING_SCALE * noise / math.sqrt(parameter.size(1))
    is_sharp = "q_proj" in name or "k_proj" in name
    return (3.0 if is_sharp else 1.5) * noise * math.sqrt(2 / sum(parameter.shape))


def _spread(model: MarianMTModel, shape: ModelConfig, generator: torch.Generator) -> None:
    """Sets every norm so that over random tokens each feature has mean 0 and deviation 1, which
    leaves no feature constant: a constant one prefers the same tokens everywhere. The last norm
    widens the logits.
    """
    last = model.model.decoder.layers[-1].final_layer_norm

    def whiten(norm: nn.LayerNorm, inputs: tuple[Tensor], _output: Tensor) -> Tensor:
        normal = F.layer_norm(inputs[0], norm.normalized_shape, eps=norm.eps)  # (B, T, D)
        mean, deviation = normal.mean((0, 1)), normal.std((0, 1))  # (D,), (D,)
        norm.weight.copy_((LOGIT_SCALE / EMBEDDING_SCALE if norm is last else 1.0) / deviation)
        norm.bias.copy_(-mean * norm.weight)
        return normal * norm.weight + norm.bias

    hooks = [
        module.register_forward_hook(whiten)
        for module in model.modules()
        if isinstance(module, nn.LayerNorm)
    ]
    source = torch.randint(3, shape.vocabulary_size, (32, 10), generator=generator)  # (B, S)
    target = torch.randint(3, shape.vocabulary_size, (32, 20), generator=generator)  # (B, T)
    source[:, -1], target[:, 0] = shape.eos_id, shape.bos_id
    model(input_ids=source, decoder_input_ids=target)
    for hook in hooks:
        hook.remove()


def _layer_names(side: str) -> dict[str, str]:
    """Our name of each projection and norm of a layer, to Marian's."""
    attentions = {"self_attention": "self_attn"}
    if side == "decoder":
        attentions["cross_attention"] = "encoder_attn"
    names = {
        "feed_forward.w_1": "fc1",
        "feed_forward.w_2": "fc2",
        "feed_forward_norm.norm": "final_layer_norm",
    }
    for ours, theirs in attentions.items():
        names[f"{ours}_norm.norm"] = f"{theirs}_layer_norm"
        for letter in ("q", "k", "v"):
            names[f"{ours}.w_{letter}"] = f"{theirs}.{letter}_proj"
        names[f"{ours}.w_o"] = f"{theirs}.out_proj"
    return names


def _generation_config(model: MarianMTModel, options: MarianOptions) -> GenerationConfig:
    """`generate` fills what is None here from the model's own config, which random_marian leaves
    empty; so what it must not do is off twice.
    """
    beams: dict[str, Any] = {}
    if options.num_beams > 1:
        beams = {
            "num_return_sequences": options.num_return_sequences,
            "length_penalty": options.length_penalty,
            "early_stopping": options.early_stopping,
        }
    return GenerationConfig(
        do_sample=False,
        num_beams=options.num_beams,
        max_new_tokens=options.max_new_tokens,
        min_new_tokens=options.min_new_tokens,
        no_repeat_ngram_size=options.no_repeat_ngram_size,
        repetition_penalty=options.repetition_penalty,
        renormalize_logits=options.is_renormalized,
        bad_words_ids=None,
        forced_bos_token_id=None,
        forced_eos_token_id=None,
        suppress_tokens=None,
        begin_suppress_tokens=None,
        pad_token_id=model.config.pad_token_id,
        bos_token_id=model.config.bos_token_id,
        eos_token_id=model.config.eos_token_id,
        decoder_start_token_id=model.config.decoder_start_token_id,
        return_dict_in_generate=True,
        output_scores=True,
        output_logits=True,
        **beams,
    )


def _generate_batch(
    model: MarianMTModel,
    sources: Sequence[Sequence[int]],
    prompts: Sequence[Sequence[int]],
    options: MarianOptions,
) -> list[list[PeerHypothesis]]:
    """As `generate`, for sources of one length and prompts of one length."""
    source = torch.tensor([list(s) for s in sources])  # (B, S)
    start = model.config.decoder_start_token_id
    prompt = torch.tensor([[start, *p] for p in prompts])  # (B, 1 + P)
    output = model.generate(
        source,
        attention_mask=torch.ones_like(source),
        decoder_input_ids=prompt,
        generation_config=_generation_config(model, options),
    )
    generated = output.sequences[:, prompt.size(1) :].tolist()  # (B * R, T)
    tokens = [_cut(row, model.config.eos_token_id) for row in generated]
    if options.num_beams > 1:
        scores = output.sequences_scores.tolist()
    else:
        scores = _greedy_scores(output.logits, tokens, options.length_penalty)
    hypotheses = [PeerHypothesis(*pair) for pair in zip(tokens, scores, strict=True)]
    each = options.num_return_sequences
    return [hypotheses[i : i + each] for i in range(0, len(hypotheses), each)]


def _cut(tokens: list[int], eos_id: int) -> tuple[int, ...]:
    return tuple(tokens[: tokens.index(eos_id) + 1] if eos_id in tokens else tokens)


def _greedy_scores(
    logits: Sequence[Tensor], tokens: Sequence[tuple[int, ...]], length_penalty: float
) -> list[float]:
    """`logits` float (B, V) each of T steps; one score for each of B `tokens`."""
    log_probs = torch.log_softmax(torch.stack(list(logits)), dim=-1)  # (T, B, V)
    sums = [
        sum(float(log_probs[t, b, token]) for t, token in enumerate(row))
        for b, row in enumerate(tokens)
    ]
    return [total / len(row) ** length_penalty for total, row in zip(sums, tokens, strict=True)]
