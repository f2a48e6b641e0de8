"""Libraries that the plain installation does not bring."""

from collections.abc import Iterator
from contextlib import contextmanager

from attendant.cli.outcome import CommandError, ExitCode


@contextmanager
def needs(extra: str, what: str) -> Iterator[None]:
    """Around an import: raises an error that names the extra which brings what is missing."""
    try:
        yield
    except ImportError as error:
        message = f"{what} needs {error.name}: pip install 'attendant[{extra}]'"
        raise CommandError(message, ExitCode.USAGE) from error
