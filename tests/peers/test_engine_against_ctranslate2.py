"""Our engine against CTranslate2, float32, on our checkpoint: captions in both directions, all in
flight at once, each with options of its own.

Where CTranslate2 4.8.5 means something else by the same words:

- the length in its scores counts a forced prefix, ours does not: hypotheses after a prefix are
  compared without a length penalty, and their scores with it by what each divides by;
- with `length_penalty` 0 a beam stops when the best hypothesis has ended and there are
  `num_hypotheses`: a penalty of 1e-6 says the same and keeps the rule;
- in the first step after a prefix, a beam loses an end of sentence that is not its best
  continuation: there, no sentence may end so soon;
- `min_decoding_length` is 1 where nothing is said: here it is 0;
- an alternative does not begin with the end of sentence, and its score is the log-probability of
  its first token and, added to it, the normalised one of the rest: they are compared without a
  length penalty.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain

import numpy as np
import pytest

from benchmarks.ctranslate2_converter import convert
from demos.bundled import CHECKPOINT
from server.engine.options import DecodingOptions
from server.engines import make_engine
from server.package import ModelPackage
from tests.export.tiny_package import write_package
from tests.peers import PeerHypothesis, single_thread
from tests.peers.ctranslate2_model import CTranslate2Model, CTranslate2Options
from tests.peers.sentences import captions
from tests.peers.test_engine_against_marian import (
    NUM_SLOTS,
    TOLERANCE,
    VARIANT,
    Pair,
    Served,
    Work,
    assert_same,
    decode,
    decode_mixed,
    tokens_of,
)
from training.checkpoint import load_model
from training.config import BOS_ID, EOS_ID, PAD_ID
from training.tokenizer import Tokenizer

NUM_TOKENS = 28  # some translations are longer
NUM_CAPTIONS = 200
NUM_BACK = 40
"""Translations that are translated back."""
BEGINNINGS = {"de": ("Ein Mann", "Zwei", "Drei Leute stehen", "Im"), "en": ("A man", "Several")}
NO_PENALTY = 1e-6


@dataclass(frozen=True)
class Sentence:
    """A source, and tokens that its translation can be made to begin with."""

    source: list[int]
    prefix: tuple[int, ...]


@dataclass(frozen=True)
class Case:
    """Options of both that mean the same."""

    theirs: CTranslate2Options
    ours: DecodingOptions
    step: int = 1
    """Only one sentence of so many is for it."""
    is_forced: bool = False

    def work(self, sentences: Sequence[Sentence]) -> list[Work]:
        chosen = sentences[:: self.step]
        return [(s.source, self.after(s.prefix) if self.is_forced else self.ours) for s in chosen]

    def after(self, prefix: tuple[int, ...]) -> DecodingOptions:
        """At least one token follows `prefix` before the end: CTranslate2 may want it so."""
        least = max(self.ours.min_target_tokens, len(prefix) + 1)
        return replace(self.ours, prefix=prefix, min_target_tokens=least)


GREEDY = Case(CTranslate2Options(NUM_TOKENS), DecodingOptions(NUM_TOKENS, is_scored=True))
BEAM = Case(
    CTranslate2Options(NUM_TOKENS, beam_size=4, num_hypotheses=4),
    DecodingOptions(NUM_TOKENS, beam_size=4, num_hypotheses=4),
)
SAME = {
    "greedy": [GREEDY],
    "beam": [BEAM],
    "patience": [
        Case(
            replace(BEAM.theirs, patience=2.0, length_penalty=0.6),
            replace(BEAM.ours, patience=2.0, length_penalty=0.6),
            step=2,
        )
    ],
    "prefix": [
        Case(
            replace(case.theirs, length_penalty=NO_PENALTY, min_decoding_length=6),
            replace(case.ours, length_penalty=NO_PENALTY, min_target_tokens=6),
            step=4,
            is_forced=True,
        )
        for case in (GREEDY, BEAM)
    ],
    "repetition": [
        Case(
            replace(BEAM.theirs, repetition_penalty=1.5),
            replace(BEAM.ours, repetition_penalty=1.5),
            step=4,
        ),
        Case(
            replace(BEAM.theirs, no_repeat_ngram_size=1),
            replace(BEAM.ours, no_repeat_ngram_size=1),
            step=4,
        ),
    ],
}
OTHERS = {
    "attention": [
        Case(
            replace(case.theirs, return_attention=True),
            replace(case.ours, is_aligned=True),
            step=4,
        )
        for case in (GREEDY, BEAM)
    ],
    "prefix, length penalty": [
        Case(
            replace(BEAM.theirs, min_decoding_length=6),
            replace(BEAM.ours, min_target_tokens=6),
            step=4,
            is_forced=True,
        )
    ],
    "alternatives": [
        Case(
            CTranslate2Options(NUM_TOKENS, num_hypotheses=3, length_penalty=0.0),
            replace(GREEDY.ours, num_alternatives=3, length_penalty=0.0),
            step=2,
            is_forced=True,
        )
    ],
}
"""Compared each in its own way."""
CASES = SAME | OTHERS


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    with single_thread():
        yield


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> ModelPackage:
    folder = tmp_path_factory.mktemp("multi30k") / "package"
    return write_package(load_model(CHECKPOINT)[0], folder, (VARIANT,))


@pytest.fixture(scope="module")
def peer(tmp_path_factory: pytest.TempPathFactory) -> CTranslate2Model:
    return CTranslate2Model(convert(CHECKPOINT, tmp_path_factory.mktemp("ctranslate2") / "model"))


@pytest.fixture(scope="module")
def sentences(package: ModelPackage) -> list[Sentence]:
    """English captions, and German ones, which are translations of some of them."""
    tokenizer = Tokenizer(CHECKPOINT.with_name("tokenizer.model"))
    engine = make_engine(package, VARIANT, NUM_SLOTS, num_threads=1)
    sources = [tokenizer.encode_source(text, "de") for text in captions(NUM_CAPTIONS)]
    work = [(source, GREEDY.ours) for source in sources[:NUM_BACK]]
    german = [tokenizer.decode(list(best.tokens)) for (best,) in decode(engine, work)]
    back = [tokenizer.encode_source(text, "en") for text in german]
    beginnings = {
        language: [tuple(tokenizer.encode_target(text)[1:-1]) for text in texts]
        for language, texts in BEGINNINGS.items()
    }
    return [
        Sentence(source, beginnings[language][i % len(beginnings[language])])
        for language, some in (("de", sources), ("en", back))
        for i, source in enumerate(some)
    ]


@pytest.fixture(scope="module")
def served(package: ModelPackage, sentences: list[Sentence]) -> Served:
    """What our engine finds for every one of CASES, all of them together."""
    work = {name: work_of(name, sentences) for name in CASES}
    return decode_mixed(package, work)


def work_of(name: str, sentences: list[Sentence]) -> list[Work]:
    return list(chain(*(case.work(sentences) for case in CASES[name])))


def pairs_of(
    name: str, peer: CTranslate2Model, sentences: list[Sentence], served: Served
) -> list[Pair]:
    theirs: list[list[PeerHypothesis]] = []
    for case in CASES[name]:
        work = case.work(sentences)
        prefixes = [options.prefix for _, options in work]
        theirs += peer.translate([source for source, _ in work], case.theirs, prefixes)
    three = zip(work_of(name, sentences), served[name], theirs, strict=True)
    return [Pair(*each) for each in three]


@pytest.mark.parametrize("name", SAME)
def test_hypotheses_and_scores_are_those_of_ctranslate2(
    name: str,
    peer: CTranslate2Model,
    sentences: list[Sentence],
    package: ModelPackage,
    served: Served,
) -> None:
    assert_same(pairs_of(name, peer, sentences, served), package)


def test_attention_is_that_of_ctranslate2(
    peer: CTranslate2Model, sentences: list[Sentence], package: ModelPackage, served: Served
) -> None:
    """The last layer's, the mean of its heads."""
    pairs = pairs_of("attention", peer, sentences, served)
    assert_same(pairs, package)
    for pair in pairs:
        for ours, theirs in zip(pair.ours, pair.theirs, strict=True):
            if ours.tokens == theirs.tokens:
                assert len(ours.attention) == len(ours.tokens)
                found, expected = np.array(ours.attention), np.array(theirs.attention)  # (T, S)
                assert found.shape[1] == len(pair.work[0])
                np.testing.assert_allclose(found, expected, rtol=0, atol=TOLERANCE)


