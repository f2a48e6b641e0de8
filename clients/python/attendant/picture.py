"""How a translation looks in a notebook: its text and, where it was asked for, its alignment."""

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from attendant.translation import Alignment

_CHARACTER, _GAP, _LINE, _BETWEEN = 8.0, 14.0, 20.0, 64.0
"""Pixels: width of a character, space between tokens, height of a line, and between the two."""
_FAINTEST = 0.08


def draw_alignment(alignment: "Alignment") -> str:
    """Returns an SVG: the source's tokens above, the translation's below, and from each of these a
    line to the one it attends to most, the stronger the more it does.
    """
    source, target = _centres(alignment.source_tokens), _centres(alignment.target_tokens)
    top, bottom = _LINE, _LINE + _BETWEEN
    lines = [
        f'<line x1="{source[link.source]:.0f}" y1="{top + 4:.0f}" x2="{target[link.target]:.0f}"'
        f' y2="{bottom - 14:.0f}" opacity="{max(link.weight, _FAINTEST):.2f}"'
        f' stroke="currentColor"><title>{link.weight:.2f}</title></line>'
        for link in alignment.links
    ]
    words = [
        *_words(alignment.source_tokens, source, top),
        *_words(alignment.target_tokens, target, bottom),
    ]
    width = max(_width(alignment.source_tokens), _width(alignment.target_tokens))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}"'
        f' height="{bottom + _LINE / 2:.0f}" font-family="monospace" font-size="13"'
        f' fill="currentColor">{"".join(lines)}{"".join(words)}</svg>'
    )


def as_html(text: str, refusal: str, alignment: "Alignment | None") -> str:
    """Returns what a notebook shows of a translation."""
    if refusal:
        return f"<em>{escape(refusal)}</em>"
    shown = f'<div style="white-space: pre-wrap">{escape(text)}</div>'
    return shown if alignment is None else shown + draw_alignment(alignment)


def _centres(tokens: Sequence[str]) -> list[float]:
    """Where the middle of each token lies, from the left."""
    return [_width(tokens[:i]) + _CHARACTER * len(token) / 2 for i, token in enumerate(tokens)]


def _width(tokens: Sequence[str]) -> float:
    return sum(_CHARACTER * len(token) + _GAP for token in tokens)


def _words(tokens: Sequence[str], centres: Sequence[float], y: float) -> list[str]:
    return [
        f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="middle">{escape(token)}</text>'
        for token, x in zip(tokens, centres, strict=True)
    ]
