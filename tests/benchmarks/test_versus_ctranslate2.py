from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.ctranslate2_converter import convert_model
from benchmarks.versus_ctranslate2.__main__ import as_dict, checks, plain_seconds
from benchmarks.versus_ctranslate2.models import Model
from benchmarks.versus_ctranslate2.ours import Ours
from benchmarks.versus_ctranslate2.report import Comparison, draw, table
from benchmarks.versus_ctranslate2.setups import our_setups, their_setups
from benchmarks.versus_ctranslate2.theirs import Theirs
from benchmarks.versus_ctranslate2.worker import Worker, WorkerError
from benchmarks.versus_ctranslate2.workload import LINES, Run, Sentence, Setup
from server.package import write_draft
from tests.export.tiny_package import PAPER, make_model, random_sources, write_package

LATENCY, THROUGHPUT, BEAM_LATENCY, BEAM_THROUGHPUT = LINES
OURS, THEIRS = Setup(1, 1, "cpu-fp32", num_slots=8), Setup(1, 1, "float32", batch_size=8)


def comparison(our_seconds: list[float], their_seconds: list[float]) -> Comparison:
    return Comparison(
        THROUGHPUT,
        OURS,
        THEIRS,
        [Run(seconds, 1000) for seconds in our_seconds],
        [Run(seconds, 900) for seconds in their_seconds],
        plain_seconds=0.9,
        tried={},
    )


def test_a_ratio_is_of_neighbouring_runs_and_of_their_tokens() -> None:
    found = comparison([1.0, 2.0, 1.0], [1.0, 1.8, 3.6])
    assert found.ratios == pytest.approx([1000 / 900, 1.0, 4.0])
    assert found.ratio == pytest.approx(1000 / 900)
    assert found.plain_share == pytest.approx(0.9)


def test_one_sentence_at_a_time_is_compared_by_its_time() -> None:
    alone = Comparison(LATENCY, OURS, THEIRS, [Run(1.0, 1)], [Run(3.0, 1000)], 3.0, {})
    assert alone.ratio == 3.0


def test_every_figure_is_in_the_table_the_json_and_the_picture(tmp_path: Path) -> None:
    found = {"bundled": [comparison([1.0], [1.8])], "base": [comparison([2.0], [1.8])]}
    row = (
        "| bundled | throughput | 1,000 tokens/s | 500 tokens/s | **2.00** (2.00 to 2.00) | 1 | 2 |"
    )
    assert row in table(found).splitlines()
    ratios = json.loads(json.dumps(as_dict(found, [39.0, 39.1])))["ratios"]
    assert ratios == {"bundled": {"throughput": 2.0}, "base": {"throughput": pytest.approx(1.0)}}
    draw(found, tmp_path / "ratios.png")
    assert (tmp_path / "ratios.png").read_bytes().startswith(b"\x89PNG")


def test_what_would_make_the_ratios_worthless_is_said() -> None:
    found = {"bundled": [comparison([1.0], [1.0])]}
    assert checks(found, [39.0, 39.3]) == [
        "BLEU differs by more than 0.2",
        "bundled, throughput: CTranslate2 reached 90% of a plain script",
    ]
    assert checks({"bundled": [comparison([1.0], [0.9])]}, [39.0, 39.1]) == []


def test_both_are_tried_with_every_way_to_use_the_cores() -> None:
    assert {(s.workers, s.threads) for s in our_setups(LATENCY, 2)} == {(1, 1), (1, 2)}
    for setups in (our_setups(THROUGHPUT, 2), their_setups(THROUGHPUT, 2)):
        assert {(s.workers, s.threads) for s in setups} == {(1, 1), (1, 2), (2, 1)}
    for setup in our_setups(BEAM_THROUGHPUT, 2):
        assert setup.workers * setup.num_slots == 64
    assert {setup.batch_size for setup in their_setups(THROUGHPUT, 2)} == {64, 32, 16}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    """A tiny random model on both sides, in float32: then both find the same."""
    folder = tmp_path_factory.mktemp("model")
    torch_model = make_model(PAPER)
    package = write_package(torch_model, folder / "ours", ("cpu-fp32",))
    write_draft(package.folder, package.manifest)
    pieces = ["<pad>", "<s>", "</s>", "<unk>", *(f"p{i}" for i in range(4, 300))]
    theirs = convert_model(torch_model, pieces, folder / "theirs")
    sentences = [Sentence(source, 12, 12) for source in random_sources(12)]
    return Model("tiny", package.folder, theirs, sentences)


@pytest.mark.parametrize(("beam_size", "in_flight"), [(1, 1), (1, 8), (4, 1), (4, 2)])
@pytest.mark.parametrize("workers", [1, 2])
def test_both_engines_translate_the_same_work_alike(
    model: Model, beam_size: int, in_flight: int, workers: int
) -> None:
    ours = Ours(model.ours, Setup(workers, 1, "cpu-fp32", num_slots=8))
    theirs = Theirs(model.theirs, Setup(workers, 1, "float32", batch_size=8))
    expected = theirs.translate(model.sentences, beam_size, in_flight)
    found = ours.translate(model.sentences, beam_size, in_flight)
    assert [len(tokens) for tokens in found] == [12] * 12
    num_same = sum(mine == its for mine, its in zip(found, expected, strict=True))
    assert num_same >= 11  # rounding may turn a close choice


def test_a_worker_takes_its_own_time(model: Model) -> None:
    worker = Worker("ours", model.ours)
    worker.set_up(OURS, model.sentences)
    run = worker.run(THROUGHPUT)
    assert run.tokens == 12 * 12
    assert 0 < run.seconds < 60
    assert len(worker.outputs(THROUGHPUT)) == 12
    worker.close()


def test_a_worker_that_dies_is_said_to_have(model: Model, tmp_path: Path) -> None:
    worker = Worker("theirs", tmp_path)
    with pytest.raises(WorkerError, match="theirs: exit code 1"):
        worker.set_up(THEIRS, model.sentences)
    worker.close()


def test_a_plain_script_does_the_same_work(model: Model) -> None:
    for line in (LATENCY, THROUGHPUT):
        assert 0 < plain_seconds(model, line, THEIRS, model.sentences) < 60
