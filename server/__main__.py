"""python -m server --models models --port 50051"""

from __future__ import annotations

import asyncio
import os
import sys

from server.config import parse_config
from server.errors import AttendantError, CredentialsError
from server.log import configure_logging
from server.rpc.app import serve_until_signalled


def main(arguments: list[str] | None = None) -> int:
    """The exit code: 0 after a clean stop, 1 if it could not start, 2 for an unknown option or for
    certificates and keys that cannot be used.
    """
    try:
        config = parse_config(sys.argv[1:] if arguments is None else arguments, os.environ)
        configure_logging(config.log_format)
        asyncio.run(serve_until_signalled(config))
    except AttendantError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2 if isinstance(error, CredentialsError) else 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
