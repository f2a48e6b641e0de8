"""CTranslate2 by its own API and nothing of ours: what a setup reaches in a plain script.

    python plain.py MODEL TOKENS.json '{"inter_threads": 2, ...}' '{"beam_size": 4, ...}' AT_ONCE

TOKENS.json is a list of lists of pieces; AT_ONCE is 1 to translate one after the other, 0 for all
in one call. Prints seconds for all of them, the best of three runs.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import ctranslate2


def main() -> None:
    """Loads, warms up, measures."""
    model, tokens, device, options, at_once = sys.argv[1:]
    translator = ctranslate2.Translator(model, "cpu", **json.loads(device))
    texts = json.loads(Path(tokens).read_text("utf-8"))
    decoding = json.loads(options)
    translator.translate_batch(texts[:8], **decoding)
    calls = [[text] for text in texts] if at_once == "1" else [texts]
    times = []
    for _ in range(3):
        started = time.perf_counter()
        for call in calls:
            translator.translate_batch(call, **decoding)
        times.append(time.perf_counter() - started)
    print(min(times))


if __name__ == "__main__":
    main()
