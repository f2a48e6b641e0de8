from __future__ import annotations

import html
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.training.tiny import SENTENCES
from training import __main__ as command
from training.report import main, write_report
from training.report.page import compact, duration, script_json
from training.report.samples import Span, differences

EVIL = "<script>alert(1)</script>"
SECTIONS = ("curves", "samples", "text", "attention", "recipe")
CHARTS = ("loss", "quality", "rate", "speed", "sides", "languages", "ranks")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run of four steps; each of its sentences has markup in it."""
    folder = tmp_path_factory.mktemp("trained")
    pairs = [*SENTENCES, (f"{EVIL} a dog", f"{EVIL} ein Hund & </script>")]
    lines = "".join(f"{s}\t{t}\n" for s, t in pairs)
    (folder / "pairs.tsv").write_text(lines, encoding="utf-8")
    (folder / "evil.tsv").write_text(lines.splitlines()[-1] + "\n", encoding="utf-8")
    document = {
        "data": {"corpora": [f"tsv:{folder}/pairs.tsv"], "validation": f"tsv:{folder}/evil.tsv"},
        "model": {"d_model": 16, "num_heads": 2, "d_ff": 32, "max_length": 96},
        "train": {"output": str(folder / "run"), "max_steps": 4, "validate_every": 2},
    }
    document["data"] |= {"vocabulary_size": 400, "directions": ["en-de*2", "de-en"]}
    document["model"] |= {"num_encoder_layers": 2, "num_decoder_layers": 1}
    document["train"] |= {"validation_sentences": 4, "num_threads": 1}
    (folder / "recipe.yaml").write_text(yaml.safe_dump(document), encoding="utf-8")
    assert command.main([str(folder / "recipe.yaml")]) == 0
    return folder


@pytest.fixture(scope="module")
def page(trained: Path) -> str:
    return write_report(trained / "run", trained / "report.html").read_text(encoding="utf-8")


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    """The run's folder, to change."""
    return Path(shutil.copytree(trained / "run", tmp_path / "run"))


def report_on(run: Path, *sentences: tuple[str, str]) -> str:
    return write_report(run, run / "report.html", sentences).read_text(encoding="utf-8")


def payload(page: str) -> dict[str, Any]:
    """What the page's scripts draw; JSON proper, so no NaN."""
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert found is not None

    def refuse(constant: str) -> float:
        raise AssertionError(constant)

    document: dict[str, Any] = json.loads(found[1], parse_constant=refuse)
    return document


