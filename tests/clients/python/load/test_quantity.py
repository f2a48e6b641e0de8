"""Times and shares as people write them."""

import pytest
from attendant.load.quantity import milliseconds, parse_share, parse_time


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("250us", 0.00025), ("100ms", 0.1), ("1.5s", 1.5), (" 2 s ", 2.0), ("1e1ms", 0.01)],
)
def test_times(text: str, seconds: float) -> None:
    assert parse_time(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text", ["", "100", "ms", "100 m", "100mss", "fast", "infs", "nanms", "-1s"]
)
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^must be (a time such as|above 0)"):
        parse_time(text)


def test_shares() -> None:
    assert parse_share("0.1%") == pytest.approx(0.001)
    assert parse_share("100 %") == 1.0
    for text in ("0.1", "101%", "-1%", "%", "nan%"):
        with pytest.raises(ValueError, match=r"^must be a share"):
            parse_share(text)


def test_milliseconds() -> None:
    assert milliseconds(1.23456) == "1,234.6 ms"
