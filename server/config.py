"""ServerConfig: each option written once; flags and environment variables are derived from it.

`--max-waiting 100` and ATTENDANT_MAX_WAITING=100 say the same; a flag wins over the environment.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from server.cpu_limit import available_cpus
from server.errors import ConfigError
from server.log import FORMATS
from server.version import server_version

ENVIRONMENT_PREFIX = "ATTENDANT_"
PERMISSIONS = ("translate", "admin")
DEVICES = ("cpu", "cuda")


def option(default: Any, text: str) -> Any:
    """A field with its help text."""
    return dataclasses.field(default=default, metadata={"help": text})


@dataclass(frozen=True)
class ServerConfig:
    """How a server runs."""

    models: Path = option(Path("models"), "folder of model packages, NAME/VERSION/ each")
    load: str = option(
        "all",
        "models that are loaded at the start, by name with commas between; all, or none; the"
        " others are loaded when first asked for",
    )
    model_memory_mb: int = option(
        0,
        "MiB that loaded models may hold together; for another one, idle models are put away,"
        " least recently used first; 0 for no bound",
    )
    model_poll_s: float = option(
        5.0, "seconds between looks into the folder for newer versions; 0 for never"
    )
    host: str = option("127.0.0.1", "address to listen on; 0.0.0.0 for all")
    port: int = option(50051, "gRPC port; 0 picks a free one and prints it")
    metrics_port: int = option(
        0, "port of Prometheus metrics over HTTP, on `metrics_host`; 0 for none"
    )
    metrics_host: str = option(
        "127.0.0.1", "address of the metrics, which are in plain text and need no key"
    )
    health_port: int = option(
        0,
        "port of a second listener that answers health alone, in plain text, for probes that"
        " speak no TLS; 0 for none",
    )
    plaintext: bool = option(False, "serve without TLS on an address that other machines can reach")
    tls_certificate: str = option(
        "", "PEM file of the certificate and its chain; TLS is on where it is given"
    )
    tls_key: str = option("", "PEM file of the certificate's private key, without a password")
    tls_client_ca: str = option(
        "", "PEM file of the authorities whose client certificates are required; empty for none"
    )
    api_keys: str = option(
        "", "TOML file of the keys that callers must have one of; empty lets everybody call"
    )
    without_keys: str = option(
        "translate",
        "what everybody may do where there is no file of keys: translate, or translate,admin",
    )
    max_message_bytes: int = option(4 << 20, "bytes of one request")
    max_metadata_bytes: int = option(8192, "bytes of a call's metadata, keys included")
    max_streams: int = option(
        2048,
        "calls at once on one connection, whose client holds further ones back; more than may wait"
        " here, so that it is this server that refuses",
    )
    max_connections: int = option(512, "connections at once; further ones are closed")
    handshake_timeout_s: float = option(
        10.0, "seconds in which a new connection must have spoken TLS and HTTP/2"
    )
    idle_timeout_s: float = option(900.0, "seconds without a call until a connection is closed")
    max_connection_age_s: float = option(
        0.0, "seconds until a connection is asked to leave, its calls let finish; 0 for never"
    )
    keepalive_s: float = option(
        120.0, "seconds of silence after which a connection is asked whether it lives"
    )
    min_ping_interval_s: float = option(
        60.0, "seconds between a client's pings; the third that comes too soon ends the connection"
    )
    log_format: str = option("text", "lines of the log: text, or json")
    log_requests: bool = option(False, "log a line for each call: method, status, time, caller")
    log_texts: bool = option(
        False, "log the texts and their translations, which otherwise appear nowhere"
    )
    trace_endpoint: str = option(
        "",
        "gRPC address of an OpenTelemetry collector, such as http://localhost:4317, that gets a"
        " trace of each call; empty for none",
    )
    trace_ratio: float = option(
        1.0, "share of the calls that are traced where the caller has not decided"
    )
    device: str = option("cpu", "what decodes: cpu, or cuda for a GPU, with the extra gpu")
    variant: str = option(
        "",
        "variant of the packages, such as cpu-int8; empty for each package's default or, where"
        " that is for another device, its first for this one",
    )
    num_slots: int = option(
        64,
        "rows decoded at once by a worker, a beam of 4 being 4; each needs its part of the cache",
    )
    workers: int = option(
        1, "engines a model, each with rows and a thread of its own; they share the weights"
    )
    max_waiting: int = option(1024, "texts that may wait for rows, over all callers")
    max_request_tokens: int = option(16384, "source tokens in one request")
    ageing_s: float = option(
        5.0, "seconds after which a waiting text is let past more urgent ones, one time in eight"
    )
    max_texts: int = option(256, "texts in one request")
    max_text_characters: int = option(5000, "characters in one text that is a sentence")
    max_sentences: int = option(
        512,
        "sentences in one request whose texts are to be split; num_slots and max_waiting together"
        " bound them as well",
    )
    max_document_characters: int = option(
        100_000, "characters in one request whose texts are to be split into sentences"
    )
    threads: int = option(
        0,
        "threads of ONNX Runtime; 0 takes half of the processors this process may use by its"
        " affinity mask and its container's limit, rounded down, 1 at least",
    )
    drain_delay_s: float = option(
        1.0, "seconds between saying NOT_SERVING and refusing work at shutdown"
    )
    drain_timeout_s: float = option(
        30.0, "seconds that running work may take to finish at shutdown"
    )
    stuck_after_s: float = option(
        10.0, "seconds without a step, while there is work, until health says NOT_SERVING"
    )

    def __post_init__(self) -> None:
        self._require("log_format", self.log_format in FORMATS, " or ".join(FORMATS))
        self._require("trace_ratio", 0 <= self.trace_ratio <= 1, "between 0 and 1")
        self._require("device", self.device in DEVICES, " or ".join(DEVICES))
        for name in (
            "num_slots",
            "workers",
            "max_texts",
            "max_text_characters",
            "max_sentences",
            "max_document_characters",
            "max_request_tokens",
            "max_message_bytes",
            "max_metadata_bytes",
            "max_streams",
            "max_connections",
            "handshake_timeout_s",
            "idle_timeout_s",
            "keepalive_s",
        ):
            self._require(name, getattr(self, name) > 0, "positive")
        for name in (
            "max_waiting",
            "threads",
            "ageing_s",
            "drain_delay_s",
            "drain_timeout_s",
            "model_memory_mb",
            "model_poll_s",
            "max_connection_age_s",
            "min_ping_interval_s",
        ):
            self._require(name, getattr(self, name) >= 0, "at least 0")
        for name in ("port", "metrics_port", "health_port"):
            self._require(name, 0 <= getattr(self, name) <= 65535, "between 0 and 65535")
        known = ", ".join(PERMISSIONS)
        self._require("without_keys", self.anonymous_permissions <= {*PERMISSIONS}, f"of {known}")
        self._require("stuck_after_s", self.stuck_after_s > 0, "positive")

    def _require(self, name: str, is_met: bool, rule: str) -> None:
        if not is_met:
            raise ConfigError(f"{name} is {getattr(self, name)!r}: it must be {rule}")

    @property
    def models_at_start(self) -> list[str] | None:
        """Names of `load`; None for all."""
        if self.load == "all":
            return None
        names = [name.strip() for name in self.load.split(",")]
        return [name for name in names if name not in ("", "none")]

    @property
    def anonymous_permissions(self) -> frozenset[str]:
        """What everybody may do where there is no file of keys."""
        return frozenset(name.strip() for name in self.without_keys.split(",") if name.strip())

    @property
    def num_threads(self) -> int:
        """Threads of ONNX Runtime: by default half of the processors, the others serve the
        network.
        """
        return self.threads or max(1, int(available_cpus() / 2))


def parse_config(arguments: Sequence[str], environment: Mapping[str, str]) -> ServerConfig:
    """The configuration from flags and environment. Raises ConfigError; exits with 2 for an unknown
    flag.
    """
    parser = argparse.ArgumentParser(
        prog="python -m server",
        description="Serves translation models over gRPC.",
        epilog=f"Each option can be set in the environment too, as {ENVIRONMENT_PREFIX}PORT.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"attendant {server_version()}")
    fields = dataclasses.fields(ServerConfig)
    for item in fields:
        flag = "--" + item.name.replace("_", "-")
        text = str(item.metadata["help"])
        if isinstance(item.default, bool):
            action = argparse.BooleanOptionalAction
            parser.add_argument(
                flag, dest=item.name, action=action, default=item.default, help=text
            )
            continue
        parser.add_argument(
            flag, dest=item.name, type=type(item.default), default=item.default, help=text
        )
    known = {item.name: type(item.default) for item in fields}
    parser.set_defaults(**_from_environment(known, environment))
    return ServerConfig(**vars(parser.parse_args(arguments)))


def _boolean(text: str) -> bool:
    words = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
    if text.lower() not in words:
        raise ValueError(text)
    return words[text.lower()]


_parsers: dict[type[Any], Any] = {bool: _boolean}


def _from_environment(
    known: dict[str, type[Any]], environment: Mapping[str, str]
) -> dict[str, Any]:
    values = {}
    for name, kind in known.items():
        variable = ENVIRONMENT_PREFIX + name.upper()
        if variable in environment:
            try:
                values[name] = _parsers.get(kind, kind)(environment[variable])
            except ValueError:
                raise ConfigError(
                    f"{variable} is {environment[variable]!r}: not {kind.__name__}"
                ) from None
    return values