def text_of(page: str) -> str:
    """What a reader sees, without scripts."""
    bare = re.sub(r"<(script|style)\b.*?</\1>", "", page, flags=re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", bare)).split())


def log_of(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]


def test_every_section_is_there(page: str) -> None:
    assert re.findall(r'<section id="(\w+)"', page) == list(SECTIONS)
    assert tuple(re.findall(r'data-chart="(\w+)"', page)) == CHARTS
    assert set(payload(page)["charts"]) == set(CHARTS)
    assert "Left out" not in text_of(page)


def test_figures_are_the_logs(trained: Path, page: str) -> None:
    log = log_of(trained / "run")
    drawn = payload(page)
    assert drawn["axes"]["step"] == [2, 4]
    assert drawn["axes"]["tokens"] == [entry["tokens"] for entry in log]
    columns = [series["values"] for series in drawn["charts"]["loss"]["series"]]
    assert columns == [[e["train_loss"] for e in log], [e["validation_loss"] for e in log]]
    text = text_of(page)
    best = min(log, key=lambda entry: entry["validation_loss"])
    assert f"Best validation loss {best['validation_loss']} at step {best['step']}" in text
    assert f"BLEU {log[-1]['bleu']} at step 4" in text
    assert f"{log[-1]['tokens']:,} target tokens" in text


def test_the_recipe_marks_what_differs(page: str) -> None:
    rows = re.findall(r"<tr( class=\"changed\")?><th scope=\"row\">(\w+)</th>", page)
    changed = {name for mark, name in rows if mark}
    assert {"d_model", "num_heads", "directions", "max_steps"} <= changed
    assert not changed & {"dropout", "seed", "label_smoothing"}
    assert "Largest norm of the gradient." in text_of(page)  # what the code says of clip_norm


def test_text_of_the_data_is_only_text(run: Path) -> None:
    page = report_on(run, (EVIL, "en-de"))
    assert EVIL not in page
    assert f"{EVIL} a dog" in text_of(page)
    assert payload(page)["attention"][0]["source"] == EVIL
    assert page.count("</script>") == page.count("<script") == 3


def test_the_page_loads_nothing(page: str) -> None:
    assert not re.findall(r"""(?:src|href|action)\s*=\s*["']?\s*(?!#|data:)[^"'\s>]""", page)
    assert not re.findall(r"@import|url\(|fetch\(|XMLHttpRequest|import\(", page)
    assert "default-src 'none'" in page
    assert len(page.encode()) < 1_000_000


def test_directions_share_an_epoch_by_their_weight(page: str) -> None:
    assert "en → de \u00d7 2 42 66.7 % de → en 21 33.3 %" in text_of(page)


def test_every_head_is_drawn_and_its_rows_add_up(run: Path) -> None:
    sample = payload(report_on(run, ("a dog runs", "en-de")))["attention"][0]
    num_source, num_target = len(sample["source_pieces"]), len(sample["target_pieces"]) - 1
    assert sample["source"] == "a dog runs"
    assert sample["source_pieces"][0] == "<2de>"
    assert sample["target_pieces"][0] == "<s>"
    shapes = {"encoder": (2, num_source, num_source), "decoder": (1, num_target, num_target)}
    for kind, (layers, rows, keys) in (shapes | {"cross": (1, num_target, num_source)}).items():
        assert [len(heads) for heads in sample[kind]] == [2] * layers
        for weights in (head for heads in sample[kind] for head in heads):
            assert len(weights) == rows * keys
            sums = [sum(weights[row * keys : (row + 1) * keys]) for row in range(rows)]
            assert all(abs(total - 1000) <= keys for total in sums)


def test_maps_that_would_make_the_page_too_large_are_left_out(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.report.samples.MAX_WEIGHTS", 50)
    page = report_on(run, ("a dog runs", "en-de"))
    assert payload(page)["attention"] == []
    assert "“a dog runs” would make this page too large" in text_of(page)


def test_a_sentence_beyond_the_model_is_named(run: Path) -> None:
    page = report_on(run, ("dog " * 100, "en-de"), ("a cat", "en-de"))
    assert "is longer than the model's 96 tokens" in text_of(page)
    assert [sample["source"] for sample in payload(page)["attention"]] == ["a cat"]


def test_an_unfinished_run_uses_its_newest_weights(run: Path) -> None:
    for name in ("summary.json", "model.safetensors"):
        (run / name).unlink()
    text = text_of(report_on(run))
    assert "unfinished" in text
    assert "4 of 4 steps" in text
    assert "translated greedily by step-0000004.safetensors" in text


def test_a_continued_run_is_unfinished_whatever_its_old_summary_says(run: Path) -> None:
    with (run / "log.jsonl").open("a", encoding="utf-8") as log:
        log.write(json.dumps({"step": 6, "validation_loss": 1.0}) + "\n")
    text = text_of(report_on(run))
    assert "unfinished" in text
    assert "translated greedily by step-0000004.safetensors" in text


def test_a_run_that_has_just_begun_has_a_recipe_and_text(run: Path) -> None:
    for path in [*run.glob("*.safetensors"), run / "log.jsonl", run / "summary.json"]:
        path.unlink()
    page = report_on(run)
    assert "translations : the run has no weights yet" in text_of(page)
    assert "curves : the log has no measurement yet" in text_of(page)
    assert set(payload(page)["charts"]) == {"sides", "languages", "ranks"}
    assert "num_encoder_layers" in page


def test_without_its_corpus_a_run_still_has_curves_and_asked_for_maps(run: Path) -> None:
    recipe = yaml.safe_load((run / "config.yaml").read_text())
    recipe["data"] |= {"corpora": ["tsv:gone.tsv"], "validation": "tsv:away.tsv"}
    (run / "config.yaml").write_text(yaml.safe_dump(recipe))
    page = report_on(run, ("a dog runs", "en-de"))
    assert re.search(r"text : .*gone\.tsv", text_of(page))
    assert re.search(r"translations : .*away\.tsv", text_of(page))
    assert {"loss", "quality"} <= set(payload(page)["charts"])
    assert len(payload(page)["attention"]) == 1


def test_damaged_weights_and_tokenizer_are_named(run: Path) -> None:
    (run / "tokenizer.model").write_bytes(b"nothing")
    assert "text : tokenizer.model is missing or damaged" in text_of(report_on(run))
    for path in run.glob("*.safetensors"):
        path.write_bytes(b"nothing")
    assert re.search(r"attention : .*safetensors", text_of(report_on(run)))


def test_a_loss_that_ran_away_is_a_gap(run: Path) -> None:
    with (run / "log.jsonl").open("a", encoding="utf-8") as log:
        log.write('{"step": 6, "train_loss": NaN, "validation_loss": Infinity}\n{"step": 8, "tra')
    series = payload(report_on(run))["charts"]["loss"]["series"]
    assert [column["values"][-1] for column in series] == [None, None]


def test_dropped_rows_are_told_where_they_were_counted(run: Path) -> None:
    counts = {"multi<30k>": {"kept": 9000, "empty": 3, "duplicate": 1200}}
    (run / "hygiene.json").write_text(json.dumps(counts))
    assert "multi<30k> 9,000 3 empty, 1,200 duplicate" in text_of(report_on(run))
    (run / "hygiene.json").unlink()
    assert "Rows dropped" not in report_on(run)


def test_the_folder_is_left_as_it_was(run: Path, tmp_path: Path) -> None:
    before = {path.name: path.read_bytes() for path in run.iterdir()}
    write_report(run, tmp_path / "elsewhere.html")
    assert {path.name: path.read_bytes() for path in run.iterdir()} == before


def test_the_command_writes_beside_the_run(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(run), "--sentence", "de-en: ein Hund: rennt"]) == 0
    assert str(run / "report.html") in capsys.readouterr().out
    sample = payload((run / "report.html").read_text(encoding="utf-8"))["attention"][0]
    assert (sample["source"], sample["direction"]) == ("ein Hund: rennt", ["de", "en"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "nowhere is no training run: it has no config.yaml"),
        (["{run}", "--sentence", "a dog"], "it must be SOURCE-TARGET:TEXT"),
        (["{run}", "--sentence", "en-fr:a dog"], "'en-fr' is no direction of this run"),
        (["{run}", "--output", "{run}"], "could not be written"),
    ],
)
def test_wrong_input_is_one_line(
    run: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert main([argument.format(run=run) for argument in arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert message in error
    assert error.count("\n") == 1


def test_words_that_differ_are_marked_with_the_space_between_them() -> None:
    expected, found = differences("a red old dog runs.", "a dog runs fast.")
    assert expected == [Span("a ", False), Span("red old", True), Span(" dog runs.", False)]
    assert found == [Span("a dog runs ", False), Span("fast", True), Span(".", False)]


@pytest.mark.parametrize("text", ["", "same words, same order", "我喜欢狗。", "  two  spaces "])
def test_equal_sentences_have_no_marks(text: str) -> None:
    spans = differences(text, text)
    assert spans[0] == spans[1]
    assert "".join(span.text for span in spans[0]) == text
    assert not any(span.is_different for span in spans[0])


def test_json_in_a_script_cannot_end_it() -> None:
    text = str(script_json({"a": "</script><!--&\u2028"}))
    assert not set("<>&\u2028") & set(text)
    assert json.loads(text) == {"a": "</script><!--&\u2028"}


def test_figures_for_people() -> None:
    assert [compact(n) for n in (7, 950, 6_812_016, 999_960, 2.5e9)] == [
        "7",
        "950",
        "6.81 M",
        "1 M",
        "2.5 G",
    ]
    assert [duration(m) for m in (0.35, 12.04, 59.7, 109.08)] == [
        "0.3 min",
        "12 min",
        "1 h 0 min",
        "1 h 49 min",
    ]
