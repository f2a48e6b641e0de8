"""Our engine against Hugging Face's `generate`: Marian's random weights in our graphs, all
sentences in flight at once, each with options of its own.

Where `generate` means something else by the same words:

- its `max_new_tokens` and `min_new_tokens` leave out a forced prefix, which our lengths count;
- in a beam it forbids tokens after the softmax, and unless `renormalize_logits` is set, what
  remains does not share their probability; we forbid before the softmax;
- in a beam its repetition penalty acts on log-probabilities; ours acts on logits, as both do in
  greedy search. No setting makes them the same.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain

import numpy as np
import pytest
from transformers import MarianMTModel

from server.engine.engine import Engine, Runner
from server.engine.options import DecodingOptions, EarlyStopping
from server.engines import decode_all, make_engine
from server.package import ModelPackage
from server.runtime.kv_cache import FloatArray
from server.runtime.model_runner import ModelRunner
from server.runtime.sessions import Sessions
from tests.export.tiny_package import write_package
from tests.peers import PeerHypothesis, single_thread
from tests.peers.marian import (
    MarianOptions,
    generate,
    random_marian,
    random_sources,
    to_transformer,
)
from tests.server.engine.fake_runner import FakeRunner
from training.config import BOS_ID, EOS_ID, PAD_ID

VARIANT = "cpu-fp32"
NUM_SLOTS = 64
TOLERANCE = 1e-4
"""Of scores, relative and absolute."""
ROUNDING = 1e-4
"""What a logit may be off by: a float32 sum depends on the order of its terms. Over 24 tokens it
moves a log-probability by a few ten-thousandths.
"""
NUM_SHAKES = 64

Work = tuple[list[int], DecodingOptions]


# What the comparison with CTranslate2 uses too.


@dataclass(frozen=True)
class Pair:
    """The translations of one source by us and by a peer, with options that mean the same."""

    work: Work
    ours: list[PeerHypothesis]
    theirs: list[PeerHypothesis]

    @property
    def is_same(self) -> bool:
        """Whether the whole list has the same tokens in the same order."""
        return tokens_of(self.ours) == tokens_of(self.theirs)


def tokens_of(hypotheses: Sequence[PeerHypothesis]) -> list[tuple[int, ...]]:
    return [hypothesis.tokens for hypothesis in hypotheses]


def decode(engine: Engine, work: Sequence[Work]) -> list[list[PeerHypothesis]]:
    """What `engine` makes of each of `work`, all in flight at once, written as a peer's."""
    sources, options = [source for source, _ in work], [option for _, option in work]
    return [
        [
            PeerHypothesis(
                tuple(h.tokens[len(option.prefix) :]),
                h.score(len(option.prefix), option.length_penalty),
                tuple(tuple(row.tolist()) for row in h.attention[len(option.prefix) :]),
            )
            for h in hypotheses
        ]
        for option, hypotheses in zip(options, decode_all(engine, sources, options), strict=True)
    ]


def decode_mixed(
    package: ModelPackage, work: dict[str, list[Work]]
) -> dict[str, list[list[PeerHypothesis]]]:
    """As `decode`, all of `work` through one engine, in an order that puts all kinds of options
    into every batch.
    """
    engine = make_engine(package, VARIANT, NUM_SLOTS, num_threads=1)
    num_running: list[int] = []
    engine.on_step = lambda stats: num_running.append(stats.num_running)
    keys = [(name, i) for name, some in work.items() for i in range(len(some))]
    random.Random(1).shuffle(keys)
    found = dict(zip(keys, decode(engine, [work[name][i] for name, i in keys]), strict=True))
    assert max(num_running) >= NUM_SLOTS // 4  # not one after the other
    return {name: [found[name, i] for i in range(len(some))] for name, some in work.items()}


def assert_same(pairs: Sequence[Pair], package: ModelPackage, are_scored: bool = True) -> None:
    """Same tokens and scores, but for at most one in 100 where rounding decides."""
    different = [pair for pair in pairs if not pair.is_same]
    print(f"{len(pairs)} sentences, {len(different)} with other hypotheses")
    assert len(different) <= len(pairs) // 100
    if different:
        shaken = shaken_engine(ModelRunner(Sessions(package, VARIANT, 1), NUM_SLOTS))
        assert all(is_tie(pair, shaken) for pair in different)
    for pair in pairs if are_scored else []:
        if pair.is_same:
            expected = [hypothesis.score for hypothesis in pair.theirs]
            found = [hypothesis.score for hypothesis in pair.ours]
            assert found == pytest.approx(expected, rel=TOLERANCE, abs=TOLERANCE)


def is_tie(pair: Pair, shaken: Engine) -> bool:
    """Whether our own search finds their list when each logit is moved by up to ROUNDING: then
    whatever decided lay nearer than rounding can tell, at whichever step it was decided.
    """
    found = decode(shaken, [pair.work] * NUM_SHAKES)
    return any(tokens_of(hypotheses) == tokens_of(pair.theirs) for hypotheses in found)


