"""A line for each piece of work, for who asks for it. It holds no text, and of a key its name."""

from __future__ import annotations

import logging

import grpc

from server.rpc.caller import caller_name

logger = logging.getLogger("server.access")


class AccessLog:
    """The log of one server's calls."""

    def __init__(self, is_on: bool) -> None:
        self._is_on = is_on

    def write(self, method: str, code: grpc.StatusCode, model: str, seconds: float) -> None:
        """Notes that work for `method` has ended; `model` is empty where it failed before
        one was found.
        """
        if not self._is_on:
            return
        fields = {
            "method": method,
            "code": code.name,
            "model": model,
            "caller": caller_name.get(),
            "duration_ms": round(seconds * 1000, 3),
        }
        line = " ".join(f"{name}={value}" for name, value in fields.items() if value != "")
        logger.info("%s", line, extra={"fields": fields})
