"""A result as one page that needs nothing else: no script, no file, no connection."""

import math
from collections.abc import Callable, Iterable, Sequence
from html import escape

from attendant.load.figures import FIGURES
from attendant.load.histogram import Histogram
from attendant.load.plots import Plot, Point, Series, as_svg
from attendant.load.report_json import as_dict
from attendant.load.report_text import describe_load, text_rows, warnings_of
from attendant.load.result import Result
from attendant.load.summary import Latency, Summary, Window

_CURVE_STEPS_PER_NINE = 40
_PERCENTILE_TICKS = ((0, "0 %"), (1, "90 %"), (2, "99 %"), (3, "99.9 %"), (4, "99.99 %"))

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1f2328; max-width: 760px; margin: 2em auto;
       padding: 0 1em; }
h1 { font-size: 1.5em; } h2 { font-size: 1.15em; margin-top: 2em; }
table { border-collapse: collapse; } td, th { padding: .15em 1em .15em 0; text-align: left;
       vertical-align: top; overflow-wrap: anywhere; }
th { font-weight: 600; white-space: nowrap; }
svg { width: 100%; height: auto; font-size: 11px; } svg text { fill: #57606a; }
.grid { stroke: #e5e7eb; } .line { fill: none; stroke-width: 2; stroke-linecap: round;
       stroke-linejoin: round; }
.legend { margin: 0; font-size: .85em; } .legend span { margin-right: 1.2em; }
.legend i { display: inline-block; width: .8em; height: .8em; margin-right: .4em; }
.warning { border-left: 4px solid #c2410c; padding-left: .8em; }
"""


def as_html(result: Result, sections: Sequence[tuple[str, Sequence[tuple[str, str]]]] = ()) -> str:
    """Returns the page.

    Args:
        result: What to show.
        sections: Further tables, each a heading and rows of two cells.
    """
    summary = result.summary
    parameters = [(name, str(value)) for name, value in result.parameters.items()]
    body = [
        f"<h1>Load test of {escape(str(result.parameters['target']))}</h1>",
        f"<p>{escape(describe_load(result.parameters))}<br>{escape(result.started_at)}</p>",
        *(f'<p class="warning">{escape(warning)}</p>' for warning in warnings_of(summary)),
        _section("Figures", text_rows(result)[1:]),
        *(_section(heading, rows) for heading, rows in sections),
        *(f"<h2>{escape(plot.title)}</h2>\n{as_svg(plot)}" for plot in _plots(summary)),
        _section("All figures", _all_figures(result)),
        _section("Parameters", parameters),
        _section("Sent with", list(result.versions.items())),
    ]
    return _page(f"Load test of {result.parameters['target']}", body)


def _page(title: str, body: Iterable[str]) -> str:
    policy = "default-src 'none'; style-src 'unsafe-inline'"
    head = [
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
        '<meta name="viewport" content="width=device-width">',
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>",
    ]
    return "\n".join([*head, *body, "</body>\n</html>\n"])


def _section(heading: str, rows: Iterable[tuple[str, str]]) -> str:
    lines = (f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in rows)
    return f"<h2>{escape(heading)}</h2>\n<table>\n" + "\n".join(lines) + "\n</table>"


def _all_figures(result: Result) -> list[tuple[str, str]]:
    run = as_dict(result)
    found = ((name, figure, figure.value(run)) for name, figure in FIGURES.items())
    return [(name, figure.shown(value)) for name, figure, value in found if value is not None]


def _plots(summary: Summary) -> list[Plot]:
    plots = [
        _over_time(
            summary,
            "Latency over time",
            "ms",
            [("p50", lambda w: _ms(w.p50_s)), ("p99", lambda w: _ms(w.p99_s))],
        ),
        _by_percentile(summary),
        _over_time(
            summary, "Throughput over time", "answers a second", [_answers, _arrivals(summary)]
        ),
        _errors(summary),
        _over_time(
            summary,
            "The client's own use",
            "% of a core; ms late",
            [
                ("processor, % of a core", lambda w: w.cpu_share * 100),
                ("sends late, p99, ms", lambda w: w.send_lateness_p99_s * 1000),
            ],
        ),
    ]
    if summary.first_token is not None:
        plots.insert(1, _first_text(summary))
    return plots


Reading = tuple[str, Callable[[Window], float | None]]
"""A line's name, and what it shows of a window."""

_answers: Reading = ("answered", lambda window: window.rates.answers)


def _arrivals(summary: Summary) -> Reading:
    return "due", lambda window: window.arrivals / summary.window_s


def _first_text(summary: Summary) -> Plot:
    return _over_time(
        summary,
        "Time to the first text, over time",
        "ms",
        [
            ("p50", lambda w: _ms(w.first_token_p50_s)),
            ("p99", lambda w: _ms(w.first_token_p99_s)),
        ],
    )


def _errors(summary: Summary) -> Plot:
    def reading(status: str) -> Reading:
        return status, lambda window: window.errors.get(status, 0)

    readings = [reading(status) for status in summary.errors]
    return _over_time(summary, "Errors by status", "errors in a window", readings)


def _over_time(summary: Summary, title: str, y_label: str, readings: Sequence[Reading]) -> Plot:
    series = [
        Series(name, [_point(window, summary.window_s, read) for window in summary.windows])
        for name, read in readings
    ]
    return Plot(title, "seconds of the measured time", y_label, series)


def _point(window: Window, window_s: float, read: Callable[[Window], float | None]) -> Point | None:
    value = read(window)
    return None if value is None else (window.start_s + window_s / 2, value)


def _by_percentile(summary: Summary) -> Plot:
    """The further right, the rarer: each nine has the same width, as HdrHistogram plots it."""
    kinds = (
        ("latency", summary.latency),
        ("first text", summary.first_token),
        ("between parts of text", summary.between_tokens),
    )
    series = [Series(name, _curve(latency)) for name, latency in kinds if latency is not None]
    nines = max((point[0] for one in series for point in one.points if point), default=1.0)
    ticks = [(float(at), label) for at, label in _PERCENTILE_TICKS if at <= max(1, nines)]
    return Plot("Latency by percentile", "percentile", "ms", series, ticks)


def _curve(latency: Latency) -> list[Point | None]:
    histogram = Histogram.decoded(latency.histogram)
    last = math.floor(math.log10(latency.count) * _CURVE_STEPS_PER_NINE)
    nines = [step / _CURVE_STEPS_PER_NINE for step in range(last + 1)]
    # At no nines at all stands the shortest time.
    percents = [max(100 * (1 - 10**-count), 1e-9) for count in nines]
    times_s = histogram.percentiles_s(percents)
    return [(count, time_s * 1000) for count, time_s in zip(nines, times_s, strict=True)]


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else seconds * 1000
