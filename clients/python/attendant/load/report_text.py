"""A result as lines to read."""

from collections.abc import Mapping

from attendant.load.confidence import Interval
from attendant.load.quantity import milliseconds
from attendant.load.result import Result, Value
from attendant.load.summary import ClientUse, Entry, Latency, Rates, Summary

_LABELS = {
    "p50_s": "p50",
    "p90_s": "p90",
    "p95_s": "p95",
    "p99_s": "p99",
    "p99_9_s": "p99.9",
    "p99_99_s": "p99.99",
    "max_s": "max",
}


_SHORT = ("p50_s", "p99_s", "max_s")


def as_text(result: Result) -> str:
    """Returns the figures as lines to read, the warnings last."""
    lines = [f"{heading:<12}{text}" for heading, text in text_rows(result)]
    return "\n".join(lines + warnings_of(result.summary))


def text_rows(result: Result) -> list[tuple[str, str]]:
    """Returns what was asked for and the figures, each a heading and a line to read."""
    summary = result.summary
    return [
        ("load", describe_load(result.parameters)),
        *_warm_up(summary),
        ("requests", f"{summary.arrivals:,} in {summary.elapsed_s:.1f} s"),
        ("answered", f"{summary.answered:,} ({_percent(summary.answered, summary.arrivals)})"),
        ("throughput", _throughput(summary.rates)),
        ("latency", _latency(summary.latency)),
        *_streaming(summary),
        *(("of them", _entry(entry)) for entry in summary.mix),
        ("windows", _confidence(summary)),
        ("errors", _errors(summary)),
        ("client", _client(summary.client)),
    ]


def describe_load(given: Mapping[str, Value]) -> str:
    """Returns what a test's parameters ask for, in a line."""
    kinds = {
        "open": f"open loop, {given.get('arrivals')}, {given.get('rate', 0):g} requests a second",
        "closed": f"closed loop, {given.get('concurrency')} callers",
        "replay": f"replay of {given.get('requests')} requests",
    }
    line = f"{kinds[str(given['loop'])]} for {given['duration_s']:g} s to {given['target']}"
    line += f" ({given['protocol']}{', streamed' if given['stream'] else ''})"
    return line + (f", {given['workers']} workers" if given["workers"] != 1 else "")


def warnings_of(summary: Summary) -> list[str]:
    """Returns what must be known before a figure is quoted; empty if nothing."""
    warnings = []
    if summary.answered and summary.answered < summary.arrivals:
        warnings.append("note: the latency is of answered requests alone.")
    if summary.latency and 0 < summary.latency.count < 10_000:
        warnings.append(_few(summary.latency.count))
    if summary.client.is_bottleneck:
        warnings.append(_bottleneck(summary.client))
    return warnings


def _few(count: int) -> str:
    sure = next(label for most, label in _SURE if count < most)
    return f"note: of {count:,} answers {sure}."


_SURE = (
    (100, "even p99 is the slowest one; measure for longer"),
    (1_000, "p99.9 and p99.99 are the slowest one"),
    (10_000, "p99.99 is the slowest one"),
)


def _warm_up(summary: Summary) -> list[tuple[str, str]]:
    warm_up = summary.warm_up
    if not warm_up.arrivals:
        return []
    text = f"{warm_up.arrivals:,} requests, {sum(warm_up.errors.values()):,} failed"
    if warm_up.latency is not None:
        p50_s, p99_s = warm_up.latency.p50_s, warm_up.latency.p99_s
        text += f", p50 {milliseconds(p50_s)}  p99 {milliseconds(p99_s)}"
    return [("warm-up", f"{text}; not counted below")]


def _throughput(rates: Rates) -> str:
    return (
        f"{rates.answers:,.1f} answers a second; "
        f"tokens {rates.source_tokens:,.0f} in, {rates.target_tokens:,.0f} out; "
        f"characters {rates.source_characters:,.0f} in, {rates.target_characters:,.0f} out"
    )


def _latency(latency: Latency | None) -> str:
    if latency is None:
        return "none: no request was answered"
    return "  ".join(
        f"{label} {milliseconds(getattr(latency, name))}" for name, label in _LABELS.items()
    )


def _streaming(summary: Summary) -> list[tuple[str, str]]:
    rows = []
    if summary.first_token is not None:
        rows.append(("first text", _latency(summary.first_token)))
    if summary.between_tokens is not None:
        rows.append(("then each", _latency(summary.between_tokens)))
    return rows


def _entry(entry: Entry) -> str:
    """A line for one entry of the mix."""
    failed = sum(entry.errors.values())
    line = f"{entry.options}: {entry.answered:,} answered, {failed:,} failed"
    if entry.latency is None:
        return line
    times = [f"{_LABELS[name]} {milliseconds(getattr(entry.latency, name))}" for name in _SHORT]
    return f"{line}, {'  '.join(times)}"


def _confidence(summary: Summary) -> str:
    found = summary.confidence
    if found.throughput is None or found.p50_s is None or found.p99_s is None:
        return f"fewer than 6 of {summary.window_s:g} s had answers: no intervals"
    return (
        f"{len(summary.windows)} of {summary.window_s:g} s, median (95 % interval): "
        f"p50 {_interval(found.p50_s)}  p99 {_interval(found.p99_s)}  "
        f"throughput {found.throughput.median:,.1f} a second "
        f"({found.throughput.low:,.1f} to {found.throughput.high:,.1f})"
    )


def _interval(interval: Interval) -> str:
    low, high = interval.low * 1000, interval.high * 1000
    return f"{milliseconds(interval.median)} ({low:,.1f} to {high:,.1f})"


def _errors(summary: Summary) -> str:
    counts = sorted(summary.errors.items())
    if summary.unfinished:
        counts.append(("unfinished", summary.unfinished))
    return "  ".join(f"{name} {count:,}" for name, count in counts) or "none"


def _client(client: ClientUse) -> str:
    shares = ", ".join(f"{share:.0%}" for share in client.cpu_shares) or "0%"
    line = f"{shares} of a core, sends late by p50 {milliseconds(client.send_lateness_p50_s)}"
    line += f"  p99 {milliseconds(client.send_lateness_p99_s)}"
    ceiling = client.ceiling_per_s
    return line + (f"; at 80% it would send about {ceiling:,.0f} a second" if ceiling else "")


def _bottleneck(client: ClientUse) -> str:
    return (
        f"WARNING: this client was a bottleneck. It used {client.cpu_share:.0%} of a core, and one "
        f"send in a hundred was late by {milliseconds(client.send_lateness_p99_s)} or more. The "
        "figures measure it as much as the server: lower the rate, use more --workers, or give the "
        "client cores of its own."
    )


def _percent(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if whole else "no requests"
