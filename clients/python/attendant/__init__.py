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
    PermissionDeniedError,
    TextsRefusedError,
    UnauthenticatedError,
    UnavailableError,
)
from attendant.options import EarlyStopping, Options, Priority, Sampling
from attendant.security import TLS
from attendant.translation import (
    Alignment,
    FinishReason,
    Hypothesis,
    Token,
    TokenLink,
    TranslatedSentence,
    Translation,
    TranslationPart,
)

__version__ = version("attendant")

__all__ = [
    "TLS",
    "Alignment",
    "AsyncClient",
    "AttendantError",
    "CancelledError",
    "Client",
    "DeadlineError",
    "EarlyStopping",
    "FinishReason",
    "Hypothesis",
    "InternalError",
    "InvalidRequestError",
    "KeepAlive",
    "NotFoundError",
    "Options",
    "OverloadedError",
    "PermissionDeniedError",
    "Priority",
    "Sampling",
    "TextsRefusedError",
    "Token",
    "TokenLink",
    "TranslatedSentence",
    "Translation",
    "TranslationPart",
    "UnauthenticatedError",
    "UnavailableError",
    "__version__",
]
