"""Argument types and options that more than one subcommand has."""

import argparse
import math


def positive_number(text: str) -> float:
    """Parses a number above 0, not infinite."""
    number = float(text)
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"must be a number above 0: {text}")
    return number


def positive_count(text: str) -> int:
    """Parses a whole number of at least 1."""
    count = int(text)
    if count < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1: {text}")
    return count


def add_target(parser: argparse.ArgumentParser, is_required: bool = True) -> None:
    """Adds the option that names the server."""
    parser.add_argument("--target", required=is_required, metavar="HOST:PORT", help="the server")


def add_timeout(parser: argparse.ArgumentParser, default_s: float, what: str) -> None:
    """Adds the option that limits how long something may take."""
    parser.add_argument(
        "--timeout",
        type=positive_number,
        default=default_s,
        metavar="S",
        dest="timeout_s",
        help=f"seconds that {what} may take (default: %(default)g)",
    )
