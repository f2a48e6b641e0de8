"""Line plots as SVG, for a page that needs nothing else. Escapes every text that it is given."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

_WIDTH, _HEIGHT = 720, 260
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 12, 18, 40
_COLORS = ("#2563a8", "#c2410c", "#15803d", "#7e22ce", "#a16207", "#be123c", "#0e7490", "#525252")
_NUM_TICKS = 5

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Series:
    """A line with its name."""

    name: str
    points: Sequence[Point | None]
    """In the order they are joined in; None breaks the line."""


@dataclass(frozen=True, slots=True)
class Plot:
    """Lines over a common axis."""

    title: str
    x_label: str
    y_label: str
    series: Sequence[Series]
    x_ticks: Sequence[tuple[float, str]] | None = None
    """Where the x-axis has which labels; None for round numbers."""


@dataclass(frozen=True, slots=True)
class _Scale:
    """From values to pixels, along one axis."""

    low: float
    high: float
    from_px: float
    to_px: float

    def __call__(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low)
        return round(self.from_px + share * (self.to_px - self.from_px), 1)


def as_svg(plot: Plot) -> str:
    """Returns a plot as an SVG element; a sentence in its place where no series has a point."""
    points = [point for series in plot.series for point in series.points if point is not None]
    if not points:
        return f"<p>{escape(plot.title)}: nothing to show.</p>"
    x_ticks = plot.x_ticks or _ticks(min(x for x, _ in points), max(x for x, _ in points))
    y_ticks = _ticks(0.0, max(y for _, y in points))
    x_low, x_high = _range([x for x, _ in points] + [x for x, _ in x_ticks])
    x = _Scale(x_low, x_high, _LEFT, _WIDTH - _RIGHT)
    y = _Scale(0.0, y_ticks[-1][0], _HEIGHT - _BOTTOM, _TOP)
    return "\n".join(
        [
            f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(plot.title)}">',
            *(_y_tick(y(value), label) for value, label in y_ticks),
            *(_x_tick(x(value), label) for value, label in x_ticks),
            _text(_WIDTH / 2, _HEIGHT - 4, plot.x_label, "middle"),
            _text(_LEFT, _TOP - 6, plot.y_label, "start"),
            *(_line(series, n, x, y) for n, series in enumerate(plot.series)),
            "</svg>",
            _legend(plot.series),
        ]
    )


def _ticks(low: float, high: float) -> list[tuple[float, str]]:
    """Round numbers that enclose the range, with labels."""
    step = _round_step((high - low) / _NUM_TICKS)
    first, last = math.floor(low / step), math.ceil(high / step)
    return [(n * step, f"{n * step:,.10g}") for n in range(first, max(last, first + 1) + 1)]


def _round_step(raw: float) -> float:
    """The next of 1, 2 and 5 times a power of ten."""
    if raw <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(raw))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw * 0.999999)


def _range(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    return (low, high) if high > low else (low, low + 1.0)


def _y_tick(at_px: float, label: str) -> str:
    line = f'<path class="grid" d="M{_LEFT} {at_px}H{_WIDTH - _RIGHT}"/>'
    return line + _text(_LEFT - 6, at_px + 4, label, "end")


def _x_tick(at_px: float, label: str) -> str:
    line = f'<path class="grid" d="M{at_px} {_TOP}V{_HEIGHT - _BOTTOM}"/>'
    return line + _text(at_px, _HEIGHT - _BOTTOM + 16, label, "middle")


def _text(x_px: float, y_px: float, text: str, anchor: str) -> str:
    return f'<text x="{x_px}" y="{y_px}" text-anchor="{anchor}">{escape(text)}</text>'


def _line(
    series: Series, number: int, x: Callable[[float], float], y: Callable[[float], float]
) -> str:
    color = _COLORS[number % len(_COLORS)]
    drawn, command = [], "M"
    for point in series.points:
        if point is None:
            command = "M"
            continue
        drawn.append(f"{command}{x(point[0])} {y(point[1])}")
        command = "L"
    # A point between two gaps has no line: the round end of one without length shows it.
    path = "".join(f"{step}h0" if step[0] == "M" else step for step in drawn)
    title = f"<title>{escape(series.name)}</title>"
    return f'<path class="line" stroke="{color}" d="{path}">{title}</path>'


def _legend(all_series: Sequence[Series]) -> str:
    entries = (
        f'<span><i style="background:{_COLORS[n % len(_COLORS)]}"></i>{escape(series.name)}</span>'
        for n, series in enumerate(all_series)
    )
    return f'<p class="legend">{" ".join(entries)}</p>'
