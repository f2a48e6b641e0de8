"""The server as a whole: what starts in which order, what health says, and how it shuts down
without losing a request.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
import time
from collections.abc import AsyncIterator

import grpc
from grpc_channelz.v1.channelz import add_channelz_servicer
from grpc_health.v1 import health, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from prometheus_client import start_http_server

from server.config import ServerConfig
from server.errors import ConfigError
from server.loaded_model import load_model
from server.metrics import Metrics
from server.repository import ModelRepository
from server.rpc import channelz, translation
from server.rpc.access import AccessInterceptor
from server.rpc.access_log import AccessLog
from server.rpc.drain import Drain
from server.rpc.entry import Access
from server.rpc.health import NOT_SERVING, SERVING, HealthServicer, Status
from server.rpc.inference_v2 import service as inference
from server.rpc.inference_v2.catalogue import Catalogue
from server.rpc.interceptors import Accounting, StatusInterceptor
from server.rpc.transport import connection_arguments, listen, refresh_all, tls_of
from server.security.exposure import check_exposure
from server.tokenization import Tokenization
from server.tracing import make_tracing
from server.translator import Translator

logger = logging.getLogger(__name__)

SERVICES = (translation.SERVICE_NAME, inference.SERVICE_NAME)
"""Our own."""
SERVER_OPTIONS = [
    # Else gRPC itself, above 1,000 calls not yet handed over, cancels newcomers at random; our own
    # queue is the bound, and says so.
    ("grpc.server.max_pending_requests", 20_000),
    ("grpc.server.max_pending_requests_hard_limit", 30_000),
]
WATCH_INTERVAL_S = 0.25
"""How often health looks at the engines."""
RELOAD_INTERVAL_S = 2.0
"""How often certificates and keys are looked at for a change."""
FLUSH_S = 1.0
"""How long finished answers may take to leave the process at shutdown."""


class App:
    """One server process: gRPC, health, reflection, metrics, models."""

    def __init__(self, config: ServerConfig) -> None:
        """Raises CredentialsError for certificates or keys that cannot be used, or for plain text
        that was not asked for.
        """
        check_exposure(config)
        self.config = config
        self._tls = tls_of(config)
        self._access = Access(config)
        self.metrics = Metrics()
        self._tracing = make_tracing(config)
        self.models = ModelRepository(
            config.models,
            lambda folder: load_model(folder, config, self.metrics),
            config.model_memory_mb << 20,
        )
        self._drain = Drain()
        self._health = HealthServicer()
        self._is_serving = False
        self._server = self._make_server()
        self._probes = grpc.aio.server(options=connection_arguments(config))
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._probes)
        self._watch: asyncio.Task[None] | None = None
        self._tend: asyncio.Task[None] | None = None
        self._reload: asyncio.Task[None] | None = None
        self.port = 0
        """Where it listens, known after `start`."""

    def _make_server(self) -> grpc.aio.Server:
        accounting = Accounting(
            self.metrics,
            self._drain,
            self._access,
            self._tracing,
            AccessLog(self.config.log_requests),
        )
        counted = translation.COUNTED | inference.COUNTED
        server = grpc.aio.server(
            interceptors=[
                AccessInterceptor(self._access, self.metrics, self._tracing),
                StatusInterceptor(SERVICES, counted, accounting),
            ],
            options=SERVER_OPTIONS + connection_arguments(self.config),
        )
        translator = Translator(
            self.models, self.config, self.metrics, self._access.quotas, self._tracing
        )
        catalogue = Catalogue(
            self.models, self.config.stuck_after_s, is_serving=lambda: self._is_serving
        )
        tokenization = Tokenization(self.models, self.config, self._access.quotas)
        native = translation.TranslationService(translator, tokenization, self.models)
        v2 = inference.InferenceService(translator, catalogue, self.config, accounting)
        handlers = (translation.make_handler(native), inference.make_handler(v2))
        server.add_generic_rpc_handlers(handlers)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        add_channelz_servicer(server)
        names = (*SERVICES, channelz.SERVICE_NAME, health.SERVICE_NAME, reflection.SERVICE_NAME)
        reflection.enable_server_reflection(names, server)
        return server

    async def start(self) -> None:
        """Listens, then loads: until the models are warm, health says NOT_SERVING.

        Raises ConfigError if a port is taken, PackageError if a package is refused.
        """
        self._set_health(NOT_SERVING)
        self._listen()
        await self._server.start()
        await self._probes.start()
        self._reload = asyncio.create_task(self._watch_files())
        await self.models.start(self.config.models_at_start)
        self._set_health(SERVING)
        self._set_model_health()
        self._watch = asyncio.create_task(self._watch_engines())
        self._tend = asyncio.create_task(self._tend_models())

    def _listen(self) -> None:
        config = self.config
        address = f"{config.host}:{config.port}"
        try:
            self.port = listen(self._server, address, self._tls)
            if config.health_port:
                address = f"{config.host}:{config.health_port}"
                listen(self._probes, address)
            if config.metrics_port:
                address = f"{config.metrics_host}:{config.metrics_port}"
                start_http_server(config.metrics_port, config.metrics_host, self.metrics.registry)
        except (RuntimeError, OSError) as error:
            raise ConfigError(
                f"cannot listen on {address}: the address is taken or not this machine's"
            ) from error

    async def _watch_files(self) -> None:
        """Reads certificates and keys again when they change."""
        refreshes = []
        if self._tls is not None:
            refreshes.append(self._tls.watched.refresh)
        if self._access.keys is not None:
            refreshes.append(self._access.keys.refresh)
        while refreshes:
            await asyncio.sleep(RELOAD_INTERVAL_S)
            await asyncio.to_thread(refresh_all, refreshes)

    async def _watch_engines(self) -> None:
        """Turns health off while an engine is dead or stuck, and on again when it moves."""
        was_healthy = True
        while True:
            await asyncio.sleep(WATCH_INTERVAL_S)
            models = self.models.all()
            is_healthy = all(m.engine.is_healthy(self.config.stuck_after_s) for m in models)
            if is_healthy != was_healthy:
                logger.error("engines are %s", "healthy again" if is_healthy else "dead or stuck")
                self._set_health(SERVING if is_healthy else NOT_SERVING)
            was_healthy = is_healthy
            self._set_model_health()

    async def _tend_models(self) -> None:
        """Starts dead engines again, and takes in newer versions; apart from the watch, for it may
        take long.
        """
        looked = time.monotonic()
        while True:
            await asyncio.sleep(WATCH_INTERVAL_S)
            try:
                await self.models.revive()
                if 0 < self.config.model_poll_s <= time.monotonic() - looked:
                    looked = time.monotonic()
                    await self.models.refresh()
            except Exception:
                logger.exception("the models could not be looked after; tried again")

    def _set_health(self, status: Status) -> None:
        self._is_serving = status == SERVING
        for service in ("", *SERVICES):
            self._health.set(service, status)

    def _set_model_health(self) -> None:
        """Health of each model, as models/NAME: whether it is loaded, and its engine moves."""
        for entry in self.models.entries():
            model = entry.serving
            is_healthy = model is not None and model.engine.is_healthy(self.config.stuck_after_s)
            self._health.set(f"models/{entry.name}", SERVING if is_healthy else NOT_SERVING)

    async def stop(self) -> None:
        """Drains: health off, a delay for load balancers, no new calls, the running ones finish,
        engines stop.
        """
        if self._watch is not None and self._tend is not None:
            # It has served: others may still send work here.
            self._watch.cancel()
            self._tend.cancel()
            self._set_health(NOT_SERVING)
            for entry in self.models.entries():
                self._health.set(f"models/{entry.name}", NOT_SERVING)
            await asyncio.sleep(self.config.drain_delay_s)
        if not await self._drain.finish(self.config.drain_timeout_s):
            logger.error("calls still ran after %s s and are cut off", self.config.drain_timeout_s)
        if self._reload is not None:
            self._reload.cancel()
        await self._server.stop(FLUSH_S)
        await self._probes.stop(None)
        await self.models.close()
        await asyncio.to_thread(self._tracing.close)


@contextlib.asynccontextmanager
async def running(config: ServerConfig) -> AsyncIterator[App]:
    """A started server, stopped at the end; for tests and tools that live in the same process."""
    app = App(config)
    try:
        await app.start()
        yield app
    finally:
        await app.stop()


async def serve_until_signalled(config: ServerConfig) -> None:
    """Serves until SIGTERM or Ctrl-C, then drains. Raises ConfigError or PackageError if it cannot
    start.
    """
    signalled = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, signalled.set)
    app = App(config)
    start = asyncio.create_task(app.start())
    stop = asyncio.create_task(signalled.wait())
    try:
        await asyncio.wait({start, stop}, return_when=asyncio.FIRST_COMPLETED)
        if start.done():
            start.result()
            _say(f"serving on {config.host}:{app.port}")
            await stop
            _say("draining")
    finally:
        await app.stop()


def _say(line: str) -> None:
    try:
        print(line, flush=True)
    except BrokenPipeError:  # nobody reads it any more, as after `| head -1`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
