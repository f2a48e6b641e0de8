"""Draws every figure of the pages about the Transformer from a sample, as SVG that is the same each
time.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import colormaps, rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from docs.drawing import attention, inputs, layers
from docs.drawing.sample import Sample
from docs.drawing.values import PADDINGS, WINDOW
from training.attention import attention_maps

STYLE: Any = {
    "svg.hashsalt": "attendant",  # ids in the file depend on nothing else
    "svg.fonttype": "none",  # text stays text
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans", "Verdana", "Arial"],  # whoever shows it has one of them
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "image.cmap": "Blues",
    "image.interpolation": "none",  # a pixel a number, scaled by whoever shows it
}
WIDTH = 7.2
"""Of every figure, in inches."""


def draw_figures(sample: Sample, folder: Path) -> None:
    """Writes FIGURES into `folder`, each NAME.svg."""
    folder.mkdir(parents=True, exist_ok=True)
    with rc_context(STYLE):
        for name, draw in FIGURES.items():
            figure = draw(sample)
            path = folder / f"{name}.svg"
            figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None})


def auto_encoder(sample: Sample) -> Figure:
    """ChrF of what each language's sentences become."""
    found = inputs.reconstructions(sample)
    bars = {
        "asked for its own language": "copied",
        "the same, with pieces hidden": "restored",
        "hidden pieces, no model": "corrupted",
        "to another language and back": "returned",
        "left in the other language": "other",
    }
    figure, axes = _figure(2.4)
    for number, (label, field) in enumerate(bars.items()):
        heights = [getattr(reconstruction, field) for reconstruction in found.values()]
        axes.bar(np.arange(len(found)) + 0.16 * (number - 2), heights, 0.15, label=label)
    axes.set_xticks(range(len(found)), list(found))
    axes.set_ylim(0, 100)
    axes.set_ylabel("chrF against the sentence itself")
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def embedding(sample: Sample) -> Figure:
    """Cosines of words for the same concepts in all languages."""
    rows = inputs.known_words(sample)
    words = [word for row in rows for word, _ in row]
    ids = [found for row in rows for _, found in row]
    cosines = inputs.embedding_cosines(sample, ids)[:, ids]
    figure, axes = _figure(4.6)
    image = axes.imshow(cosines.numpy(), vmin=-0.2, vmax=0.8)
    _label(axes, words, words)
    for edge in np.cumsum([len(row) for row in rows])[:-1]:
        axes.axhline(edge - 0.5, color="white", linewidth=2)
        axes.axvline(edge - 0.5, color="white", linewidth=2)
    figure.colorbar(image, ax=axes, label="cosine of two rows", shrink=0.7)
    return figure


def positions(sample: Sample) -> Figure:
    """The table, and how alike two positions are."""
    figure = Figure(figsize=(WIDTH, 2.6), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(3, 2))
    image = left.imshow(
        inputs.position_table(sample).numpy(), cmap=colormaps["RdBu"].resampled(15), aspect="auto"
    )
    left.set_xlabel("dimension")
    left.set_ylabel("position")
    figure.colorbar(image, ax=left)
    right.plot(inputs.position_cosines(sample).numpy())
    right.set_xlabel("distance of two positions")
    right.set_ylabel("cosine of their encodings")
    right.set_ylim(0, 1.02)
    return figure


