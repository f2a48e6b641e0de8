"""What a load test is: the server, the load, its times and its texts. Does nothing by itself.

Every field is checked where the object is made; the error names it and its value.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from attendant.options import Options
from attendant.security import TLS

MAX_WORKERS = 64
MAX_WINDOWS = 1000


def _check(is_right: bool, name: str, value: object, problem: str) -> None:
    if not is_right:
        raise ValueError(f"{name}: {problem}, not {value}")


def _check_positive(name: str, value: float) -> None:
    _check(0 < value < math.inf, name, value, "must be a number above 0")


class ProtocolName(StrEnum):
    """Which API requests are made with."""

    ATTENDANT = "attendant"
    """The server's own."""

    KSERVE = "kserve"
    """The Open Inference Protocol, as Triton speaks it."""


class Arrivals(StrEnum):
    """How the requests of an open loop lie in time."""

    POISSON = "poisson"
    """At random, as of many callers who know nothing of each other."""

    CONSTANT = "constant"
    """With even gaps."""


@dataclass(frozen=True, slots=True)
class Share:
    """One worker of several."""

    index: int
    """Which one, from 0."""

    count: int
    """How many there are."""

    def __post_init__(self) -> None:
        _check(1 <= self.count <= MAX_WORKERS, "workers", self.count, f"must be 1 to {MAX_WORKERS}")
        _check(0 <= self.index < self.count, "index", self.index, f"must be below {self.count}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where requests go, and how."""

    target: str
    """The server, as `AsyncClient` takes it."""

    protocol: ProtocolName = ProtocolName.ATTENDANT
    """The API."""

    model: str = ""
    """Name of the model; may be empty where the server's own API finds but one."""

    is_streamed: bool = False
    """Whether the text is read as it grows."""

    timeout_s: float = 30.0
    """Deadline of a request, from when it leaves."""

    tls: TLS | None = None
    """How to encrypt."""

    api_key: str | None = field(default=None, repr=False)
    """Who is asking. Never shown."""

    allow_plaintext_key: bool = False
    """Whether the key may go to another machine unencrypted."""

    def __post_init__(self) -> None:
        _check_positive("timeout_s", self.timeout_s)
        if self.protocol is ProtocolName.KSERVE and not self.model:
            raise ValueError("model: must be named, for the inference protocol always names it")


@dataclass(frozen=True, slots=True)
class OpenLoop:
    """Requests leave when they are due, whatever becomes of those before."""

    rate: float
    """Requests a second, of all workers together."""

    arrivals: Arrivals = Arrivals.POISSON
    """How they lie in time."""

    def __post_init__(self) -> None:
        _check_positive("rate", self.rate)


@dataclass(frozen=True, slots=True)
class ClosedLoop:
    """So many callers, each of whom asks again as soon as it is answered."""

    concurrency: int
    """Callers, of all workers together."""

    def __post_init__(self) -> None:
        _check(self.concurrency >= 1, "concurrency", self.concurrency, "must be at least 1")


@dataclass(frozen=True, slots=True)
class Request:
    """One text to translate."""

    text: str
    source_language: str
    target_language: str
    options: Options = Options()
    entry: str = ""
    """Which entry of a mix it is, named by its options; empty where there is no mix."""


@dataclass(frozen=True, slots=True)
class Replay:
    """Requests with times of their own, as they were once recorded."""

    due_s: Sequence[float]
    """When each is due, in seconds from the start, ascending."""

    requests: Sequence[Request]
    """What each asks for."""

    def __post_init__(self) -> None:
        _check(bool(self.due_s), "trace", 0, "must have a request")
        _check(self.due_s[0] >= 0, "at_s", self.due_s[0], "must be at least 0")
        _check(len(self.due_s) == len(self.requests), "requests", len(self.requests), "one a time")


Pattern = OpenLoop | ClosedLoop | Replay


@dataclass(frozen=True, slots=True)
class Timing:
    """How long requests are sent, and which of them count."""

    duration_s: float
    """Time that is measured, after the warm-up."""

    warm_up_s: float = 0.0
    """Time before it: its requests are sent and reported apart."""

    num_windows: int = 20
    """Parts of equal length that the measured time is cut into."""

    def __post_init__(self) -> None:
        _check_positive("duration_s", self.duration_s)
        is_time = 0 <= self.warm_up_s < math.inf
        _check(is_time, "warm_up_s", self.warm_up_s, "must be a number of at least 0")
        is_count = 1 <= self.num_windows <= MAX_WINDOWS
        _check(is_count, "windows", self.num_windows, f"must be 1 to {MAX_WINDOWS}")

    @property
    def end_s(self) -> float:
        """When the last request may be due, from the start of the warm-up."""
        return self.warm_up_s + self.duration_s

    @property
    def window_s(self) -> float:
        """Length of a window."""
        return self.duration_s / self.num_windows


@dataclass(frozen=True, slots=True)
class WeightedOptions:
    """Options, and how often they are used."""

    weight: float
    """Against the weights of the others."""

    options: Options

    def __post_init__(self) -> None:
        _check_positive("weight", self.weight)


@dataclass(frozen=True, slots=True)
class Content:
    """What requests ask for, where the load is not a replay."""

    texts: Sequence[str]
    """Sent in turn, so that their lengths come as often as they are there."""

    source_language: str
    target_language: str
    mix: Sequence[WeightedOptions] = (WeightedOptions(1, Options()),)
    """Drawn from at random, by weight."""

    def __post_init__(self) -> None:
        _check(bool(self.texts), "texts", 0, "must be at least one")
        _check(bool(self.mix), "mix", 0, "must have an entry")


@dataclass(frozen=True, slots=True)
class LoadTest:
    """A whole test."""

    endpoint: Endpoint
    pattern: Pattern
    timing: Timing
    content: Content
    seed: int = 0
    """Of arrivals and of the options' mix."""

    workers: int = 1
    """Processes that send."""

    def __post_init__(self) -> None:
        Share(0, self.workers)
        if isinstance(self.pattern, ClosedLoop):
            callers, problem = self.pattern.concurrency, f"must be at least {self.workers}"
            _check(callers >= self.workers, "concurrency", callers, f"{problem}, one a worker")
