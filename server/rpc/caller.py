"""Who makes the call that this task answers."""

from __future__ import annotations

from contextvars import ContextVar

caller_name: ContextVar[str] = ContextVar("caller_name", default="")
"""The name of the key that the call came with; empty where none is asked for."""
key_digest: ContextVar[bytes] = ContextVar("key_digest", default=b"")
"""The hash of that key."""
permission: ContextVar[str] = ContextVar("permission", default="")
"""What the call's method needs."""
