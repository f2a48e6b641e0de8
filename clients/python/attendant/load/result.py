"""A run's result: its figures, and all that somebody who was not there must know of it."""

import platform
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version

from attendant.load.config import ClosedLoop, LoadTest, OpenLoop, Replay
from attendant.load.mix import describe_options
from attendant.load.summary import Summary

Value = str | int | float | bool


@dataclass(frozen=True, slots=True)
class Result:
    """A run, ready to be reported."""

    started_at: str
    """Date and time in UTC, ISO 8601."""

    parameters: Mapping[str, Value]
    """What was asked for; keys and files of keys are not in it."""

    versions: Mapping[str, str]
    """Of what sent the load."""

    summary: Summary
    """The figures."""


def now_utc() -> str:
    """Returns the date and time, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def versions() -> dict[str, str]:
    """Returns the versions of what the load is sent with."""
    return {
        "attendant": version("attendant"),
        "grpcio": version("grpcio"),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
    }


def describe(test: LoadTest) -> dict[str, Value]:
    """Returns a test's parameters by name, none of them secret."""
    endpoint, timing, content = test.endpoint, test.timing, test.content
    return {
        "target": endpoint.target,
        "protocol": endpoint.protocol.value,
        "model": endpoint.model,
        "stream": endpoint.is_streamed,
        "tls": endpoint.tls is not None,
        **_describe_pattern(test),
        "duration_s": timing.duration_s,
        "warm_up_s": timing.warm_up_s,
        "windows": timing.num_windows,
        "from": content.source_language,
        "to": content.target_language,
        "texts": len(content.texts),
        "mean_characters": sum(map(len, content.texts)) / len(content.texts),
        "options": _describe_mix(test),
        "timeout_s": endpoint.timeout_s,
        "seed": test.seed,
        "workers": test.workers,
    }


def _describe_mix(test: LoadTest) -> str:
    if isinstance(test.pattern, Replay):
        return "each request's own"
    entries = (f"{e.weight:g}: {describe_options(e.options)}" for e in test.content.mix)
    return "; ".join(entries)


def _describe_pattern(test: LoadTest) -> dict[str, Value]:
    pattern = test.pattern
    if isinstance(pattern, OpenLoop):
        return {"loop": "open", "arrivals": pattern.arrivals.value, "rate": pattern.rate}
    if isinstance(pattern, ClosedLoop):
        return {"loop": "closed", "concurrency": pattern.concurrency}
    return {"loop": "replay", "requests": len(pattern.requests)}
