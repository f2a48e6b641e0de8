"""python -m server.keys new NAME: a new API key.

The entry for the file of keys goes to standard output, the key itself to standard error, once:
`python -m server.keys new web >> keys.toml` shows it and keeps only its hash.
"""

from __future__ import annotations

import argparse
import sys

from server.config import PERMISSIONS
from server.security.keys import NAME, new_key


def main(arguments: list[str] | None = None) -> int:
    """The exit code: 0, or 2 for a command line that is wrong."""
    parser = argparse.ArgumentParser(prog="python -m server.keys", description=__doc__)
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    new = commands.add_parser("new", help="make a key and its entry for the file")
    new.add_argument("name", type=_name, help="whom calls are counted to: letters, digits, - and _")
    new.add_argument(
        "--permission",
        action="append",
        choices=PERMISSIONS,
        help="what it may do, translate where nothing is said; can be given twice",
    )
    asked = parser.parse_args(arguments)
    key, digest = new_key()
    permissions = ", ".join(f'"{each}"' for each in asked.permission or ["translate"])
    print(f'[keys.{asked.name}]\nsha256 = "{digest}"\npermissions = [{permissions}]\n', flush=True)
    print(f"the key of {asked.name}, shown this once: {key}", file=sys.stderr)
    return 0


def _name(text: str) -> str:
    if not NAME.fullmatch(text):
        raise argparse.ArgumentTypeError("letters, digits, - and _, 64 at most")
    return text


if __name__ == "__main__":
    sys.exit(main())
