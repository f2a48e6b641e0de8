"""What a test may be, and the errors that name what is wrong."""

import math
import re
from collections.abc import Callable

import pytest
from attendant.load.config import (
    ClosedLoop,
    Content,
    Endpoint,
    OpenLoop,
    ProtocolName,
    Replay,
    Request,
    Share,
    Timing,
    WeightedOptions,
)
from attendant.options import Options

REQUEST = Request("a", "en", "de")


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda: OpenLoop(0), "rate: must be a number above 0, not 0"),
        (lambda: OpenLoop(math.nan), "rate: must be a number above 0, not nan"),
        (lambda: ClosedLoop(0), "concurrency: must be at least 1, not 0"),
        (lambda: Replay((), ()), "trace: must have a request"),
        (lambda: Replay((-1.0,), (REQUEST,)), "at_s: must be at least 0, not -1.0"),
        (lambda: Replay((1.0,), ()), "requests: one a time, not 0"),
        (lambda: Timing(math.inf), "duration_s: must be a number above 0, not inf"),
        (lambda: Timing(1, -1), "warm_up_s: must be a number of at least 0, not -1"),
        (lambda: Timing(1, 0, 0), "windows: must be 1 to 1000, not 0"),
        (lambda: WeightedOptions(-1, Options()), "weight: must be a number above 0, not -1"),
        (lambda: Content((), "en", "de"), "texts: must be at least one, not 0"),
        (lambda: Content(("a",), "en", "de", ()), "mix: must have an entry, not 0"),
        (lambda: Share(0, 65), "workers: must be 1 to 64, not 65"),
        (lambda: Share(2, 2), "index: must be below 2, not 2"),
        (lambda: Endpoint(target="x", timeout_s=0), "timeout_s: must be a number above 0, not 0"),
        (lambda: Endpoint(target="x", protocol=ProtocolName.KSERVE), "model: must be named"),
    ],
)
def test_what_is_wrong_is_named_with_its_value(make: Callable[[], object], problem: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(problem)}"):
        make()


def test_a_key_is_not_shown() -> None:
    assert "secret" not in repr(Endpoint(target="x", api_key="secret"))


def test_windows_share_the_measured_time() -> None:
    timing = Timing(duration_s=10, warm_up_s=3, num_windows=4)
    assert (timing.window_s, timing.end_s) == (2.5, 13)
