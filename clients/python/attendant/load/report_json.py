"""A result as JSON, for programs."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from types import MappingProxyType
from typing import Any

from attendant.load.result import Result

FORMAT = 1
"""Of the file; counts up when a field changes its meaning or goes."""


def as_json(result: Result, further: Mapping[str, object] = MappingProxyType({})) -> str:
    """Returns the result as one JSON object, its figures named as in `Summary`.

    Args:
        result: What to write.
        further: Fields beside those of the result.
    """
    return json.dumps({**as_dict(result), **further}, indent=2)


def as_dict(result: Result) -> dict[str, Any]:
    """Returns the result as JSON holds it."""
    summary = result.summary
    figures = asdict(summary)
    figures["throughput"] = summary.throughput
    figures["error_share"] = summary.error_share
    figures["client"] |= {
        "cpu_share": summary.client.cpu_share,
        "is_bottleneck": summary.client.is_bottleneck,
        "ceiling_per_s": summary.client.ceiling_per_s,
    }
    return {
        "format": FORMAT,
        "started_at": result.started_at,
        "parameters": dict(result.parameters),
        "versions": dict(result.versions),
        **figures,
    }
