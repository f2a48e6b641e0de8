"""The caches of cuda-fp16, by the code that a GPU runs, with ONNX Runtime's CPU as the device."""

from __future__ import annotations

import numpy as np
import pytest

from server.engine.options import DecodingOptions
from server.engines import decode_all, decode_greedy, make_engine
from server.package import ModelPackage
from server.runtime import device_cache
from server.runtime.device_cache import DeviceCache, _Copies
from server.runtime.model_runner import ModelRunner
from server.runtime.sessions import Sessions
from tests.server.test_batch_invariance import random_sources

SOURCE = [4, 20, 30, 40, 2]


@pytest.fixture(scope="module")
def sessions(half_package: ModelPackage) -> Sessions:
    return Sessions(half_package, "cuda-fp16", 1, device="cpu")


@pytest.fixture
def runner(sessions: Sessions) -> ModelRunner:
    return ModelRunner(sessions, num_slots=6)


def cache_of(runner: ModelRunner) -> DeviceCache:
    assert isinstance(runner.cache, DeviceCache)
    return runner.cache


def arrays(runner: ModelRunner) -> tuple[np.ndarray, np.ndarray]:
    """Self- and cross-attention, fp16 (C, N, H, P, K) each."""
    cache = cache_of(runner)
    return cache._self.value.numpy().copy(), cache._cross.value.numpy().copy()


def sources_of(package: ModelPackage, count: int) -> list[list[int]]:
    return random_sources(count, package.manifest.architecture.vocabulary_size, seed=1)


def steps(runner: ModelRunner, tokens: list[list[int]]) -> list[np.ndarray]:
    """The logits of every step over all rows."""
    return [runner.decode_step(row).copy() for row in tokens]


def test_logits_are_near_fp32s(half_package: ModelPackage, runner: ModelRunner) -> None:
    exact = ModelRunner(Sessions(half_package, "cpu-fp32", 1), num_slots=6)
    sources = sources_of(half_package, 6)
    tokens = np.random.default_rng(1).integers(6, 100, (20, 6)).tolist()
    for one in (runner, exact):
        one.encode(sources, range(6))
    found, expected = np.stack(steps(runner, tokens)), np.stack(steps(exact, tokens))
    assert found.dtype == np.float32
    assert 0 < np.abs(found - expected).max() < 0.05


def test_nearly_all_tokens_are_fp32s(half_package: ModelPackage) -> None:
    sources = sources_of(half_package, 120)
    limits = [40] * len(sources)
    found = decode_greedy(make_engine(half_package, "cuda-fp16", 64, 1, "cpu"), sources, limits)
    expected = decode_greedy(make_engine(half_package, "cpu-fp32", 64, 1), sources, limits)
    num_exact = sum(a == b for a, b in zip(found, expected, strict=True))
    assert num_exact / len(sources) >= 0.9


@pytest.mark.parametrize("in_flight", [1, 7])
def test_tokens_are_the_same_alone_and_in_any_batch(
    half_package: ModelPackage, in_flight: int
) -> None:
    sources = sources_of(half_package, 64)
    engine = make_engine(half_package, "cuda-fp16", 64, 1, "cpu")
    together = decode_greedy(engine, sources, [40] * 64)
    for start in range(0, 28, in_flight):
        chosen = sources[start : start + in_flight]
        assert decode_greedy(engine, chosen, [40] * len(chosen)) == together[start:][: len(chosen)]


def test_logits_are_the_same_bits_alone_and_beside_others(
    half_package: ModelPackage, sessions: Sessions
) -> None:
    sources = sources_of(half_package, 16)
    tokens = np.random.default_rng(3).integers(6, 100, (12, 16)).tolist()
    together, alone = (ModelRunner(sessions, 16) for _ in range(2))
    together.encode(sources, range(16))
    batched = steps(together, tokens)
    for row in (0, 5, 15):
        alone.encode([sources[row]], [0])
        for step, logits in enumerate(steps(alone, [[row_tokens[row]] for row_tokens in tokens])):
            assert np.array_equal(logits[0], batched[step][row])


def test_beams_are_fp32s(half_package: ModelPackage) -> None:
    sources = sources_of(half_package, 24)
    options = [DecodingOptions(30, beam_size=4, num_hypotheses=2)] * len(sources)
    found, expected = (
        [[h.tokens for h in result] for result in decode_all(engine, sources, options)]
        for engine in (
            make_engine(half_package, "cuda-fp16", 20, 1, "cpu"),
            make_engine(half_package, "cpu-fp32", 20, 1),
        )
    )
    assert sum(a == b for a, b in zip(found, expected, strict=True)) >= 20


def test_a_moved_row_goes_on_as_if_it_had_not_moved(runner: ModelRunner) -> None:
    tokens = [1, 9, 17, 25]
    runner.encode([SOURCE, SOURCE], [0, 1])
    stayed = [logits[0] for logits in steps(runner, [[token, token] for token in tokens])]
    runner.encode([[4, 50, 2], SOURCE], [0, 1])
    steps(runner, [[7, token] for token in tokens[:2]])
    runner.copy(source=1, target=0, is_sibling=False)
    for token, expected in zip(tokens[2:], stayed[2:], strict=True):
        assert np.array_equal(runner.decode_step([token])[0], expected)


