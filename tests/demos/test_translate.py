from __future__ import annotations

import os
import re
import subprocess

from demos.server_process import REPOSITORY


def test_make_demo_translates_three_sentences_and_stops_cleanly() -> None:
    # Not this run's MAKEFLAGS: the demo is a make of its own.
    environment = {k: v for k, v in os.environ.items() if not k.startswith("MAKE")}
    result = subprocess.run(
        ["make", "--no-print-directory", "demo"],
        cwd=REPOSITORY,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=110,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert (
        len(re.findall(r"^(?:en|de|fr|cs)  \S.*\[\d+\.\d ms\]$", result.stdout, re.MULTILINE)) == 3
    )
    assert result.stdout.endswith("server stopped, exit code 0\n")
