from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from training.checkpoint import read_checkpoint
from training.config import ConfigError
from training.parallel import join_workers

ROOT = Path(__file__).parents[2]


def losses(output: Path, num_processes: int, accumulate: int) -> list[float]:
    """Of fifty steps of the same training in so many processes."""
    output.mkdir()
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={num_processes}"]
    command = [sys.executable, *(launcher if num_processes > 1 else [])]
    command += ["-m", "tests.training.two_workers", str(output), str(accumulate)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    found: list[float] = json.loads((output / "trace.json").read_text())
    return found


@pytest.mark.parametrize("accumulate", [1, 3, 4])
def test_two_processes_train_what_one_process_trains(tmp_path: Path, accumulate: int) -> None:
    alone = tmp_path / "alone"
    expected = losses(alone, 1, accumulate)
    found = losses(tmp_path / "run", 2, accumulate)
    assert len(found) == 50
    assert max(abs(a - b) for a, b in zip(found, expected, strict=True)) < 1e-5
    assert found[-1] < found[0] - 0.2  # it did learn
    one, other = (
        read_checkpoint(path / "model.safetensors").tensors for path in (alone, tmp_path / "run")
    )
    for name, tensor in one.items():
        if name.endswith("w_k.bias"):
            continue  # softmax does not feel it: its gradient is rounding, which Adam blows up
        torch.testing.assert_close(other[name], tensor, atol=1e-4, rtol=1e-3)


def test_one_process_needs_no_group(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with join_workers("cpu") as workers:
        assert (workers.rank, workers.world_size, workers.is_first) == (0, 1, True)
        assert workers.sum([1.5, 2.0]) == [1.5, 2.0]
        assert workers.from_first([3.0]) == [3.0]
        workers.wait()
        assert not torch.distributed.is_initialized()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_named() -> None:
    with pytest.raises(ConfigError, match="finds no GPU"), join_workers("cuda"):
        pass