def test_a_sibling_gets_the_past_and_keeps_its_source(runner: ModelRunner) -> None:
    runner.encode([SOURCE] * 2, [0, 1])
    steps(runner, [[1, 1], [9, 17]])
    before = arrays(runner)
    runner.copy(source=0, target=1, is_sibling=True)
    first, second = runner.decode_step([33, 33])
    assert np.array_equal(first, second)
    assert np.array_equal(arrays(runner)[1], before[1])


def test_copies_that_follow_each_other_are_done_in_their_order(runner: ModelRunner) -> None:
    sources = [[4, 20 + i, 2] for i in range(4)]
    runner.encode(sources, range(4))
    steps(runner, [[1, 1, 1, 1], [9, 17, 25, 33]])
    past, cross = arrays(runner)
    for source, target in ((1, 0), (3, 1), (0, 3), (2, 2)):  # 0 to 3 is 1 by then
        runner.copy(source, target, is_sibling=False)
    runner.cache.before_step(runner._decoder.io_binding(), runner._inputs)
    for now, then in zip(arrays(runner), (past, cross), strict=True):
        for target, origin in enumerate((1, 3, 2, 1)):
            assert np.array_equal(now[:, target], then[:, origin])


def test_a_copy_of_a_copy_reads_what_is_there_now() -> None:
    copies = _Copies()
    for source, target in ((1, 0), (0, 2), (5, 1), (3, 3)):
        copies.add(source, target)
    assert copies.take() == ([1, 1, 5], [0, 2, 1])
    assert copies.take() == ([], [])


def test_a_new_source_is_written_after_the_copies_that_read_its_slot(runner: ModelRunner) -> None:
    runner.encode([[4, 50, 2], SOURCE], [0, 1])
    expected = arrays(runner)[1][:, 1]
    runner.copy(source=1, target=0, is_sibling=False)
    runner.encode([[4, 60, 70, 2]], [1])
    assert np.array_equal(arrays(runner)[1][:, 0], expected)


def test_cross_keys_land_in_their_slots_and_nowhere_else(
    half_package: ModelPackage, runner: ModelRunner
) -> None:
    sources = sources_of(half_package, 120)[40:60]  # more than the encoder takes at once
    large = ModelRunner(Sessions(half_package, "cuda-fp16", 1, device="cpu"), 24)
    slots = list(range(23, 3, -1))
    large.encode(sources, slots)
    _, cross = arrays(large)
    assert not cross[:, :4].any()
    runner.encode([sources[17]], [2])
    length = len(sources[17])
    _, alone = arrays(runner)
    assert np.array_equal(alone[:, 2, :, :length], cross[:, slots[17], :, :length])


def test_a_slot_that_is_not_fed_keeps_its_past(runner: ModelRunner) -> None:
    runner.encode([SOURCE] * 2, [0, 1])
    expected = [logits[1] for logits in steps(runner, [[1, 1], [9, 17], [25, 33]])]
    runner.encode([SOURCE] * 2, [0, 1])
    steps(runner, [[1, 1], [9, 17], [25], [33]][:3])
    assert np.array_equal(runner.decode_step([40, 33])[1], expected[2])


def test_a_full_slot_that_is_not_fed_writes_into_no_other(runner: ModelRunner) -> None:
    runner.encode([SOURCE] * 3, [0, 1, 2])
    longest = cache_of(runner)._self.shape[3]
    runner._past_lengths[1] = longest
    before, _ = arrays(runner)
    runner.decode_step([9])
    now, _ = arrays(runner)
    changed = np.argwhere((now != before).any(axis=(0, 2, 4)))
    assert {tuple(row) for row in changed.tolist()} <= {
        (0, 0),
        (1, longest - 1),
        *((slot, 0) for slot in range(2, 6)),
    }


def test_alignment_is_what_the_host_computes(
    half_package: ModelPackage, runner: ModelRunner
) -> None:
    exact = ModelRunner(Sessions(half_package, "cpu-fp32", 1), num_slots=6)
    for one in (runner, exact):
        one.encode([SOURCE, [4, 9, 8, 7, 6, 5, 2]], [0, 1])
        steps(one, [[1, 1], [9, 17]])
    for slot, length in ((0, 5), (1, 7)):
        found = runner.attention(slot)
        assert found.dtype == np.float32
        assert found.shape == (length,)
        assert found.sum() == pytest.approx(1.0, abs=1e-5)
        assert np.abs(found - exact.attention(slot)).max() < 5e-3


def test_the_encoder_always_gets_as_many_rows(
    runner: ModelRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    shapes = []
    project = DeviceCache._project

    def record(self: DeviceCache, encoder: object, inputs: dict[str, np.ndarray]) -> object:
        shapes.append(inputs["input_ids"].shape)
        return project(self, encoder, inputs)

    monkeypatch.setattr(DeviceCache, "_project", record)
    runner.encode([[4] * length for length in (2, 16, 17)], range(3))
    assert sorted(shapes) == [(device_cache.ENCODER_ROWS, 16), (device_cache.ENCODER_ROWS, 32)]


def test_all_caches_are_two_bytes_a_number(half_package: ModelPackage, runner: ModelRunner) -> None:
    shape = half_package.manifest.architecture
    numbers = 4 * shape.num_decoder_layers * 6 * shape.d_model * shape.max_length
    assert runner.cache.num_bytes == 2 * numbers
    assert runner.num_slots == 6
