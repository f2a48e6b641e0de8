"""A report's facts to one HTML file that loads nothing. Knows nothing of where facts come from."""

from __future__ import annotations

import dataclasses
import json
import math
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from training.report.run import Curves, Headline, Setting
from training.report.samples import AttentionSample, Sample
from training.report.text import Histogram, Share, Vocabulary

FOLDER = Path(__file__).parent
SERIES_NAMES = {
    "train_loss": "training",
    "validation_loss": "validation",
    "bleu": "BLEU",
    "chrf": "chrF",
    "learning_rate": "learning rate",
    "tokens_per_s": "tokens/s",
}
CHARTS = {
    "loss": ("train_loss", "validation_loss"),
    "quality": ("bleu", "chrf"),
    "rate": ("learning_rate",),
    "speed": ("tokens_per_s",),
}
"""Columns of the log that share a chart."""


@dataclass(frozen=True)
class TextFacts:
    """The training text; None where nothing could measure it."""

    corpora: list[tuple[str, tuple[str, ...], int]]
    """Name, languages, rows."""
    strides: dict[str, int]
    """Corpora of which only every so many rows were measured."""
    directions: list[Share]
    sides: Histogram | None
    languages: Histogram | None
    vocabulary: Vocabulary | None
    is_sampled: bool
    """Whether training cut the text at random instead of in the most probable way."""


@dataclass
class Report:
    """Everything that the page shows."""

    headline: Headline
    curves: Curves
    recipe: dict[str, list[Setting]]
    hygiene: dict[str, dict[str, int]]
    label_smoothing: float
    text: TextFacts
    missing: dict[str, str]
    """Section to why it, or a part of it, is not there."""
    weights: str = ""
    """File of the model that translated."""
    samples: list[Sample] = field(default_factory=list)
    attention: list[AttentionSample] = field(default_factory=list)


def render(report: Report) -> str:
    """The page."""
    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        loader=FileSystemLoader(FOLDER),
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "number": number,
        "compact": compact,
        "duration": duration,
        "percent": percent,
        "prose": prose,
    }
    return environment.get_template("page.html.j2").render(
        report=report,
        charts=CHARTS,
        series_names=SERIES_NAMES,
        sample_directions=list(dict.fromkeys(sample.direction for sample in report.samples)),
        log=_log_rows(report.curves),
        exp=math.exp,
        style=_asset("page.css"),
        scripts=[_asset("charts.js"), _asset("attention.js")],
        payload=script_json(payload(report)),
    )


def _asset(name: str) -> Markup:
    return Markup((FOLDER / name).read_text(encoding="utf-8"))


def payload(report: Report) -> dict[str, Any]:
    """What the page's scripts draw, for JSON."""
    return {
        "axes": report.curves.axes,
        "charts": _curve_charts(report.curves) | _text_charts(report.text),
        "attention": [dataclasses.asdict(sample) for sample in report.attention],
    }


def script_json(document: object) -> Markup:
    """`document` as JSON that no HTML parser reads as anything else than text of a script."""
    text = json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)


def _curve_charts(curves: Curves) -> dict[str, Any]:
    charts = {}
    for name, columns in CHARTS.items():
        series = [
            {"name": SERIES_NAMES[column], "values": curves.series[column]}
            for column in columns
            if column in curves.series
        ]
        if series:
            charts[name] = {"series": series, "fromZero": name != "loss"}
    return charts


def _text_charts(text: TextFacts) -> dict[str, Any]:
    charts: dict[str, Any] = {}
    for name, histogram in (("sides", text.sides), ("languages", text.languages)):
        if histogram is not None:
            series = [
                {"name": n, "values": values, "note": f"mean {histogram.means[n]:.1f}"}
                for n, values in histogram.series.items()
            ]
            charts[name] = {"x": histogram.starts, "series": series, "kind": "histogram"}
    found = text.vocabulary
    if found is not None and found.ranks:
        series = [{"name": "uses", "values": found.uses}]
        charts["ranks"] = {"x": found.ranks, "series": series, "kind": "ranks"}
        charts["ranks"]["labels"] = found.pieces
    return charts


def _log_rows(curves: Curves) -> list[dict[str, float | None]]:
    columns = curves.axes | curves.series
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def number(value: float) -> str:
    """With its thousands apart, as exact as it is."""
    return f"{value:,}"


def compact(value: float) -> str:
    """Three digits: 9.13 M."""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= 0.9995 * size:
            return f"{value / size:.3g} {unit}"
    return f"{value:,.0f}"


def duration(minutes: float) -> str:
    """Hours and minutes, or minutes: 1 h 49 min."""
    hours, rest = divmod(round(minutes), 60)
    if hours:
        return f"{hours} h {rest} min"
    return f"{minutes:.1f} min" if minutes < 10 else f"{rest} min"


def percent(share: float) -> str:
    """One digit after the point: 12.5 %."""
    return f"{100 * share:.1f} %"


def prose(text: str) -> Markup:
    """A docstring's `code` as HTML's."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))