def scaled_attention(sample: Sample) -> Figure:
    """Scores, weights, and weights without the division, of one head over one sentence."""
    products = attention.encoder_products(sample)[0][-1]  # (H, S, S)
    weights = sample.pairs[0].maps.encoder[-1]  # (H, S, S)
    head = int(attention.entropy(weights).mean(-1).argmax())
    scale = math.sqrt(sample.model.config.d_model // sample.model.config.num_heads)
    labels = sample.spell(sample.pairs[0].source)
    panels = {
        "scores: QK\N{MODIFIER LETTER CAPITAL T} / \N{SQUARE ROOT}K": products[head] / scale,
        "weights, their softmax": weights[head],
        "weights without the division": products[head].softmax(-1),
    }
    figure = Figure(figsize=(WIDTH, 2.9), layout="constrained")
    for number, (axes, (title, matrix)) in enumerate(
        zip(figure.subplots(1, 3), panels.items(), strict=True)
    ):
        axes.imshow(
            matrix.numpy(), cmap="Blues" if number else "RdBu_r", **_limits(matrix, number == 0)
        )
        axes.set_title(title)
        _label(axes, labels, labels if number == 0 else [])
    return figure


def heads(sample: Sample) -> Figure:
    """What every encoder head looks at in one sentence."""
    weights = sample.pairs[0].maps.encoder  # (L, H, S, S)
    entropies = attention.head_entropies(sample)
    depth, num_heads = entropies.shape
    figure = Figure(figsize=(WIDTH, WIDTH / num_heads * depth * 1.06), layout="constrained")
    grid = figure.subplots(depth, num_heads, squeeze=False)
    for layer, row in enumerate(grid):
        for head, axes in enumerate(row):
            axes.imshow(weights[layer, head].numpy(), vmin=0, vmax=1)
            axes.set_title(f"{layer + 1}.{head + 1}: {float(entropies[layer, head]):.2f} nats")
            axes.set_axis_off()
    return figure


def masks(sample: Sample) -> Figure:
    """The first layers' weights, means of heads, under both masks: padding at the end of a source,
    later positions of a target.
    """
    pair = sample.pairs[2]
    padded = pair.source + [sample.model.config.pad_id] * PADDINGS
    maps = attention_maps(sample.model, padded, pair.target)
    source, target = sample.spell(padded), sample.spell(pair.target)
    figure = Figure(figsize=(WIDTH, 3.4), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(len(source), len(target)))
    real = slice(len(pair.source))
    left.imshow(_seen(maps.encoder[0].mean(0)[real]))
    left.set_title("encoder: padding is masked")
    _label(left, source, source[real])
    right.imshow(_seen(maps.decoder[0].mean(0)))
    right.set_title("decoder: later positions are masked")
    _label(right, target, target)
    for axes in (left, right):
        axes.set_facecolor("#f3d9d3")  # what a mask hides
    return figure


def add_norm(sample: Sample) -> Figure:
    """How much each sublayer adds, and how much of its input stays."""
    found = layers.sublayers(sample)
    figure, axes = _figure(3.2)
    places = np.arange(len(found))
    axes.barh(places - 0.2, [x.ratio for x in found], 0.38, label="length added / length of input")
    axes.barh(places + 0.2, [x.cosine for x in found], 0.38, label="cosine of input and output")
    axes.set_yticks(places, [_sublayer_name(x.name) for x in found])
    axes.invert_yaxis()
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def feed_forward(sample: Sample) -> Figure:
    """How often each hidden unit is active, layer by layer."""
    figure, axes = _figure(2.6)
    for name, activity in layers.unit_activities(sample).items():
        quantiles = np.linspace(0, 1, 65)
        heights = np.quantile(activity.numpy(), 1 - quantiles)
        is_encoder = name.startswith("encoder")
        axes.plot(quantiles, heights, "-" if is_encoder else "--", label=_sublayer_name(name))
    axes.set_xlabel("hidden units of a layer, the most active first")
    axes.set_ylabel("share of positions where active")
    axes.set_xlim(0, 1)
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def cross_attention(sample: Sample) -> Figure:
    """Where the model looks while it chooses each token of a translation."""
    pair = sample.pairs[0]
    chosen = [*pair.target[1:], sample.model.config.eos_id]
    figure, axes = _figure(4.4)
    image = axes.imshow(attention.cross_attention(sample, 0).numpy(), vmin=0, vmax=1)
    _label(axes, sample.spell(pair.source), sample.spell(chosen))
    axes.set_ylabel("token being chosen")
    axes.set_xlabel("source")
    figure.colorbar(image, ax=axes, label="weight, mean of heads, last layer", shrink=0.7)
    return figure


def softmax(sample: Sample) -> Figure:
    """The five most probable tokens at each step of one translation."""
    top = layers.probabilities(sample, sample.pairs[0]).topk(5, dim=-1)
    figure, axes = _figure(3.2)
    below = np.zeros(len(top.values))
    for rank in range(5):
        heights = top.values[:, rank].numpy()
        axes.bar(range(len(heights)), heights, bottom=below, label=f"rank {rank + 1}")
        below = below + heights
    first, second = (sample.spell(top.indices[:, rank].tolist()) for rank in (0, 1))
    names = [f"{a} ({b})" for a, b in zip(first, second, strict=True)]
    axes.set_xticks(range(len(names)), names, rotation=60, ha="right", rotation_mode="anchor")
    axes.axhline(layers.smoothed_target(sample), color="black", linewidth=0.8, linestyle=":")
    axes.set_ylabel("probability")
    axes.set_ylim(0, 1)
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def convolution(sample: Sample) -> Figure:
    """Heads as kernels over offsets, and how well a fixed kernel explains each."""
    kernels, fits = attention.kernels(sample), attention.kernel_fits(sample)
    figure = Figure(figsize=(WIDTH, 2.8), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(3, 2))
    places = range(-attention.MAX_OFFSET, attention.MAX_OFFSET + 1)
    left.axvspan(-WINDOW / 2, WINDOW / 2, color="#f3d9d3", label=f"a window of {WINDOW}")
    for layer, rows in enumerate(kernels):
        for head, row in enumerate(rows):
            label = f"heads of layer {layer + 1}" if head == 0 else None
            left.plot(places, row.numpy(), color=f"C{layer}", linewidth=0.8, label=label)
    left.set_xlabel("offset of key from query")
    left.set_ylabel("mean weight")
    left.legend(fontsize=6)
    image = right.imshow(fits.numpy(), vmin=0, vmax=1)
    for (layer, head), fit in np.ndenumerate(fits.numpy()):
        color = "white" if fit > 0.5 else "black"
        right.text(head, layer, f"{fit:.2f}", ha="center", va="center", color=color)
    right.set_xticks(range(fits.size(1)), range(1, fits.size(1) + 1))
    right.set_yticks(range(fits.size(0)), range(1, fits.size(0) + 1))
    right.set_xlabel("head")
    right.set_ylabel("layer")
    right.set_title("variance that a fixed kernel explains")
    figure.colorbar(image, ax=right, shrink=0.8)
    return figure


FIGURES: dict[str, Callable[[Sample], Figure]] = {
    "auto_encoder": auto_encoder,
    "embedding": embedding,
    "positions": positions,
    "scaled_attention": scaled_attention,
    "heads": heads,
    "masks": masks,
    "add_norm": add_norm,
    "feed_forward": feed_forward,
    "cross_attention": cross_attention,
    "softmax": softmax,
    "convolution": convolution,
}


def _figure(height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    return figure, figure.subplots()


def _label(axes: Axes, columns: Sequence[str], rows: Sequence[str]) -> None:
    axes.set_xticks(range(len(columns)), columns, rotation=90)
    axes.set_yticks(range(len(rows)), rows)


def _limits(matrix: Tensor, is_signed: bool) -> dict[str, float]:
    largest = float(matrix.abs().max())
    return {"vmin": -largest, "vmax": largest} if is_signed else {"vmin": 0, "vmax": 1}


def _seen(weights: Tensor) -> np.ndarray:
    """Not a number where the weight is exactly 0, so that the background shows."""
    return weights.where(weights > 0, math.nan).numpy()


def _sublayer_name(name: str) -> str:
    """`encoder_layers.0.self_attention_norm` as `encoder 1, self attention`."""
    stack, number, part = name.split(".")
    part = part.removesuffix("_norm").replace("_", " ")
    return f"{stack.removesuffix('_layers')} {int(number) + 1}, {part}"
