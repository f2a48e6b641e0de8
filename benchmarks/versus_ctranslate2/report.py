"""What a comparison found, as lines to read, as JSON and as a picture."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.versus_ctranslate2.workload import LINES, Line, Run, Setup


@dataclass(frozen=True)
class Comparison:
    """One line of one model: both engines in turn, round after round."""

    line: Line
    ours: Setup
    theirs: Setup
    our_runs: Sequence[Run]
    their_runs: Sequence[Run]
    plain_seconds: float
    """What CTranslate2 took in a plain script."""
    tried: dict[str, dict[str, float]]
    """By engine and setup, target tokens a second in the search."""

    @property
    def ratios(self) -> list[float]:
        """Our speed over theirs in each round."""
        return [
            _speed(self.line, ours) / _speed(self.line, theirs)
            for ours, theirs in zip(self.our_runs, self.their_runs, strict=True)
        ]

    @property
    def ratio(self) -> float:
        """The median over the rounds."""
        return statistics.median(self.ratios)

    @property
    def plain_share(self) -> float:
        """Of the speed of a plain script, what CTranslate2 reached here, at its best."""
        return self.plain_seconds / min(run.seconds for run in self.their_runs)

    def to_dict(self) -> dict[str, Any]:
        """All of it, for JSON."""
        return {
            "ratio": self.ratio,
            "ratios": self.ratios,
            "ours": {"setup": asdict(self.ours), "runs": [asdict(run) for run in self.our_runs]},
            "theirs": {
                "setup": asdict(self.theirs),
                "runs": [asdict(run) for run in self.their_runs],
                "plain_seconds": self.plain_seconds,
                "plain_share": self.plain_share,
            },
            "tried": self.tried,
        }


def _speed(line: Line, run: Run) -> float:
    """Sentences a second where one is waited for, else target tokens a second."""
    return line.num_sentences / run.seconds if line.in_flight == 1 else run.tokens_per_s


def table(found: dict[str, list[Comparison]]) -> str:
    """Figures of all lines, as Markdown."""
    rows = [
        "| model | line | ours | CTranslate2 | our speed over theirs (range) | at least | aim |",
        "|---|---|---|---|---|---|---|",
    ]
    for model, comparisons in found.items():
        for comparison in comparisons:
            line, ratios = comparison.line, comparison.ratios
            figures = [_figure(line, runs) for runs in (comparison.our_runs, comparison.their_runs)]
            rows.append(
                f"| {model} | {line.name} | {figures[0]} | {figures[1]} "
                f"| **{comparison.ratio:.2f}** ({min(ratios):.2f} to {max(ratios):.2f}) "
                f"| {line.floor[model]:g} | {line.aim:g} |"
            )
    return "\n".join(rows)


def _figure(line: Line, runs: Sequence[Run]) -> str:
    if line.in_flight == 1:
        seconds = statistics.median(run.seconds for run in runs)
        return f"{1000 * seconds / line.num_sentences:.2f} ms a sentence"
    return f"{statistics.median(run.tokens_per_s for run in runs):,.0f} tokens/s"


def draw(found: dict[str, list[Comparison]], path: Path) -> None:
    """A bar a line and model: our speed over theirs, with what is to be reached at least."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(8, 4.5), layout="constrained")
    width = 0.8 / len(found)
    for number, (model, comparisons) in enumerate(found.items()):
        places = [i + (number - (len(found) - 1) / 2) * width for i in range(len(comparisons))]
        ratios = [comparison.ratio for comparison in comparisons]
        bars = axes.bar(places, ratios, width * 0.9, label=model)
        axes.bar_label(bars, fmt="%.2f")
        floors = [comparison.line.floor[model] for comparison in comparisons]
        left, right = ([place + side * width * 0.45 for place in places] for side in (-1, 1))
        axes.hlines(floors, left, right, colors="black", label="_" * number + "at least")
    axes.axhline(1, color="grey", linewidth=0.8, linestyle="--")
    axes.set_xticks(range(len(LINES)), [line.name for line in LINES])
    axes.set_ylabel("our speed over CTranslate2's, int8")
    axes.legend()
    figure.savefig(path, dpi=120)
