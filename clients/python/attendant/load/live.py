"""How a run is getting on, on a terminal. It runs in a process that sends nothing."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from statistics import quantiles

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from attendant.load.config import Timing
from attendant.load.progress import Progress
from attendant.load.quantity import milliseconds


@contextmanager
def live_view(console: Console, load: str, timing: Timing) -> Iterator[Callable[[Progress], None]]:
    """Shows a run on a terminal for the length of a block; yields whom to tell of it.

    Args:
        console: The terminal.
        load: What is sent, in a line.
        timing: How long.
    """
    with Live(console=console, transient=True, auto_refresh=False) as live:
        before: Progress | None = None

        def watch(now: Progress) -> None:
            nonlocal before
            table = view_of(now, before, timing)
            live.update(Group(Text(load), table), refresh=True)
            before = now

        yield watch


def view_of(now: Progress, before: Progress | None, timing: Timing) -> Table:
    """Returns what is shown of a moment, and of the time since the one before."""
    table = Table.grid(padding=(0, 2))
    table.add_row("time", f"{_phase(now.now_s, timing)}")
    table.add_row("requests", f"{now.arrivals:,} sent, {now.in_flight:,} waited for")
    table.add_row("answers", f"{now.answered:,} ({_rate(now, before)} a second)")
    table.add_row("failures", f"{now.failed:,}")
    table.add_row("latency", _latency(now))
    table.add_row("client", f"{now.cpu_share:.0%} of a core")
    return table


def _phase(now_s: float, timing: Timing) -> str:
    if now_s < timing.warm_up_s:
        return f"warm-up, {max(now_s, 0.0):.0f} of {timing.warm_up_s:g} s"
    if now_s < timing.end_s:
        return f"{now_s - timing.warm_up_s:.0f} of {timing.duration_s:g} s"
    return "waiting for the last answers"


def _rate(now: Progress, before: Progress | None) -> str:
    if before is None or now.now_s <= before.now_s:
        return "-"
    return f"{(now.answered - before.answered) / (now.now_s - before.now_s):,.0f}"


def _latency(now: Progress) -> str:
    if len(now.recent_s) < 2:
        return "-"
    cuts = quantiles(now.recent_s, n=100, method="inclusive")
    return f"p50 {milliseconds(cuts[49])}  p99 {milliseconds(cuts[98])} of the last answers"
