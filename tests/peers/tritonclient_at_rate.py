"""Runs in .venv-tritonclient: Triton's own client, driven by hand at a fixed rate.

Usage: python tritonclient_at_rate.py TARGET MODEL TEXTS RATE WARM_UP_S DURATION_S

Each request leaves when it is due, whatever became of those before, and is timed from then. Writes
the latencies of those that were due after the warm-up, in seconds, and the failures as JSON.
"""

import json
import queue
import sys
import time
from pathlib import Path

import numpy as np
import tritonclient.grpc as triton

EN_DE = {"source_language": "en", "target_language": "de"}
PATIENCE_S = 60


def tensor(text):
    array = np.array([text], dtype=np.object_)
    given = triton.InferInput("text", [1], "BYTES")
    given.set_data_from_numpy(array)
    return given


def drive(client, model, texts, rate, end_s):
    """Sends until the end; returns when each request was due, done, and its error if it failed."""
    ended = queue.Queue()
    tensors = [tensor(text) for text in texts]
    start = time.monotonic()
    due_s = [n / rate for n in range(int(end_s * rate))]
    for number, at_s in enumerate(due_s):
        time.sleep(max(0.0, start + at_s - time.monotonic()))

        def callback(result, error, at_s=at_s):
            ended.put((at_s, time.monotonic() - start, error))

        given = [tensors[number % len(tensors)]]
        client.async_infer(model, given, callback, parameters=EN_DE, client_timeout=PATIENCE_S)
    return [ended.get(timeout=PATIENCE_S) for _ in due_s]


def main():
    target, model, texts, rate, warm_up_s, duration_s = sys.argv[1:]
    lines = Path(texts).read_text(encoding="utf-8").splitlines()
    client = triton.InferenceServerClient(target)
    client.infer(model, [tensor(lines[0])], parameters=EN_DE)  # opens the connection
    end_s = float(warm_up_s) + float(duration_s)
    ended = drive(client, model, lines, float(rate), end_s)
    measured = [(done - due, error) for due, done, error in ended if due >= float(warm_up_s)]
    latencies_s = [latency for latency, error in measured if error is None]
    failures = [str(error) for _, error in measured if error is not None]
    json.dump({"latencies_s": latencies_s, "failures": failures}, sys.stdout)


if __name__ == "__main__":
    main()
