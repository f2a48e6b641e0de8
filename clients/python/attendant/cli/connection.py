"""Options that say how to reach a server, and what a client is made with for them."""

import argparse
import os
from pathlib import Path
from typing import TypedDict

from attendant.cli.outcome import CommandError, ExitCode
from attendant.security import TLS, key_metadata

KEY_VARIABLE = "ATTENDANT_API_KEY"


class Connection(TypedDict):
    """Arguments of both clients."""

    tls: TLS | None
    api_key: str | None
    allow_plaintext_key: bool


def add_tls(parser: argparse.ArgumentParser) -> None:
    """Adds the options of TLS."""
    group = parser.add_argument_group("encryption")
    group.add_argument("--tls", action="store_true", help="encrypt; the next ones imply it")
    group.add_argument("--ca", metavar="FILE", help="PEM file of the authorities to trust")
    group.add_argument("--cert", metavar="FILE", help="PEM file of the client's own certificate")
    group.add_argument("--cert-key", metavar="FILE", help="PEM file of its private key")
    group.add_argument("--server-name", metavar="NAME", help="whom the server's certificate is for")


def add_key(parser: argparse.ArgumentParser) -> None:
    """Adds the options of API keys; a key itself is no argument, for others can see those."""
    group = parser.add_argument_group("API key")
    group.add_argument(
        "--key-file",
        metavar="FILE",
        help=f"file with the API key; without it, the environment variable {KEY_VARIABLE}",
    )
    group.add_argument(
        "--plaintext-key",
        action="store_true",
        help="send the key to another machine though nothing is encrypted",
    )


def read_tls(arguments: argparse.Namespace) -> TLS | None:
    """Returns what the options of TLS say. Raises CommandError for a file that cannot be read."""
    names = (arguments.ca, arguments.cert, arguments.cert_key, arguments.server_name)
    if not arguments.tls and not any(names):
        return None
    try:
        tls = TLS(*names)
        tls.credentials()
    except ValueError:
        message = "--cert and --cert-key: one is given without the other"
        raise CommandError(message, ExitCode.USAGE) from None
    except OSError as error:
        raise CommandError(f"{error.filename}: {error.strerror}", ExitCode.USAGE) from error
    return tls


def read_connection(arguments: argparse.Namespace) -> Connection:
    """Returns what all options say. Raises CommandError."""
    tls, key = read_tls(arguments), _read_key(arguments.key_file)
    try:
        key_metadata(key, arguments.target, tls, arguments.plaintext_key)
    except ValueError as error:
        message = str(error).replace("allow_plaintext_key", "--plaintext-key")
        raise CommandError(message.replace("use TLS", "use --tls"), ExitCode.USAGE) from None
    return Connection(tls=tls, api_key=key, allow_plaintext_key=arguments.plaintext_key)


def _read_key(file: str | None) -> str | None:
    if file is None:
        return os.environ.get(KEY_VARIABLE) or None
    try:
        return Path(file).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise CommandError(f"{file}: {error.strerror}", ExitCode.USAGE) from error
    except UnicodeDecodeError:
        raise CommandError(f"{file}: no text in UTF-8", ExitCode.USAGE) from None
