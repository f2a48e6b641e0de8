"""The pages about the Transformer against training/model.py, the bundled model and each other."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from docs.drawing.__main__ import CHECKPOINT, PAGES, main
from docs.drawing.figures import FIGURES, draw_figures, heads
from docs.drawing.pages import MARKER, figures, is_close
from docs.drawing.sample import read_sample

REPOSITORY = Path(__file__).resolve().parents[2]
DOCS = REPOSITORY / "docs"
MODEL_LINES = (REPOSITORY / "training/model.py").read_text(encoding="utf-8").splitlines()
LINE_LINK = re.compile(r"\[training/model\.py, `([\w.]+)`\]\(\.\./training/model\.py#L(\d+)\)")
MAX_FIGURE_BYTES = 60_000


def text_of(page: str) -> str:
    return (DOCS / page).read_text(encoding="utf-8")


def parts_of(page: str) -> list[str]:
    """The numbered sections of `page`, each from its heading on."""
    sections = re.split(r"^## ", text_of(page), flags=re.MULTILINE)[1:]
    return [section for section in sections if section[0].isdigit()]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A folder with the pages and the figures, free to be changed."""
    shutil.copytree(DOCS / "figures", tmp_path / "figures")
    for page in PAGES:
        shutil.copy(DOCS / page, tmp_path)
    return tmp_path


@pytest.mark.parametrize("page", PAGES)
def test_every_line_link_points_at_the_definition(page: str) -> None:
    links = LINE_LINK.findall(text_of(page))
    assert len(links) == sum(kind == "line" for kind, _, _ in MARKER.findall(text_of(page)))
    assert links
    for name, line in links:
        owner, _, own = name.rpartition(".")
        assert re.match(rf"\s*(class |def |){own}\b", MODEL_LINES[int(line) - 1]), name
        above = [row for row in MODEL_LINES[: int(line)] if row.startswith("class ")]
        assert owner == "" or re.match(rf"class {owner}\b", above[-1]), name


@pytest.mark.parametrize("page", PAGES)
def test_every_part_has_a_formula_a_line_a_figure_and_a_number(page: str) -> None:
    for part in parts_of(page):
        kinds = {kind for kind, _, _ in MARKER.findall(part)}
        assert kinds == {"line", "value"}, part[:40]
        assert "```math\n" in part, part[:40]
        assert len(figures(part)) == 1, part[:40]


def test_both_pages_have_the_same_parts() -> None:
    english, chinese = (parts_of(page) for page in PAGES)
    assert len(english) == len(chinese) == 11
    for one, other in zip(english, chinese, strict=True):
        assert one.split(".")[0] == other.split(".")[0]
        assert figures(one) == figures(other)
        assert sorted(MARKER.findall(one)) == sorted(MARKER.findall(other)), one[:40]
        formulas = [re.findall(r"```math\n(.*?)```", part, re.DOTALL) for part in (one, other)]
        assert formulas[0] == formulas[1], one[:40]


def test_what_stands_before_the_parts_is_the_same_too() -> None:
    english, chinese = (MARKER.findall(text_of(page).split("\n## ")[0]) for page in PAGES)
    assert english
    assert sorted(english) == sorted(chinese)


@pytest.mark.parametrize("page", PAGES)
def test_what_it_links_to_exists(page: str) -> None:
    targets = re.findall(r"\]\(([^)#:]+)(?:#\w+)?\)", text_of(page))
    assert targets
    for target in targets:
        assert (DOCS / target).resolve().is_relative_to(REPOSITORY)
        assert (DOCS / target).exists(), target


@pytest.mark.parametrize("page", PAGES)
def test_no_line_begins_with_a_marker(page: str) -> None:
    # Markdown would take such a line for HTML, and show a link on it as it is spelled.
    beginnings = [line.lstrip("- ") for line in text_of(page).splitlines()]
    assert not [line for line in beginnings if line.startswith("<!--")]


def test_every_figure_is_shown_and_small() -> None:
    for page in PAGES:
        assert sorted(figures(text_of(page))) == sorted(FIGURES)
    for name in FIGURES:
        figure = (DOCS / "figures" / f"{name}.svg").read_bytes()
        assert b"<svg" in figure
        assert len(figure) < MAX_FIGURE_BYTES, name


def test_a_figure_is_the_same_each_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("docs.drawing.figures.FIGURES", {"heads": heads})
    for folder in ("first", "second"):
        draw_figures(read_sample(CHECKPOINT), tmp_path / folder)
    first, second = (tmp_path / folder / "heads.svg" for folder in ("first", "second"))
    assert first.read_bytes() == second.read_bytes()
    assert b"<dc:date>" not in first.read_bytes()


def test_the_pages_are_true() -> None:
    assert main(["--check"]) == 0


@pytest.mark.parametrize(
    ("shown", "changed", "complaint"),
    [
        (r"(<!-- value:mean_distance -->)[\d.]+", r"\g<1>99.99", "value mean_distance is '99.99'"),
        (r"(<!-- value:padding_share -->)0", r"\g<1>1", "value padding_share is '1'"),
        (r"(<!-- line:FeedForward -->.*?#L)\d+", r"\g<1>1", "line FeedForward is"),
        (r"figures/heads\.svg", "figures/heeds.svg", "there is no figure heeds"),
    ],
)
def test_a_changed_page_is_noticed_and_left_alone(
    copy: Path, capsys: pytest.CaptureFixture[str], shown: str, changed: str, complaint: str
) -> None:
    for page in PAGES:
        path = copy / page
        text, count = re.subn(shown, changed, text_of(page), count=1)
        assert count == 1
        path.write_text(text, encoding="utf-8")
        assert main(["--check", "--pages", str(copy)]) == 1
        assert f"{page}: {complaint}" in capsys.readouterr().err
        assert path.read_text(encoding="utf-8") == text


def test_an_unknown_value_is_an_error(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = copy / PAGES[0]
    path.write_text(text_of(PAGES[0]).replace("value:top_1 ", "value:top_0 "), encoding="utf-8")
    assert main(["--check", "--pages", str(copy)]) == 2
    assert "there is no value top_0" in capsys.readouterr().err


def test_a_missing_checkpoint_is_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(tmp_path / "none.safetensors"), "--check"]) == 2
    assert "none.safetensors" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("shown", "measured", "expected"),
    [
        ("12.3 %", "12.5 %", True),
        ("12.3 %", "12.6 %", False),
        ("-0.31", "-0.30", True),
        ("4,096.0", "4,096.2", True),
        ("256", "257", False),
        ("0", "0.0", False),
        ("< 0.0001", "0.0001", False),
        ("dogs, puppy", "puppy, dogs", False),
    ],
)
def test_only_last_decimals_may_differ(shown: str, measured: str, expected: bool) -> None:
    assert is_close(shown, measured) is expected
