"""Models by name and version, and what may be done to them: the one place that knows how they are
kept.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from server.errors import InvalidRequestError, NotFoundError, shown
from server.loaded_model import LoadedModel
from server.model_entry import ModelEntry, ModelState
from server.repository import ModelRepository
from server.rpc.inference_stubs import inference_pb2 as pb

READY, LOADING, UNAVAILABLE = "READY", "LOADING", "UNAVAILABLE"
_REASONS = {
    ModelState.AVAILABLE: "it is loaded when it is first asked for",
    ModelState.UNLOADED: "unloaded",
}


class Catalogue:
    """The models of a server, as this protocol names them."""

    def __init__(
        self, models: ModelRepository, stuck_after_s: float, is_serving: Callable[[], bool]
    ) -> None:
        """`is_serving` says whether the server as a whole takes work."""
        self._models = models
        self._stuck_after_s = stuck_after_s
        self.is_serving = is_serving

    def find(self, name: str, version: str) -> LoadedModel:
        """The model that serves; of an empty version the newest.

        Raises NotFoundError naming what exists, UnavailableError where it is not loaded.
        """
        self.check(name, version)
        return self._models.get(name)

    def check(self, name: str, version: str) -> None:
        """Raises NotFoundError naming what exists where there is no such model, loaded or not;
        UnavailableError while nothing is known yet.
        """
        entry = self._models.entry(name)
        if version not in ("", entry.version):
            problem = f"model {entry.name} has no version {shown(version)}; it has {entry.version}"
            raise NotFoundError(f"model_version: {problem}")

    @asynccontextmanager
    async def use(self, name: str, version: str) -> AsyncIterator[LoadedModel]:
        """The model, loaded if need be, for the length of the block. Raises what `check` and a load
        raise.
        """
        self.check(name, version)
        async with self._models.use(name) as model:
            yield model

    def find_all(self, name: str, version: str) -> list[LoadedModel]:
        """The model, or every model that serves for an empty name. Raises what `find` raises."""
        return [self.find(name, version)] if name else self._models.all()

    def is_ready(self, model: LoadedModel) -> bool:
        """Whether `model` takes work."""
        return self.is_serving() and model.engine.is_healthy(self._stuck_after_s)

    def index(self, request: pb.RepositoryIndexRequest) -> pb.RepositoryIndexResponse:
        """Every model, or every one that is ready. Raises NotFoundError for another repository."""
        _check_repository(request.repository_name)
        response = pb.RepositoryIndexResponse()
        for entry in self._models.entries():
            state, reason = self._state(entry)
            if state == READY or not request.ready:
                response.models.add(
                    name=entry.name, version=entry.version, state=state, reason=reason
                )
        return response

    def _state(self, entry: ModelEntry) -> tuple[str, str]:
        """The model's state, and why: of one that serves, why its newest version does not."""
        if entry.serving is None:
            if entry.state is ModelState.LOADING:
                return LOADING, ""
            return UNAVAILABLE, entry.reason or _REASONS.get(entry.state, "")
        if not self.is_serving():
            return UNAVAILABLE, "the server takes no work"
        if not self.is_ready(entry.serving):
            return UNAVAILABLE, "its engine is dead or stuck"
        return READY, entry.reason

    async def load(self, request: pb.RepositoryModelLoadRequest) -> None:
        """Loads a model. Raises InvalidRequestError for parameters: a package is served as it was
        exported, with the evidence for it, or not at all.
        """
        _check_repository(request.repository_name)
        for name in sorted(request.parameters):
            problem = f"{shown(name)} is set; a package is loaded as it is, without parameters"
            raise InvalidRequestError("parameters", problem)
        await self._models.load(request.model_name)

    async def unload(self, request: pb.RepositoryModelUnloadRequest) -> None:
        """Unloads a model. Raises InvalidRequestError for a parameter that does not exist."""
        _check_repository(request.repository_name)
        for name in sorted(request.parameters):
            if name != "unload_dependents":
                problem = f"there is no parameter {shown(name)}; there is unload_dependents"
                raise InvalidRequestError("parameters", problem)
        await self._models.unload(request.model_name)


def _check_repository(name: str) -> None:
    if name:
        problem = f"there is no repository {shown(name)}; the only one's name is empty"
        raise NotFoundError(f"repository_name: {problem}")
