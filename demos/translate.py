"""make demo: three sentences through a real server, with their latency, and a clean stop."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from attendant import Client

from demos.server_process import ServerFailed, start_server

SENTENCES = (
    ("en", "de", "A little girl in a red dress is playing with a dog in the park."),
    ("en", "fr", "Two men are repairing the roof of an old house."),
    ("cs", "en", "Žena čte na pláži knihu."),
)


def main() -> int:
    """Returns the exit code: 0 if all sentences were translated and the server stopped cleanly."""
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("--models", type=Path, default=Path("models"))
    options = parser.parse_args()
    try:
        server = start_server(options.models, "--drain-delay-s", "0")
    except ServerFailed as error:
        print(f"error: the server did not start: {error}", file=sys.stderr)
        return 1
    print(f"server ready on {server.target} after {server.ready_s:.1f} s\n")
    with Client(server.target) as client:
        for source, target, text in SENTENCES:
            started = time.perf_counter()
            translation = client.translate(text, source_language=source, target_language=target)
            milliseconds = 1000 * (time.perf_counter() - started)
            print(f"{source}  {text}\n{target}  {translation.text}   [{milliseconds:.1f} ms]\n")
    code = server.stop()
    print(f"server stopped, exit code {code}")
    return code


if __name__ == "__main__":
    sys.exit(main())
