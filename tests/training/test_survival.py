"""What a training run survives: being killed at any moment, a full disk, a torn file."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from tests.training.tiny import write_tsv
from training.checkpoint import read_checkpoint

ROOT = Path(__file__).parents[2]
NUM_STEPS = 160
"""Enough for the run to be still at work when it is killed the last time."""


LIMITED = """
import os, resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]),) * 2)
os.execv(sys.executable, [sys.executable, "-m", "training", *sys.argv[2:]])
"""
"""Trains where no file may grow beyond the first argument, in bytes."""


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with all that draws: dropout, sampled segmentations, corrupted sentences."""
    tmp_path = tmp_path_factory.mktemp("recipe")
    corpus = f"tsv:{write_tsv(tmp_path / 'pairs.tsv')}"
    data = {"corpora": [corpus], "validation": corpus, "vocabulary_size": 400}
    document = {
        "data": data | {"sampling_alpha": 0.3, "denoise": ["de"], "batch_tokens": 128},
        "model": {"d_model": 16, "num_heads": 2, "d_ff": 32, "max_length": 64, "dropout": 0.2}
        | {"num_encoder_layers": 1, "num_decoder_layers": 1},
        "train": {"max_steps": NUM_STEPS, "validate_every": 4, "num_threads": 1}
        | {"validation_sentences": 0, "patience": 0, "device": "cpu"},
    }
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def whole(recipe: Path) -> Path:
    """The run as it ends when nothing comes in between."""
    process = start(recipe, recipe.parent / "whole")
    assert "Traceback" not in finish(process)
    return recipe.parent / "whole"


def assert_same_weights(first: Path, second: Path) -> None:
    one, other = (read_checkpoint(path / "model.safetensors").tensors for path in (first, second))
    assert [name for name, tensor in one.items() if not tensor.equal(other[name])] == []


def start(recipe: Path, output: Path, *overrides: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "training", str(recipe), f"train.output={output}"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen([*command, *overrides], cwd=ROOT, text=True, **pipes)


def finish(process: subprocess.Popen[str]) -> str:
    """Waits for its end; returns what it said on standard error."""
    _, error = process.communicate(timeout=120)
    return error


def wait_for_log(path: Path, num_lines: int, process: subprocess.Popen[str]) -> None:
    while process.poll() is None:
        if path.exists() and path.read_text().count("\n") >= num_lines:
            return
        time.sleep(0.002)


def test_a_run_killed_again_and_again_ends_at_the_same_weights(
    recipe: Path, whole: Path, tmp_path: Path
) -> None:
    draws, output = random.Random(1), tmp_path / "killed"
    num_killed = 0
    for num_lines in (1, 6, 11):
        process = start(recipe, output)
        wait_for_log(output / "log.jsonl", num_lines, process)
        time.sleep(draws.uniform(0, 0.03))  # anywhere: in a step, in a validation, in a write
        process.kill()
        process.communicate()
        num_killed += process.returncode == -9
    process = start(recipe, output)
    assert "Traceback" not in finish(process)
    assert (process.returncode, num_killed) == (0, 3)
    assert_same_weights(whole, output)
    logs = [
        [json.loads(line) for line in (path / "log.jsonl").read_text().splitlines()]
        for path in (whole, output)
    ]
    figures = [[(e["step"], e["tokens"], e["validation_loss"]) for e in log] for log in logs]
    assert figures[0] == figures[1]
    assert not [*output.glob("*.partial")]


def test_a_full_disk_is_an_error_and_the_last_good_state_stays(
    recipe: Path, whole: Path, tmp_path: Path
) -> None:
    output = tmp_path / "run"
    finish(start(recipe, output, "train.max_steps=8"))
    state = (output / "state.safetensors").read_bytes()
    process = subprocess.run(
        [
            sys.executable,
            "-c",
            LIMITED,
            str(len(state) // 2),
            str(recipe),
            f"train.output={output}",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert process.returncode == 2
    (line,) = [line for line in process.stderr.splitlines() if line.startswith("error: ")]
    assert "could not be written: File too large" in line
    assert "Traceback" not in process.stderr
    assert (output / "state.safetensors").read_bytes() == state
    assert not [*output.glob("*.partial")]
    finish(start(recipe, output))
    assert_same_weights(whole, output)


def test_a_torn_state_is_named_and_left_alone(recipe: Path, tmp_path: Path) -> None:
    output = tmp_path / "run"
    finish(start(recipe, output, "train.max_steps=8"))
    path = output / "state.safetensors"
    torn = path.read_bytes()[:-100]
    path.write_bytes(torn)
    process = start(recipe, output)
    error = finish(process)
    assert process.returncode == 2
    assert f"error: {path}: " in error
    assert path.read_bytes() == torn
    assert (output / "step-0000008.safetensors").exists()
