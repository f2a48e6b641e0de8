"""Translates text with an Attendant server: `Client` for threads, `AsyncClient` for asyncio."""

from importlib.metadata import version

from attendant.async_client import AsyncClient
from attendant.channel import KeepAlive
from attendant.client import Client
from attendant.errors import (
    AttendantError,
    CancelledError,
    DeadlineError,
    InternalError,
    InvalidRequestError,
    NotFoundError,
    OverloadedError,
    UnavailableError,
)
from attendant.translation import FinishReason, Translation

__version__ = version("attendant")

__all__ = [
    "AsyncClient",
    "AttendantError",
    "CancelledError",
    "Client",
    "DeadlineError",
    "FinishReason",
    "InternalError",
    "InvalidRequestError",
    "KeepAlive",
    "NotFoundError",
    "OverloadedError",
    "Translation",
    "UnavailableError",
    "__version__",
]