class ShakenRunner:
    """A runner whose logits are as wrong as rounding can make them."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self._random = np.random.default_rng(1)

    def __getattr__(self, name: str) -> object:
        return getattr(self._runner, name)

    def decode_step(self, tokens: list[int]) -> FloatArray:
        logits = self._runner.decode_step(tokens)  # (n, V)
        logits += self._random.uniform(-ROUNDING, ROUNDING, logits.shape)
        return logits


def shaken_engine(runner: Runner) -> Engine:
    return Engine(ShakenRunner(runner), BOS_ID, EOS_ID, never=[PAD_ID, BOS_ID])


# What is compared with Marian.

NUM_TOKENS = 24
LENGTHS = (3, 10, 5, 8)  # few, as only sources of one length share a batch of `generate`
HALVES = (LENGTHS[:2], LENGTHS[2:])
SOURCES = [source for source in random_sources(600, seed=5) if len(source) in LENGTHS][:200]
PREFIXES = [
    tuple(4 + (5 * i + 7 * j) % 60 for j in range(1 + len(source) % 3))
    for i, source in enumerate(SOURCES)
]
STOPPING = {
    "patience": (True, EarlyStopping.PATIENCE),
    "heuristic": (False, EarlyStopping.HEURISTIC),
    "never": ("never", EarlyStopping.NEVER),
}


@dataclass(frozen=True)
class Case:
    """Options of both that mean the same, and the sources they are for."""

    theirs: MarianOptions
    ours: DecodingOptions
    lengths: tuple[int, ...] = LENGTHS
    """Of its sources."""
    is_forced: bool = False
    """Whether each source has its prefix."""

    @property
    def work(self) -> list[Work]:
        return [
            (source, self.after(prefix if self.is_forced else ()))
            for source, prefix in zip(SOURCES, PREFIXES, strict=True)
            if len(source) in self.lengths
        ]

    def after(self, prefix: tuple[int, ...]) -> DecodingOptions:
        """Our lengths count the prefix."""
        least, most = self.ours.min_target_tokens, self.ours.max_target_tokens
        return replace(
            self.ours,
            prefix=prefix,
            min_target_tokens=least + len(prefix) if least else 0,
            max_target_tokens=most + len(prefix),
        )


def beam(stopping: str, beam_size: int = 4, length_penalty: float = 1.0) -> Case:
    """All hypotheses of the beam are asked for."""
    theirs, ours = STOPPING[stopping]
    return Case(
        MarianOptions(
            NUM_TOKENS,
            num_beams=beam_size,
            num_return_sequences=beam_size,
            length_penalty=length_penalty,
            early_stopping=theirs,
        ),
        DecodingOptions(
            NUM_TOKENS,
            beam_size=beam_size,
            num_hypotheses=beam_size,
            length_penalty=length_penalty,
            early_stopping=ours,
        ),
    )


def constrained(case: Case) -> Case:
    """At least eight tokens and the end of sentence; no two tokens twice."""
    return replace(
        case,
        theirs=replace(case.theirs, min_new_tokens=8, no_repeat_ngram_size=2),
        ours=replace(case.ours, min_target_tokens=8, no_repeat_ngram_size=2),
    )


def penalised(case: Case) -> Case:
    return replace(
        case,
        theirs=replace(case.theirs, repetition_penalty=1.3),
        ours=replace(case.ours, repetition_penalty=1.3),
    )


GREEDY = Case(MarianOptions(NUM_TOKENS), DecodingOptions(NUM_TOKENS, is_scored=True))
BEAM = beam("patience")
RENORMALISED = replace(BEAM, theirs=replace(BEAM.theirs, is_renormalized=True))
SAME = {
    "greedy": [GREEDY],
    **{
        stopping: [
            replace(beam(stopping, length_penalty=length_penalty), lengths=HALVES[i % 2])
            for i, length_penalty in enumerate((0.0, 0.6, 1.0, 2.0))
        ]
        for stopping in STOPPING
    },
    "beams of 2 to 8": [
        replace(beam("heuristic", beam_size), lengths=LENGTHS[i % 4 : i % 4 + 1])
        for i, beam_size in enumerate((2, 3, 5, 6, 7, 8))
    ],
    "prefix, greedy": [replace(GREEDY, is_forced=True)],
    "prefix": [
        replace(beam(stopping), lengths=half, is_forced=True)
        for stopping, half in zip(("heuristic", "never"), HALVES, strict=True)
    ],
    "constrained": [
        replace(constrained(RENORMALISED), lengths=half, is_forced=is_forced)
        for half, is_forced in zip(HALVES, (False, True), strict=True)
    ],
}
NOT_SCORED = {"constrained, greedy": [replace(penalised(constrained(GREEDY)), is_forced=True)]}
"""`generate` scores no greedy search; what is compared elsewhere are the unconstrained model's
log-probabilities.
"""
DIFFERENT = {
    "not renormalised": [replace(constrained(BEAM), lengths=HALVES[0])],
    "penalised": [replace(penalised(BEAM), lengths=HALVES[0])],
}
CASES = SAME | NOT_SCORED | DIFFERENT

Served = dict[str, list[list[PeerHypothesis]]]


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    with single_thread():
        yield


@pytest.fixture(scope="module")
def marian() -> MarianMTModel:
    return random_marian()


@pytest.fixture(scope="module")
def package(marian: MarianMTModel, tmp_path_factory: pytest.TempPathFactory) -> ModelPackage:
    folder = tmp_path_factory.mktemp("marian") / "package"
    return write_package(to_transformer(marian), folder, (VARIANT,))


@pytest.fixture(scope="module")
def served(package: ModelPackage) -> Served:
    """What our engine finds for every one of CASES, all of them together."""
    work = {name: list(chain(*(case.work for case in cases))) for name, cases in CASES.items()}
    return decode_mixed(package, work)


def pairs_of(name: str, marian: MarianMTModel, served: Served) -> list[Pair]:
    work = list(chain(*(case.work for case in CASES[name])))
    theirs: list[list[PeerHypothesis]] = []
    for case in CASES[name]:
        sources, options = zip(*case.work, strict=True)
        theirs += generate(marian, sources, case.theirs, [ours.prefix for ours in options])
    return [Pair(*three) for three in zip(work, served[name], theirs, strict=True)]


@pytest.mark.parametrize("name", [*SAME, *NOT_SCORED])
def test_hypotheses_and_scores_are_those_of_generate(
    name: str, marian: MarianMTModel, package: ModelPackage, served: Served
) -> None:
    pairs = pairs_of(name, marian, served)
    assert len(pairs) >= 200
    assert_same(pairs, package, are_scored=name in SAME)


def test_what_remains_shares_the_probability_of_what_is_forbidden(
    marian: MarianMTModel, served: Served
) -> None:
    """In a beam of `generate` it does not, so that its scores are lower, and others may win."""
    pairs = pairs_of("not renormalised", marian, served)
    scores = {(i, h.tokens): h.score for i, pair in enumerate(pairs) for h in pair.ours}
    gains = [
        scores[i, h.tokens] - h.score
        for i, pair in enumerate(pairs)
        for h in pair.theirs
        if (i, h.tokens) in scores
    ]
    assert min(gains) > -TOLERANCE
    assert sum(gain > 0.01 for gain in gains) > len(gains) / 2
    assert sum(not pair.is_same for pair in pairs) >= 20


def test_a_repetition_penalty_acts_on_logits_in_beams_too(
    marian: MarianMTModel, served: Served
) -> None:
    """In a beam of `generate` it multiplies log-probabilities. The comparison with CTranslate2 has
    it as we do.
    """
    pairs = pairs_of("penalised", marian, served)
    assert sum(not pair.is_same for pair in pairs) >= 40


def test_there_is_something_to_compare(served: Served) -> None:
    greedy = {
        tuple(source): tokens_of(found)[0]
        for source, found in zip(SOURCES, served["greedy"], strict=True)
    }
    lists = {name: [tokens_of(found) for found in served[name]] for name in STOPPING}
    work = list(chain(*(case.work for case in SAME["patience"])))
    best = [tokens for tokens, *_ in lists["patience"]]
    assert len({len(tokens) for tokens in best}) >= 15
    assert len(set(best)) >= 120
    assert {tokens[-1] == EOS_ID for tokens in best} == {True, False}
    assert sum(a != greedy[tuple(b)] for a, (b, _) in zip(best, work, strict=True)) >= 200
    for name, found in lists.items():
        assert all(len(set(hypotheses)) == 4 for hypotheses in found)
        others = chain(*(lists[other] for other in STOPPING if other != name))
        assert sum(a != b for a, b in zip(found + found, others, strict=True)) >= 100


@pytest.mark.parametrize(("gap", "expected"), [(ROUNDING / 2, True), (ROUNDING * 3, False)])
def test_only_what_rounding_decides_is_a_tie(gap: float, expected: bool) -> None:
    class Rivals(FakeRunner):
        """Token 7 falls short of what the script says by `gap`."""

        def decode_step(self, tokens: list[int]) -> FloatArray:
            logits = super().decode_step(tokens)
            logits[:, 7] = logits.max(axis=1) - gap
            return logits

    work = ([3], DecodingOptions(8))
    rival = PeerHypothesis((13, 7, EOS_ID), 0.0)
    pair = Pair(work, [PeerHypothesis((13, 13, EOS_ID), 0.0)], [rival])
    assert is_tie(pair, shaken_engine(Rivals(NUM_SLOTS))) == expected


def test_another_definition_is_no_tie(package: ModelPackage, served: Served) -> None:
    work = chain(*(case.work for case in SAME["patience"]))
    pairs = [
        Pair(*three) for three in zip(work, served["patience"], served["heuristic"], strict=True)
    ]
    shaken = shaken_engine(ModelRunner(Sessions(package, VARIANT, 1), NUM_SLOTS))
    different = [pair for pair in pairs if not pair.is_same]
    assert not any(is_tie(pair, shaken) for pair in different[::20])
    with pytest.raises(AssertionError):
        assert_same(pairs, package)
