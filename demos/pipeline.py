"""make pipeline: train, export, verify, serve and translate, from nothing and without a download.

The text is generated: English numbers below 10,000, spelled out in German. There is one right
answer, so the model is judged by how many numbers that it never saw come out exactly right, through
the real endpoint.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from pathlib import Path

from attendant import Client

from demos.server_process import REPOSITORY, running_server
from training.generated import generate

RUN = Path("runs/pipeline")
REQUIRED = 0.95
TEXTS_PER_CALL = 100


def main() -> int:
    """Returns the exit code: 0 if enough unseen numbers came out exactly right."""
    started = time.monotonic()
    shutil.rmtree(REPOSITORY / RUN, ignore_errors=True)
    python = [sys.executable, "-m"]
    recipe = "training/configs/numbers.yaml"
    checkpoint, package = RUN / "checkpoint", RUN / "models" / "numbers" / "1"
    _run("train", [*python, "training", recipe, f"train.output={checkpoint}"])
    _run("export and verify", [*python, "export", f"{checkpoint}/model.safetensors", str(package)])
    _say("serve and translate numbers that training never saw")
    num_right, num_asked = _ask(REPOSITORY / RUN / "models")
    minutes = (time.monotonic() - started) / 60
    share = num_right / num_asked
    print(f"\n{num_right} of {num_asked} exactly right ({share:.1%}), {minutes:.1f} minutes in all")
    return 0 if num_right >= REQUIRED * num_asked else 1


def _run(title: str, command: list[str]) -> None:
    _say(title)
    subprocess.run(command, cwd=REPOSITORY, check=True)


def _say(title: str) -> None:
    print(f"\n--- {title}", flush=True)


def _ask(models: Path) -> tuple[int, int]:
    """How many of the held-out numbers come out exactly right, and how many there are."""
    unseen = generate("numbers", ("en", "de"), "val")
    answers: list[str] = []
    with running_server(models, "--drain-delay-s", "0") as server, Client(server.target) as client:
        for start in range(0, len(unseen), TEXTS_PER_CALL):
            texts = unseen.sides["en"][start : start + TEXTS_PER_CALL]
            translations = client.translate(texts, source_language="en", target_language="de")
            answers += [translation.text for translation in translations]
    for source, answer in list(zip(unseen.sides["en"], answers, strict=True))[:3]:
        print(f"{source}  ->  {answer}")
    num_right = sum(
        answer == expected for answer, expected in zip(answers, unseen.sides["de"], strict=True)
    )
    return num_right, len(unseen)


if __name__ == "__main__":
    sys.exit(main())
