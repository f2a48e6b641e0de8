"""Every number that the pages about the Transformer show, by name, as it is written there.

Nothing here is in a language: one text serves every page.
"""

from __future__ import annotations

import math
from functools import cache

import torch
from torch import Tensor

from docs.drawing import attention, inputs, layers
from docs.drawing.ablations import agreements
from docs.drawing.sample import SENTENCE_LANGUAGE, SENTENCES, Sample
from training.tokenizer import language_tag

PADDINGS = 8
"""After each source, while the weight on padding is measured."""
WINDOW = 3
"""Width of the convolution that attention is compared with."""


@cache
def measure(sample: Sample, checkpoint: str) -> dict[str, str]:
    """All values of the model in the checkpoint that is to be called `checkpoint`."""
    kept = {f"kept_without_{part}": percent(x) for part, x in agreements(sample).items()}
    return {
        "checkpoint": checkpoint,
        **shape(sample),
        **auto_encoder(sample),
        **embedding(sample),
        **positions(sample),
        **scores(sample),
        **heads(sample),
        **masks(sample),
        **sublayers(sample),
        **cross_attention(sample),
        **softmax(sample),
        **convolution(sample),
        **kept,
    }


def percent(share: float) -> str:
    """`share` of 1, with one decimal."""
    return f"{100 * share:.1f} %"


def bounded(difference: float) -> str:
    """`difference` itself where it is more than rounding could make it."""
    return "< 0.0001" if difference < 1e-4 else f"{difference:.4f}"


def exactly(share: float) -> str:
    """`0` for nothing but 0."""
    return "0" if share == 0 else f"{share:.2e}"


