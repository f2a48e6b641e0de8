"""Times and shares as people write them: "100ms", "0.1%"."""

import math

_SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0}


def parse_time(text: str) -> float:
    """Returns a time in seconds, read from "250us", "100ms" or "1.5s". Raises ValueError."""
    number = text.strip().rstrip("smu")
    unit = text.strip()[len(number) :]
    try:
        seconds = float(number) * _SECONDS[unit]
    except (ValueError, KeyError):
        raise ValueError(f'must be a time such as "100ms" or "1.5s", not {text!r}') from None
    if not 0 < seconds < math.inf:
        raise ValueError(f"must be above 0, not {text!r}")
    return seconds


def parse_share(text: str) -> float:
    """Returns a part of 1, read from "0.1%". Raises ValueError."""
    try:
        share = float(text.strip().removesuffix("%")) / 100
    except ValueError:
        share = math.nan
    if not text.strip().endswith("%") or not 0 <= share <= 1:
        raise ValueError(f'must be a share such as "0.1%", not {text!r}')
    return share


def milliseconds(seconds: float) -> str:
    """Returns a time as milliseconds to read."""
    return f"{seconds * 1000:,.1f} ms"