def test_a_score_leaves_out_the_length_of_the_prefix_which_ctranslate2_counts(
    peer: CTranslate2Model, sentences: list[Sentence], served: Served
) -> None:
    pairs = pairs_of("prefix, length penalty", peer, sentences, served)
    num_same = 0
    for pair in pairs:
        theirs = {hypothesis.tokens: hypothesis.score for hypothesis in pair.theirs}
        for hypothesis in pair.ours:
            if hypothesis.tokens in theirs:
                length = len(hypothesis.tokens)
                expected = hypothesis.score * length / (length + len(pair.work[1].prefix))
                assert theirs[hypothesis.tokens] == pytest.approx(expected, abs=TOLERANCE)
                num_same += 1
    assert num_same >= 0.95 * sum(len(pair.ours) for pair in pairs)


def test_alternatives_are_those_of_ctranslate2(
    peer: CTranslate2Model, sentences: list[Sentence], package: ModelPackage, served: Served
) -> None:
    (case,) = CASES["alternatives"]
    work = case.work(sentences)
    theirs = alternatives(peer, work, case.theirs)
    three = zip(work, served["alternatives"], theirs, strict=True)
    assert_same([Pair(*each) for each in three], package)


def alternatives(
    peer: CTranslate2Model, work: Sequence[Work], options: CTranslate2Options
) -> list[list[PeerHypothesis]]:
    """CTranslate2's, each continued greedily; the best first token first."""
    ids = {piece: i for i, piece in enumerate(peer.pieces)}
    results = peer.translator.translate_batch(
        [[peer.pieces[i] for i in source] for source, _ in work],
        target_prefix=[[peer.pieces[i] for i in ours.prefix] for _, ours in work],
        return_alternatives=True,
        min_alternative_expansion_prob=0.0,
        suppress_sequences=[[peer.pieces[i]] for i in (PAD_ID, BOS_ID)],
        beam_size=1,
        num_hypotheses=options.num_hypotheses,
        length_penalty=options.length_penalty,
        max_decoding_length=options.max_decoding_length,
        min_decoding_length=0,
        return_scores=True,
        return_end_token=True,
    )
    return [
        [
            PeerHypothesis(tuple(ids[piece] for piece in pieces[len(ours.prefix) :]), score)
            for pieces, score in zip(result.hypotheses, result.scores, strict=True)
        ]
        for (_, ours), result in zip(work, results, strict=True)
    ]


def test_there_is_something_to_compare(sentences: list[Sentence], served: Served) -> None:
    lists = {name: [tokens_of(found) for found in served[name]] for name in CASES}
    greedy = [best for (best,) in lists["greedy"]]
    best = [first for first, *_ in lists["beam"]]
    assert len(sentences) == NUM_CAPTIONS + NUM_BACK
    assert len({len(tokens) for tokens in best}) >= 15
    assert {tokens[-1] == EOS_ID for tokens in best} == {True, False}
    assert sum(a != b for a, b in zip(greedy, best, strict=True)) >= 60
    for name in ("beam", "patience", "repetition", "alternatives"):
        assert all(len(set(found)) == len(found) > 2 for found in lists[name])
    for name, step in (("patience", 2), ("repetition", 4)):
        plain = lists["beam"][::step] * (step // 2)
        assert sum(a != b for a, b in zip(plain, lists[name], strict=True)) >= 30
