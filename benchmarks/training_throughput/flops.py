"""Model FLOPs utilisation: the share of a GPU's peak that useful arithmetic takes.

The formula is that of Chowdhery et al. 2022 (PaLM, appendix B): a training step takes 6 FLOPs for
each token and parameter that stands in a matrix multiplication, 2 forward and 4 backward (Kaplan et
al. 2020, section 2.1), and attention 12 * D FLOPs a layer and pair of query and key: two products
of 2 * D, times 3 for forward and backward. Nothing is subtracted for causal masks, nothing counted
twice for recomputation. In an encoder-decoder, source tokens meet the encoder's matrices and the
decoder's W_K and W_V of cross-attention; target tokens meet all other matrices of the decoder and
the projection to the vocabulary. Padding is no useful work: lengths are those of the sentences.
"""

from __future__ import annotations

import re

from training.config import ModelConfig
from training.examples import Example

PEAK_TFLOPS = {
    "H200": 989.0,
    "H100 PCIe": 756.0,
    "H100": 989.0,
    "A100": 312.0,
    "L40S": 362.0,
    "L4": 121.0,
}
"""Dense matrix multiplication in bf16, 1e12 FLOP/s, by words of the GPU's name: the maker's data
sheets. The first whose words are all there counts."""


def peak_tflops(device_name: str) -> float | None:
    """The peak of the GPU `device_name`, None where it is unknown."""
    words = set(re.split(r"[\s-]+", device_name))
    return next((peak for name, peak in PEAK_TFLOPS.items() if words >= set(name.split())), None)


def training_flops(config: ModelConfig, num_source: int, num_target: int) -> int:
    """Of one example: `num_source` encoder positions, `num_target` decoder positions."""
    square, feed_forward = config.d_model**2, 2 * config.d_model * config.d_ff
    encoders, decoders = config.num_encoder_layers, config.num_decoder_layers
    on_source = encoders * (4 * square + feed_forward) + decoders * 2 * square
    on_target = decoders * (6 * square + feed_forward) + config.vocabulary_size * config.d_model
    pairs = encoders * num_source**2 + decoders * (num_target**2 + num_target * num_source)
    return 6 * (on_source * num_source + on_target * num_target) + 12 * config.d_model * pairs


def flops_per_target_token(config: ModelConfig, examples: list[Example]) -> float:
    """FLOPs of an epoch over the target tokens that count in its loss."""
    sizes = [(len(example.source), len(example.target) - 1) for example in examples]
    flops = sum(training_flops(config, source, target) for source, target in sizes)
    return flops / sum(target for _, target in sizes)


def utilisation(tokens_per_s: float, flops_per_token: float, peak_tflops: float) -> float:
    """Share of the peak, 0 to 1."""
    return tokens_per_s * flops_per_token / (peak_tflops * 1e12)
