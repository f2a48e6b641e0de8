"""What is known of a model: which version serves, which lies on disk, who waits for it."""

from __future__ import annotations

import asyncio
import enum
from dataclasses import dataclass, field

from server.errors import AttendantError, NotFoundError, shown
from server.loaded_model import LoadedModel
from server.package_folder import FoundPackage

RETRY_FIRST_S = 1.0
RETRY_MOST_S = 60.0
"""How long after a failed start of a dead engine the next one is tried: twice as long each time."""


class ModelState(enum.Enum):
    """What a model of the folder is doing."""

    AVAILABLE = "available"
    """On disk; loaded when somebody asks for it."""
    LOADING = "loading"
    READY = "ready"
    FAILED = "failed"
    """Refused, or its engine does not start; `reason` says why."""
    UNLOADED = "unloaded"
    """Put away by an administrator: not loaded until asked to by one."""


@dataclass
class ModelEntry:
    """A model by name: what serves, and what lies on disk."""

    name: str
    found: FoundPackage
    """The newest version on disk."""
    serving: LoadedModel | None = None
    served: FoundPackage | None = None
    """What `serving` was loaded from."""
    state: ModelState = ModelState.AVAILABLE
    reason: str = ""
    """Why the newest version does not serve."""
    last_used: float = 0.0
    loading: asyncio.Task[AttendantError | None] | None = None
    """The load that callers wait for, and what refused it."""
    num_waiting: int = 0
    """Callers who wait for it to be loaded."""
    refused: set[FoundPackage] = field(default_factory=set)
    """Versions that were tried and refused: not tried again until their files change."""
    retry_at: float = 0.0
    retry_s: float = field(default=RETRY_FIRST_S)

    @property
    def version(self) -> str:
        """Of what serves; else the newest on disk."""
        return self.serving.package.manifest.version if self.serving else self.found.version

    def check_version(self, asked: str) -> None:
        """Raises NotFoundError where `asked` is NAME/VERSION of another version than the one that
        answers, or would.
        """
        version = asked.partition("/")[2]
        if version and version != self.version:
            verb = "does" if self.serving else "would"
            raise NotFoundError(
                f"model: {shown(asked)} does not serve; {self.name}/{self.version} {verb}"
            )

    @property
    def is_idle(self) -> bool:
        """Whether it is loaded, and nobody needs it now."""
        is_used = self.serving is not None and self.serving.is_used
        return self.serving is not None and not is_used and not self.num_waiting
