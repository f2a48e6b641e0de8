"""How log lines look, and the id of the request that each belongs to."""

from __future__ import annotations

import logging
from contextvars import ContextVar

request_id: ContextVar[str] = ContextVar("request_id", default="")
"""Of the call that this task answers; empty outside of calls."""

FORMAT = "%(asctime)s %(levelname)s %(name)s%(request)s: %(message)s"


class RequestFilter(logging.Filter):
    """Gives each record `request`: the request's id in brackets, or nothing."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Keeps every record."""
        found = request_id.get()
        record.request = f" [{found}]" if found else ""
        return True


def configure_logging() -> None:
    """Lines on standard error, from INFO on."""
    handler = logging.StreamHandler()
    handler.addFilter(RequestFilter())
    logging.basicConfig(level=logging.INFO, format=FORMAT, handlers=[handler])