def shape(sample: Sample) -> dict[str, str]:
    """Sizes, and what was looked at."""
    config, data = sample.model.config, sample.config.data
    num_parameters = sum(parameter.numel() for parameter in sample.model.parameters())
    num_positions = sum(len(pair.source) for pair in sample.pairs)
    return {
        "languages": ", ".join(data.languages),
        "num_directions": str(len(data.learned_directions())),
        "num_denoised": str(len(data.denoised_languages())),
        "vocabulary_size": f"{config.vocabulary_size:,}",
        "d_model": str(config.d_model),
        "num_heads": str(config.num_heads),
        "d_head": str(config.d_model // config.num_heads),
        "d_ff": str(config.d_ff),
        "num_encoder_layers": str(config.num_encoder_layers),
        "num_decoder_layers": str(config.num_decoder_layers),
        "norm": config.norm,
        "activation": f"`{config.activation}`",
        "num_parameters": f"{num_parameters:,}",
        "num_sentences": str(len(SENTENCES)),
        "num_positions": str(num_positions),
        "mean_length": f"{num_positions / len(SENTENCES):.1f}",
        "source_language": SENTENCE_LANGUAGE,
        "source_tag": f"`{language_tag(SENTENCE_LANGUAGE)}`",
        "target_language": sample.target_language,
        "example_source": SENTENCES[0],
        "example_target": sample.tokenizer.decode(sample.pairs[0].target),
    }


def auto_encoder(sample: Sample) -> dict[str, str]:
    """The model asked for the language it reads."""
    found = inputs.reconstructions(sample)[SENTENCE_LANGUAGE]
    config = sample.model.config
    mean_length = sum(len(pair.source) for pair in sample.pairs) / len(sample.pairs)
    return {
        "copied": f"{found.copied:.1f}",
        "num_copied": str(found.num_copied),
        "num_in_language": str(found.num_in_language),
        "restored": f"{found.restored:.1f}",
        "corrupted": f"{found.corrupted:.1f}",
        "returned": f"{found.returned:.1f}",
        "other": f"{found.other:.1f}",
        "mask_ratio": percent(sample.config.data.mask_ratio),
        "memory_numbers": f"{round(mean_length * config.d_model):,}",
    }


def embedding(sample: Sample) -> dict[str, str]:
    """Lengths, cosines and neighbours of the table's rows."""
    lengths = sample.model.embedding.words.weight.detach().norm(dim=-1)  # (V,)
    same, different = inputs.concept_cosines(sample)
    found = {
        "embedding_length": f"{float(lengths.mean()):.2f}",
        "embedding_scale": f"{sample.model.embedding.scale:.1f}",
        "scaled_length": f"{float(lengths.mean()) * sample.model.embedding.scale:.1f}",
        "position_length": f"{float(inputs.position_table(sample).norm(dim=-1).mean()):.1f}",
        "same_concept_cosine": f"{same:.2f}",
        "different_concept_cosine": f"{different:.2f}",
        "embedding_share": percent(layers.parameter_shares(sample)["embedding"]),
    }
    for number, row in enumerate(inputs.known_words(sample)[:4], start=1):
        word, token = row[0]
        found[f"probe_{number}"] = word
        found[f"neighbours_{number}"] = ", ".join(inputs.neighbours(sample, token, 4))
    return found


def positions(sample: Sample) -> dict[str, str]:
    """Cosines near and far, and what positions are for."""
    cosines = inputs.position_cosines(sample)
    near = {f"position_cosine_{k}": f"{float(cosines[k]):.2f}" for k in (1, 4, 16, 48)}
    without, with_positions = inputs.shuffle_effects(sample)
    return {
        **near,
        "shuffled_without_positions": bounded(without),
        "shuffled_with_positions": f"{with_positions:.2f}",
    }


def scores(sample: Sample) -> dict[str, str]:
    """Attention with and without the division by sqrt(K)."""
    raw = attention.encoder_products(sample)
    width = sample.model.config.d_model // sample.model.config.num_heads
    scaled = [(product / math.sqrt(width)).softmax(-1) for product in raw]
    sharp = [product.softmax(-1) for product in raw]

    def largest(weights: Tensor) -> Tensor:
        return weights.max(-1).values

    def slope(weights: Tensor) -> Tensor:
        return 1 - weights.square().sum(-1)

    return {
        "sqrt_d_head": f"{math.sqrt(width):.2f}",
        "product_deviation": f"{float(torch.cat([x.flatten() for x in raw]).std()):.1f}",
        "score_deviation": f"{float(torch.cat([x.flatten() for x in raw]).std()) / width**0.5:.2f}",
        "largest_weight": percent(attention.over_rows(largest, scaled)),
        "largest_weight_unscaled": percent(attention.over_rows(largest, sharp)),
        "softmax_slope": f"{attention.over_rows(slope, scaled):.2f}",
        "softmax_slope_unscaled": f"{attention.over_rows(slope, sharp):.2f}",
        "largest_score": f"{max(float(x.abs().max()) for x in raw) / width**0.5:.1f}",
    }


def heads(sample: Sample) -> dict[str, str]:
    """How broadly heads look, and how differently."""
    entropies = attention.head_entropies(sample)
    uniform = sum(len(p.source) * math.log(len(p.source)) for p in sample.pairs)
    return {
        "entropy_mean": f"{float(entropies.mean()):.2f}",
        "entropy_least": f"{float(entropies.min()):.2f}",
        "entropy_most": f"{float(entropies.max()):.2f}",
        "entropy_uniform": f"{uniform / sum(len(p.source) for p in sample.pairs):.2f}",
        "head_difference": percent(attention.head_differences(sample)),
    }


def masks(sample: Sample) -> dict[str, str]:
    """What masked positions get."""
    padding, later = attention.unseen_shares(sample, PADDINGS)
    return {
        "padding_share": exactly(padding),
        "later_share": exactly(later),
        "padding_effect": bounded(attention.padding_effect(sample)),
    }


def sublayers(sample: Sample) -> dict[str, str]:
    """Add & Norm and feed-forward."""
    found = layers.sublayers(sample)
    activities = torch.cat(list(layers.unit_activities(sample).values()))
    shares = layers.parameter_shares(sample)
    return {
        "num_sublayers": str(len(found)),
        "added_ratio": f"{sum(x.ratio for x in found) / len(found):.2f}",
        "residual_cosine": f"{sum(x.cosine for x in found) / len(found):.2f}",
        "inactive_share": percent(1 - float(activities.mean())),
        "never_active_share": percent(float((activities == 0).float().mean())),
        "feed_forward_share": percent(shares["feed_forward"]),
        "attention_share": percent(shares["attention"]),
    }


def cross_attention(sample: Sample) -> dict[str, str]:
    """What the decoder reads of the source."""
    tag, text, end = attention.cross_shares(sample)
    return {
        "cross_tag": percent(tag),
        "cross_text": percent(text),
        "cross_end": percent(end),
        "cross_correlation": f"{attention.cross_correlation(sample):.2f}",
    }


def softmax(sample: Sample) -> dict[str, str]:
    """How sure the model is of its next token."""
    steps = layers.step_probabilities(sample)
    top = steps.topk(5, dim=-1).values
    return {
        "num_steps": str(len(steps)),
        "top_1": percent(float(top[:, 0].mean())),
        "top_5": percent(float(top.sum(-1).mean())),
        "softmax_perplexity": f"{float(attention.entropy(steps).mean().exp()):.2f}",
        "label_smoothing": str(sample.config.train.label_smoothing),
        "smoothed_target": percent(layers.smoothed_target(sample)),
        "tied_numbers": f"{sample.model.embedding.words.weight.numel():,}",
    }


def convolution(sample: Sample) -> dict[str, str]:
    """Attention against a window."""
    distances, uniform = attention.mean_distances(sample)
    near, near_uniform = attention.share_within(sample, WINDOW // 2)
    depth = sample.model.config.num_encoder_layers
    mean_length = sum(len(pair.source) for pair in sample.pairs) / len(sample.pairs)
    fits = attention.kernel_fits(sample)
    return {
        "window": str(WINDOW),
        "stacked_window": str(1 + depth * (WINDOW - 1)),
        "mean_distance": f"{float(distances.mean()):.2f}",
        "mean_distance_least": f"{float(distances.min()):.2f}",
        "mean_distance_most": f"{float(distances.max()):.2f}",
        "mean_distance_uniform": f"{uniform:.2f}",
        "window_distance": f"{(WINDOW // 2) * (WINDOW // 2 + 1) / WINDOW:.2f}",
        "window_share": percent(near),
        "window_share_uniform": percent(near_uniform),
        "beyond_stack_share": percent(1 - attention.share_within(sample, depth)[0]),
        "kernel_fit_mean": percent(float(fits.mean())),
        "kernel_fit_most": percent(float(fits.max())),
        "kernel_fit_least": percent(float(fits.min())),
        "break_even": str(2 * sample.model.config.d_model),
        "quadratic_share": percent(mean_length / (mean_length + 2 * sample.model.config.d_model)),
    }
