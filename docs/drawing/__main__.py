"""python -m docs.drawing [CHECKPOINT] [--check]: figures, numbers and line links of the
pages about the Transformer, all from one checkpoint.

With --check nothing is written: the exit code is 1 if a page no longer tells the truth.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from demos.bundled import CHECKPOINT
from docs.drawing.pages import PageError, figures, fill, line_links, stale
from docs.drawing.sample import read_sample
from docs.drawing.values import measure
from training.checkpoint import CheckpointError

ROOT = Path(__file__).resolve().parents[2]
PAGES = ("transformer.md", "transformer.zh-TW.md")
MODEL = "training/model.py"
"""What line links lead to."""


def main(arguments: list[str] | None = None) -> int:
    """Returns the exit code: 0 for true pages, 1 for stale ones, 2 for a bad checkpoint or page."""
    parser = argparse.ArgumentParser(prog="python -m docs.drawing", description=__doc__)
    parser.add_argument("checkpoint", type=Path, nargs="?", default=CHECKPOINT)
    parser.add_argument("--check", action="store_true", help="write nothing; 1 if stale")
    parser.add_argument("--pages", type=Path, default=ROOT / "docs", help="the folder they are in")
    options = parser.parse_args(arguments)
    try:
        if options.check:
            return check(options.checkpoint, options.pages)
        draw(options.checkpoint, options.pages)
    except (CheckpointError, PageError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def draw(checkpoint: Path, folder: Path) -> None:
    """Writes the figures and fills the pages in `folder`. Raises CheckpointError and PageError."""
    from docs.drawing.figures import draw_figures  # matplotlib: a check does without it

    sample = read_sample(checkpoint)
    values, links = measure(sample, _name(checkpoint)), line_links(ROOT / MODEL, MODEL)
    for page in PAGES:
        text = (folder / page).read_text(encoding="utf-8")
        (folder / page).write_text(fill(text, values, links), encoding="utf-8")
    draw_figures(sample, folder / "figures")


def check(checkpoint: Path, folder: Path) -> int:
    """Prints what is stale in `folder`; returns 1 if anything is, else 0.

    Raises CheckpointError and PageError.
    """
    sample = read_sample(checkpoint)
    values, links = measure(sample, _name(checkpoint)), line_links(ROOT / MODEL, MODEL)
    complaints = []
    for page in PAGES:
        text = (folder / page).read_text(encoding="utf-8")
        complaints += [f"{page}: {complaint}" for complaint in stale(text, values, links)]
        missing = [x for x in figures(text) if not (folder / "figures" / f"{x}.svg").exists()]
        complaints += [f"{page}: there is no figure {name}" for name in missing]
    for complaint in complaints:
        print(complaint, file=sys.stderr)
    return 1 if complaints else 0


def _name(checkpoint: Path) -> str:
    """The checkpoint's folder as the pages call it."""
    folder = checkpoint.resolve().parent
    return folder.relative_to(ROOT).as_posix() if folder.is_relative_to(ROOT) else folder.name


if __name__ == "__main__":
    sys.exit(main())
