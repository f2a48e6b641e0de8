"""python -m server --models models --port 50051"""

from __future__ import annotations

import asyncio
import logging
import os
import sys

from server.config import parse_config
from server.errors import AttendantError
from server.rpc.app import serve_until_signalled


def main(arguments: list[str] | None = None) -> int:
    """The exit code: 0 after a clean stop, 1 if it could not start, 2 for an unknown option."""
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    try:
        config = parse_config(sys.argv[1:] if arguments is None else arguments, os.environ)
        asyncio.run(serve_until_signalled(config))
    except AttendantError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
