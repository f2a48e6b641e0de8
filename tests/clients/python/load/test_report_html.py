"""The page: complete, alone, and safe to open."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest
from attendant.load.plots import Plot, Series, as_svg
from attendant.load.report_html import as_html
from attendant.load.result import Result

from .results import BUSY, CALM, EMPTY, FAILING, STREAMED

VOID = {"meta", "br"}


class Reader(HTMLParser):
    """Notes every element and every attribute, and that elements are closed in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def read(page: str) -> Reader:
    reader = Reader()
    reader.feed(page)
    reader.close()
    assert reader.open == []
    return reader


@pytest.mark.parametrize("result", [CALM, FAILING, STREAMED, BUSY, EMPTY])
def test_every_result_makes_a_page_that_is_closed_in_itself(result: Result) -> None:
    page = as_html(result)
    reader = read(page)
    assert not {"script", "link", "img", "iframe", "object"} & set(reader.tags)
    assert not {"src", "href", "onload", "onclick"} & {name for name, _ in reader.attributes}
    assert "url(" not in page
    assert "http:" not in page
    assert "https:" not in page


def test_the_page_holds_the_figures_the_parameters_and_the_versions() -> None:
    page = as_html(STREAMED)
    for text in (
        "2026-01-02T03:04:05+00:00",
        "open loop, poisson, 50 requests a second",
        "<th>latency_p99_9</th><td>100.0 ms</td>",
        "<th>seed</th><td>7</td>",
        "<th>attendant</th><td>9.9</td>",
        "<h2>Time to the first text, over time</h2>",
    ):
        assert text in page
    assert "secret" not in page


def test_plots_are_there() -> None:
    headings = re.findall("<h2>(.*?)</h2>", as_html(FAILING))
    assert headings == [
        "Figures",
        "Latency over time",
        "Latency by percentile",
        "Throughput over time",
        "Errors by status",
        "The client&#x27;s own use".replace("&#x27;", "&#x27;"),
        "All figures",
        "Parameters",
        "Sent with",
    ]
    assert read(as_html(FAILING)).tags.count("svg") == 5
    assert read(as_html(CALM)).tags.count("svg") == 4  # no errors, no plot of them


def test_a_bottleneck_is_said_at_the_top() -> None:
    page = as_html(BUSY)
    assert page.index("WARNING: this client was a bottleneck") < page.index("<h2>")


def test_further_sections_are_shown() -> None:
    page = as_html(CALM, [("Thresholds", [("MISSED", "latency_p99 is <too> high")])])
    assert "<h2>Thresholds</h2>" in page
    assert "<th>MISSED</th><td>latency_p99 is &lt;too&gt; high</td>" in page


def test_nothing_that_was_given_becomes_markup() -> None:
    evil = '"><script>alert(1)</script>'
    windows = [replace(window, errors={evil: 1}) for window in CALM.summary.windows]
    result = replace(
        CALM,
        parameters={**CALM.parameters, "target": evil, "model": evil},
        versions={evil: evil},
        summary=replace(CALM.summary, errors={evil: 10}, windows=windows),
    )
    page = as_html(result, [(evil, [(evil, evil)])])
    assert "<script" not in page
    assert "script" not in read(page).tags


def plot_of(*points: tuple[float, float] | None) -> ElementTree.Element:
    svg = as_svg(Plot("T", "x", "y", [Series("s", points)]))
    return ElementTree.fromstring(svg[: svg.index("</svg>") + len("</svg>")])


def path_of(plot: ElementTree.Element) -> str:
    (line,) = (path for path in plot.iter("path") if path.get("class") == "line")
    return line.get("d") or ""


def test_a_line_goes_where_its_values_say() -> None:
    # 0 to 10 along x is 64 to 708, 0 to 100 up y is 220 down to 18.
    assert path_of(plot_of((0, 0), (5, 50), (10, 100))) == "M64.0 220.0h0L386.0 119.0L708.0 18.0"


def test_a_gap_breaks_the_line() -> None:
    assert path_of(plot_of((0, 0), None, (10, 100))) == "M64.0 220.0h0M708.0 18.0h0"


@pytest.mark.parametrize("points", [[(3.0, 0.0)], [(0.0, 0.0), (0.0, 0.0)], [(1e9, 1e-9)]])
def test_odd_values_can_be_drawn(points: list[tuple[float, float]]) -> None:
    numbers = re.findall(r"-?[\d.]+", path_of(plot_of(*points)))
    assert all(0 <= float(number) <= 720 for number in numbers)


def test_labels_are_round_numbers() -> None:
    labels = [text.text for text in plot_of((0, 0), (7, 0.0347)).iter("text")]
    assert {"0", "0.01", "0.02", "0.03", "0.04"} <= set(labels)


def test_no_points_are_no_plot() -> None:
    assert as_svg(Plot("T<", "x", "y", [])) == "<p>T&lt;: nothing to show.</p>"
