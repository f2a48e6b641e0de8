"""Models by name and version, and what may be done to them: the one place that knows how they are
kept.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn

from server.errors import InvalidRequestError, NotFoundError, UnsupportedError
from server.models import LoadedModel, ModelRegistry
from server.rpc.inference_stubs import inference_pb2 as pb
from server.rpc.inference_v2.tensors import shown

READY, UNAVAILABLE = "READY", "UNAVAILABLE"


class Catalogue:
    """The models of a server, as this protocol names them."""

    def __init__(
        self, registry: ModelRegistry, stuck_after_s: float, is_serving: Callable[[], bool]
    ) -> None:
        """`is_serving` says whether the server as a whole takes work."""
        self._registry = registry
        self._stuck_after_s = stuck_after_s
        self.is_serving = is_serving

    def find(self, name: str, version: str) -> LoadedModel:
        """The model; of an empty version the one that serves.

        Raises NotFoundError naming what exists, UnavailableError while nothing is loaded.
        """
        model = self._registry.get(name)
        serving = model.package.manifest.version
        if version not in ("", serving):
            problem = f"model {model.name} has no version {shown(version)}; it has {serving}"
            raise NotFoundError(f"model_version: {problem}")
        return model

    def find_all(self, name: str, version: str) -> list[LoadedModel]:
        """The model, or every model for an empty name. Raises what `find` raises."""
        return [self.find(name, version)] if name else self._registry.all()

    def is_ready(self, model: LoadedModel) -> bool:
        """Whether `model` takes work."""
        return self.is_serving() and model.engine.is_healthy(self._stuck_after_s)

    def index(self, request: pb.RepositoryIndexRequest) -> pb.RepositoryIndexResponse:
        """Every model, or every one that is ready. Raises NotFoundError for another repository."""
        _check_repository(request.repository_name)
        response = pb.RepositoryIndexResponse()
        for model in self._registry.all():
            is_ready = self.is_ready(model)
            if is_ready or not request.ready:
                response.models.add(
                    name=model.name,
                    version=model.package.manifest.version,
                    state=READY if is_ready else UNAVAILABLE,
                    reason="" if is_ready else self._reason(),
                )
        return response

    def _reason(self) -> str:
        return "its engine is dead or stuck" if self.is_serving() else "the server takes no work"

    async def load(self, request: pb.RepositoryModelLoadRequest) -> None:
        """Loads a model. Raises InvalidRequestError for parameters: a package is served as it was
        exported, with the evidence for it, or not at all.
        """
        _check_repository(request.repository_name)
        for name in sorted(request.parameters):
            problem = f"{shown(name)} is set; a package is loaded as it is, without parameters"
            raise InvalidRequestError("parameters", problem)
        await change_models("loaded", request.model_name)

    async def unload(self, request: pb.RepositoryModelUnloadRequest) -> None:
        """Unloads a model. Raises InvalidRequestError for a parameter that does not exist."""
        _check_repository(request.repository_name)
        for name in sorted(request.parameters):
            if name != "unload_dependents":
                problem = f"there is no parameter {shown(name)}; there is unload_dependents"
                raise InvalidRequestError("parameters", problem)
        await change_models("unloaded", request.model_name)


async def change_models(what: str, name: str) -> NoReturn:
    """What loading and unloading would be. Raises UnsupportedError: it cannot be done yet."""
    raise UnsupportedError(
        f"model {shown(name)} is not {what}: the models of this server are those of its start"
    )


def _check_repository(name: str) -> None:
    if name:
        problem = f"there is no repository {shown(name)}; the only one's name is empty"
        raise NotFoundError(f"repository_name: {problem}")
