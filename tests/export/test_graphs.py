"""The graphs do what PyTorch does, step by step, run by the server's own runner."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from server.engines import decode_greedy, make_engine
from server.package import open_package
from server.runtime.model_runner import ModelRunner
from server.runtime.sessions import Sessions
from tests.export.conftest import Exported
from tests.export.tiny_package import random_sources
from training.checkpoint import load_model
from training.generated import generate
from training.model import Transformer
from training.search import greedy_search, max_target_tokens
from training.tokenizer import Tokenizer

NUM_STEPS = 60
STARTS = [0, 3, 4, 11, 23]
"""The step at which each row joins: rows of one batch are at different positions throughout."""


def forced_targets(model: Transformer, count: int) -> list[list[int]]:
    """Random tokens after the start token, as many as there are steps."""
    tokens = torch.randint(4, model.config.vocabulary_size, (count, NUM_STEPS - 1)).tolist()
    return [[model.config.bos_id, *row] for row in tokens]


@torch.inference_mode()
def pytorch_logits(model: Transformer, source: list[int], target: list[int]) -> np.ndarray:
    """float (T, V), the whole target at once, without a cache."""
    return model(torch.tensor([source]), torch.tensor([target]))[0].numpy()


def runner_logits(
    runner: ModelRunner, sources: list[list[int]], targets: list[list[int]], starts: list[int]
) -> list[np.ndarray]:
    """Each row's logits, float (T, V), T what is left of the steps after its start."""
    logits: list[list[np.ndarray]] = [[] for _ in sources]
    for step in range(NUM_STEPS):
        for row in (row for row, start in enumerate(starts) if start == step):
            runner.encode([sources[row]], [row])
        running = [row for row, start in enumerate(starts) if start <= step]
        tokens = [targets[row][step - starts[row]] for row in running]
        for row, row_logits in zip(running, runner.decode_step(tokens), strict=True):
            logits[row].append(row_logits.copy())
    return [np.stack(row) for row in logits]


def test_fp32_logits_equal_pytorchs_at_every_step_of_60(exported: Exported) -> None:
    model = exported.model
    sources = random_sources(len(STARTS))
    targets = forced_targets(model, len(sources))
    runner = ModelRunner(Sessions(exported.package, "cpu-fp32", 1), len(sources))
    found = runner_logits(runner, sources, targets, STARTS)
    for source, target, logits in zip(sources, targets, found, strict=True):
        expected = pytorch_logits(model, source, target[: len(logits)])
        assert np.abs(logits - expected).max() < 1e-4
    assert len(found[0]) == NUM_STEPS


def test_int8_logits_stay_near_pytorchs(exported: Exported) -> None:
    model, sources = exported.model, random_sources(4)
    targets = forced_targets(model, len(sources))
    runner = ModelRunner(Sessions(exported.package, "cpu-int8", 1), len(sources))
    found = np.concatenate(runner_logits(runner, sources, targets, [0] * 4))
    pairs = zip(sources, targets, strict=True)
    expected = np.concatenate([pytorch_logits(model, *pair) for pair in pairs])
    assert 1e-4 < np.abs(found - expected).mean() < 0.1 * expected.std()


def test_a_slot_used_before_leaves_no_trace(paper: Exported) -> None:
    first, second = random_sources(2, seed=3)
    targets = forced_targets(paper.model, 2)
    used = ModelRunner(Sessions(paper.package, "cpu-fp32", 1), 1)
    runner_logits(used, [first], targets[:1], [0])
    fresh = ModelRunner(Sessions(paper.package, "cpu-fp32", 1), 1)
    one, other = (runner_logits(r, [second], targets[1:], [0])[0] for r in (used, fresh))
    assert np.array_equal(one, other)


@pytest.mark.parametrize("num_slots", [1, 16])
def test_the_engine_generates_pytorchs_tokens(exported: Exported, num_slots: int) -> None:
    model = exported.model
    sources = random_sources(60 if num_slots > 1 else 4, max_tokens=20)
    limits = [max_target_tokens(len(s), model.config.max_length) for s in sources]
    engine = make_engine(exported.package, "cpu-fp32", num_slots, num_threads=1)
    expected = greedy_search(model, sources)
    assert decode_greedy(engine, sources, limits) == expected
    assert len({len(ids) for ids in expected}) > 1  # rows leave at different steps


def test_the_engine_generates_a_trained_models_tokens(
    numbers_checkpoint: Path, numbers_package: Path
) -> None:
    model, _ = load_model(numbers_checkpoint)
    tokenizer = Tokenizer(numbers_checkpoint.parent / "tokenizer.model")
    numbers = generate("numbers", ("en", "de"), "val").sides["en"][:60]
    sources = [tokenizer.encode_source(number, "de") for number in numbers]
    limits = [max_target_tokens(len(s), model.config.max_length) for s in sources]
    engine = make_engine(open_package(numbers_package), "cpu-fp32", 16, num_threads=1)
    expected = greedy_search(model, sources)
    assert decode_greedy(engine, sources, limits) == expected
    num_ended = sum(len(ids) < limit for ids, limit in zip(expected, limits, strict=True))
    assert num_ended > 50  # by themselves, not at their limit


@pytest.mark.parametrize("variant", ["cpu-int8", "cpu-fp32"])
@pytest.mark.parametrize("num_slots", [7, 64])
def test_a_sentence_has_the_same_tokens_alone_and_in_any_batch(
    paper: Exported, variant: str, num_slots: int
) -> None:
    sources = random_sources(64)
    limits = [len(source) + 8 for source in sources]
    together = decode_greedy(
        make_engine(paper.package, variant, num_slots, num_threads=1), sources, limits
    )
    alone = make_engine(paper.package, variant, 1, num_threads=1)
    for i in range(0, 64, 9):
        assert decode_greedy(alone, [sources[i]], [limits[i]]) == [together[i]]


@pytest.mark.parametrize("num_rows", [7, 64])
def test_int8_logits_have_the_same_bits_alone_and_in_any_batch(
    exported: Exported, num_rows: int
) -> None:
    sources, num_steps = random_sources(num_rows, seed=2), 20
    targets = forced_targets(exported.model, num_rows)
    together, alone = (
        ModelRunner(Sessions(exported.package, "cpu-int8", 1), n) for n in (num_rows, 1)
    )
    together.encode(sources, list(range(num_rows)))
    found = [
        together.decode_step([row[step] for row in targets]).copy() for step in range(num_steps)
    ]
    for row in range(0, num_rows, max(1, num_rows // 7)):
        alone.encode([sources[row]], [0])
        for step in range(num_steps):
            assert np.array_equal(alone.decode_step([targets[row][step]])[0], found[step][row])
