"""How a run's figures are shown: as text for people, as JSON for programs."""

import json
from dataclasses import asdict

from attendant.load.recorder import ClientUse, Latency, Summary


def as_json(summary: Summary) -> str:
    """Returns the figures as one JSON object, its fields named as in `Summary`."""
    figures = asdict(summary)
    figures["throughput"] = summary.throughput
    figures["client"]["is_bottleneck"] = summary.client.is_bottleneck
    return json.dumps(figures, indent=2)


def as_text(summary: Summary) -> str:
    """Returns the figures as lines to read, the warnings last."""
    lines = [
        f"requests    {summary.arrivals:,} in {summary.elapsed_s:.1f} s",
        f"answered    {summary.answered:,} ({_percent(summary.answered, summary.arrivals)})",
        f"throughput  {summary.throughput:,.1f} answers a second",
        f"latency     {_latency(summary.latency)}",
        f"errors      {_errors(summary)}",
        f"client      {summary.client.cpu_share:.0%} of a core, "
        f"sends late by p99 {_ms(summary.client.send_lateness_p99_s)}",
    ]
    return "\n".join(lines + _warnings(summary))


def _latency(latency: Latency | None) -> str:
    if latency is None:
        return "none: no request was answered"
    return (
        f"p50 {_ms(latency.p50_s)}  p95 {_ms(latency.p95_s)}  "
        f"p99 {_ms(latency.p99_s)}  max {_ms(latency.max_s)}"
    )


def _errors(summary: Summary) -> str:
    counts = sorted(summary.errors.items())
    if summary.unfinished:
        counts.append(("unfinished", summary.unfinished))
    return "  ".join(f"{name} {count:,}" for name, count in counts) or "none"


def _warnings(summary: Summary) -> list[str]:
    warnings = []
    if summary.answered and summary.answered < summary.arrivals:
        warnings.append("note: the latency is of answered requests alone.")
    if summary.client.is_bottleneck:
        warnings.append(_bottleneck(summary.client))
    return warnings


def _bottleneck(client: ClientUse) -> str:
    return (
        f"WARNING: this client was a bottleneck. It used {client.cpu_share:.0%} of a core, and one "
        f"send in a hundred was late by {_ms(client.send_lateness_p99_s)} or more. The figures "
        "measure it as much as the server: lower the rate, or give the client a core of its own."
    )


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms"


def _percent(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if whole else "no requests"
