"""The folder of one training run: state to continue from, weights to average, a log of
measurements.

At any moment, even after SIGKILL or with a full disk, the state in it is whole, and what was
written after it is taken back before a run goes on.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from training.checkpoint import (
    Checkpoint,
    CheckpointError,
    read_checkpoint,
    write_atomically,
    write_checkpoint,
)


class RunFolder:
    """Files of the run in `path`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.state_path = path / "state.safetensors"
        self.model_path = path / "model.safetensors"
        """The finished model."""
        self.tokenizer_path = path / "tokenizer.model"
        self.config_path = path / "config.yaml"
        self.log_path = path / "log.jsonl"
        self.summary_path = path / "summary.json"
        self.hygiene_path = path / "hygiene.json"
        """How many rows of each corpus were kept, and dropped for which reason."""

    def weights_paths(self) -> list[Path]:
        """Saved weights, oldest first."""
        return sorted(self.path.glob("step-*.safetensors"))

    def save(self, weights: Checkpoint, state: Checkpoint, keep: int) -> None:
        """Writes weights and state of one step; the newest `keep` weights stay."""
        step = weights.progress["step"]
        write_checkpoint(self.path / f"step-{step:07d}.safetensors", weights)
        write_checkpoint(self.state_path, state)
        for old in self.weights_paths()[:-keep]:
            old.unlink()

    def read_state(self) -> Checkpoint | None:
        """The state to continue from, or None. Raises CheckpointError for one that is damaged."""
        return read_checkpoint(self.state_path) if self.state_path.exists() else None

    def discard_after(self, step: int) -> None:
        """Takes back what is later than `step`, and the summary of a run that is to go on."""
        for path in self.weights_paths():
            if int(path.stem.removeprefix("step-")) > step:
                path.unlink()
        self.summary_path.unlink(missing_ok=True)
        entries = [entry for entry in self.read_log() if entry["step"] <= step]
        lines = [json.dumps(entry) + "\n" for entry in entries]
        if self.log_path.exists():
            write_atomically(self.log_path, "".join(lines).encode())

    def append_log(self, entry: dict[str, Any]) -> None:
        """One more measurement."""
        try:
            with self.log_path.open("a", encoding="utf-8") as log:
                log.write(json.dumps(entry) + "\n")
        except OSError as error:
            raise CheckpointError(f"{self.log_path}: {error.strerror}") from error

    def read_log(self) -> list[dict[str, Any]]:
        """All measurements, oldest first; a last line that was cut off is left out. Raises
        CheckpointError for a log that is damaged elsewhere.
        """
        if not self.log_path.exists():
            return []
        lines = self.log_path.read_text(encoding="utf-8").splitlines()
        entries = []
        for number, line in enumerate(lines, start=1):
            try:
                entries.append(json.loads(line))
            except json.JSONDecodeError as error:
                if number < len(lines):
                    raise CheckpointError(f"{self.log_path}, line {number}: {error}") from error
        return entries
