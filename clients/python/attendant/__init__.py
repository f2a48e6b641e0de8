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
from attendant.model import Evidence, Model, ModelState, Pieces
from attendant.options import EarlyStopping, Options, Priority, Sampling
from attendant.retries import NO_RETRIES, Retries
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
    "NO_RETRIES",
    "TLS",
    "Alignment",
    "AsyncClient",
    "AttendantError",
    "CancelledError",
    "Client",
    "DeadlineError",
    "EarlyStopping",
    "Evidence",
    "FinishReason",
    "Hypothesis",
    "InternalError",
    "InvalidRequestError",
    "KeepAlive",
    "Model",
    "ModelState",
    "NotFoundError",
    "Options",
    "OverloadedError",
    "PermissionDeniedError",
    "Pieces",
    "Priority",
    "Retries",
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
