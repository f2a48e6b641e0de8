"""How log lines look, and the id of the request that each belongs to."""

from __future__ import annotations

import json
import logging
from contextvars import ContextVar
from datetime import UTC, datetime

request_id: ContextVar[str] = ContextVar("request_id", default="")
"""Of the call that this task answers; empty outside of calls."""

FORMATS = ("text", "json")
FORMAT = "%(asctime)s %(levelname)s %(name)s%(request)s: %(message)s"


class RequestFilter(logging.Filter):
    """Gives each record `request`: the request's id in brackets, or nothing."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Keeps every record."""
        found = request_id.get()
        record.request = f" [{found}]" if found else ""
        return True


class JsonFormatter(logging.Formatter):
    """A record as one line of JSON: time, level, logger, message; request_id, exception and the
    `fields` of the record where it has them.
    """

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if found := request_id.get():
            line["request_id"] = found
        line |= getattr(record, "fields", {})
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


def configure_logging(style: str = "text") -> None:
    """Lines on standard error, from INFO on, in one of FORMATS."""
    handler = logging.StreamHandler()
    handler.addFilter(RequestFilter())
    handler.setFormatter(JsonFormatter() if style == "json" else logging.Formatter(FORMAT))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
