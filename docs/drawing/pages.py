"""The markers in the pages about the Transformer: `<!-- value:NAME -->` before a number that was
measured and `<!-- line:NAME -->` before a link to a definition in training/model.py.

It knows nothing of models: values come as text.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

MARKER = re.compile(r"<!-- (value|line):(\S+) -->(.*?)<!-- /\1 -->", re.DOTALL)
FIGURE = re.compile(r"!\[[^\]]*\]\(figures/(\w+)\.svg\)")
NUMBER = re.compile(r"-?\d+(?:,\d{3})*(?:\.\d+)?")
TOLERANCE = 2
"""Units of the last decimal that a number may be off: other processors round otherwise. A number
without decimals has to be the same.
"""


class PageError(ValueError):
    """A page asks for a value or a definition that there is not; the message names it."""


def definitions(source: Path) -> dict[str, int]:
    """The line of every class, function, method (`Class.method`) and constant of a module."""
    lines: dict[str, int] = {}

    def visit(body: list[ast.stmt], prefix: str) -> None:
        for node in body:
            if isinstance(node, ast.ClassDef | ast.FunctionDef):
                lines[prefix + node.name] = node.lineno
            if isinstance(node, ast.ClassDef):
                visit(node.body, f"{node.name}.")
            if isinstance(node, ast.Assign) and not prefix:
                names = [name.id for name in node.targets if isinstance(name, ast.Name)]
                lines.update(dict.fromkeys(names, node.lineno))

    visit(ast.parse(source.read_text(encoding="utf-8")).body, "")
    return lines


def line_links(source: Path, shown: str) -> dict[str, str]:
    """By definition: a page's link to it in Markdown; `shown` is the path from the root."""
    return {
        name: f"[{shown}, `{name}`](../{shown}#L{line})"
        for name, line in definitions(source).items()
    }


def fill(page: str, values: dict[str, str], links: dict[str, str]) -> str:
    """`page` with what stands between each pair of markers replaced. Raises PageError."""

    def replace(match: re.Match[str]) -> str:
        kind, name, _ = match.groups()
        return f"<!-- {kind}:{name} -->{_wanted(kind, name, values, links)}<!-- /{kind} -->"

    return MARKER.sub(replace, page)


def stale(page: str, values: dict[str, str], links: dict[str, str]) -> list[str]:
    """What of `page` is no longer so, a line each: links exactly, numbers within TOLERANCE.

    Raises PageError.
    """
    complaints = []
    for kind, name, shown in MARKER.findall(page):
        wanted = _wanted(kind, name, values, links)
        is_right = is_close(shown, wanted) if kind == "value" else shown == wanted
        if not is_right:
            complaints.append(f"{kind} {name} is {shown!r}, should be {wanted!r}")
    return complaints


def figures(page: str) -> list[str]:
    """Names of the figures that `page` shows, in order."""
    return FIGURE.findall(page)


def is_close(shown: str, measured: str) -> bool:
    """Whether two texts are the same but for the last decimals of their numbers."""
    if NUMBER.sub("#", shown) != NUMBER.sub("#", measured):
        return False
    pairs = zip(NUMBER.findall(shown), NUMBER.findall(measured), strict=True)
    return all(_is_near(a, b) for a, b in pairs)


def _is_near(shown: str, measured: str) -> bool:
    decimals = len(shown.partition(".")[2])
    if decimals == 0 or decimals != len(measured.partition(".")[2]):
        return shown == measured
    difference = abs(float(shown.replace(",", "")) - float(measured.replace(",", "")))
    return difference * 10.0**decimals < TOLERANCE + 0.5


def _wanted(kind: str, name: str, values: dict[str, str], links: dict[str, str]) -> str:
    try:
        return (values if kind == "value" else links)[name]
    except KeyError:
        raise PageError(f"there is no {kind} {name}") from None
