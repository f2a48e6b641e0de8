"""The model that a newcomer meets first."""

from __future__ import annotations

import pytest
from attendant.load.sentences import SENTENCES

from demos.bundled import PACKAGE as FOLDER
from server import engine_host
from server.engine.wire import HostSpec
from server.engines import decode_greedy, make_engine
from server.package import TOKENIZER_FILE, ModelPackage, open_package
from server.text.tokenizer import Tokenizer


@pytest.fixture(scope="module")
def package() -> ModelPackage:
    return open_package(FOLDER)


def test_it_loads_and_its_samples_come_out_as_at_the_export(
    caplog: pytest.LogCaptureFixture,
) -> None:
    variant, _engines = engine_host.load(HostSpec(FOLDER, "", "cpu", 8, 1, 1, ageing_s=5.0))
    assert variant == "cpu-int8"
    assert caplog.text == ""


def test_it_ships_small_in_int8_with_evidence_for_both_precisions(package: ModelPackage) -> None:
    assert list(package.manifest.variants) == ["cpu-int8"]
    assert set(package.manifest.evidence) == {"pytorch", "cpu-int8", "cpu-fp32"}
    models = FOLDER.parent.parent
    assert sum(path.stat().st_size for path in models.rglob("*") if path.is_file()) < 30e6


def test_its_sentences_are_the_same_alone_and_in_any_batch(package: ModelPackage) -> None:
    manifest = package.manifest
    tokenizer = Tokenizer(package.read_file(TOKENIZER_FILE), manifest.special_ids)
    # Every beginning of every sentence: hundreds of sources, of every length there is.
    words = [sentence.split() for sentence in SENTENCES]
    texts = sorted({" ".join(w[:end]) for w in words for end in range(1, len(w) + 1)})
    sources = [tokenizer.encode(text, "de") for text in texts]
    limits = [manifest.target_limit(len(source)) for source in sources]
    alone = decode_greedy(make_engine(package, "cpu-int8", 1, 1), sources, limits)
    for num_slots in (7, 64):
        engine = make_engine(package, "cpu-int8", num_slots, 1)
        assert decode_greedy(engine, sources, limits) == alone


@pytest.mark.parametrize(
    ("source", "target", "text", "expected"),
    [
        ("en", "de", "A man is riding a bicycle.", "Ein Mann fährt auf einem Fahrrad."),
        ("de", "en", "Zwei Hunde spielen im Schnee.", "Two dogs play in the snow."),
    ],
)
def test_it_translates_a_caption(
    package: ModelPackage, source: str, target: str, text: str, expected: str
) -> None:
    tokenizer = Tokenizer(package.read_file(TOKENIZER_FILE), package.manifest.special_ids)
    assert f"{source}-{target}" in package.manifest.directions
    engine = make_engine(package, "cpu-int8", 1, 1)
    (ids,) = decode_greedy(engine, [tokenizer.encode(text, target)], [60])
    assert tokenizer.decode(ids) == expected
