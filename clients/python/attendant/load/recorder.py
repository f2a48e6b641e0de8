"""Notes what happens to each request of a run, in the window of time it belongs to. Has no clock.

All times are in seconds from the start of the run, which begins with the warm-up.
"""

from dataclasses import dataclass, field

from attendant.load.answer import Answer
from attendant.load.config import Timing
from attendant.load.progress import Counters, Progress
from attendant.load.tally import ANSWERED, EntryTally, Tally


@dataclass(slots=True)
class Recording:
    """All that was noted. Those of several workers add up."""

    timing: Timing
    warm_up: Tally
    """Requests that were due before the measured time."""

    windows: list[Tally]
    """The measured time, in parts of equal length."""

    last_answer_s: float = 0.0
    """When the last answer to a measured request came."""

    entries: dict[str, EntryTally] = field(default_factory=dict)
    """The measured time by entry of the mix; empty where there is none."""

    cpu_shares: list[float] = field(default_factory=list)
    """What part of a core each worker used in the measured time."""

    def add(self, other: "Recording") -> None:
        """Puts another worker's recording of the same run to this one."""
        self.warm_up.add(other.warm_up)
        for mine, its in zip(self.windows, other.windows, strict=True):
            mine.add(its)
        self.last_answer_s = max(self.last_answer_s, other.last_answer_s)
        self.cpu_shares += other.cpu_shares
        for name, entry in other.entries.items():
            self.entries.setdefault(name, EntryTally()).add(entry)

    def measured(self) -> Tally:
        """Returns all windows together."""
        total = Tally()
        for window in self.windows:
            total.add(window)
        return total


class Recorder:
    """Collects a run's events, each request's as they happen: due, sent, finished."""

    def __init__(self, timing: Timing) -> None:
        self._timing = timing
        windows = [Tally() for _ in range(timing.num_windows)]
        self._recording = Recording(timing, Tally(), windows)
        self._counters = Counters()

    def due(self, due_s: float) -> None:
        """Counts a request, whatever becomes of it."""
        self._counters.due()
        self._of_request(due_s).arrivals += 1

    def sent(self, due_s: float, sent_s: float) -> None:
        """Notes that a request has left."""
        self._of_request(due_s).lateness.record(max(0.0, sent_s - due_s))

    def failed(self, due_s: float, status: str, entry: str = "") -> None:
        """Notes that a request, of an entry of the mix, failed with the name of a status code."""
        self._counters.failed()
        self._of_request(due_s).statuses[status] += 1
        if (mine := self._of_entry(due_s, entry)) is not None:
            mine.statuses[status] += 1

    def answered(self, due_s: float, done_s: float, answer: Answer, entry: str = "") -> None:
        """Notes that a request was answered.

        Timed from when it was due, not from when it left: a client that waits for a slow server
        before it sends again would leave out the very requests that the slowness hurts.
        """
        self._counters.answered(done_s - due_s)
        tally = self._of_request(due_s)
        tally.statuses[ANSWERED] += 1
        tally.latency.record(done_s - due_s)
        tally.answered.count(answer)
        if (mine := self._of_entry(due_s, entry)) is not None:
            mine.statuses[ANSWERED] += 1
            mine.latency.record(done_s - due_s)
        if done_s < self._timing.end_s:
            self._of_request(done_s).finished.count(answer)
        if due_s >= self._timing.warm_up_s:
            last_s = self._recording.last_answer_s
            self._recording.last_answer_s = max(last_s, done_s)

    def streamed(self, due_s: float, parts_s: list[float]) -> None:
        """Notes when the parts of a stream came; one without text has none."""
        tally = self._of_request(due_s)
        for number, part_s in enumerate(parts_s):
            if number == 0:
                tally.first_token.record(part_s - due_s)
            else:
                tally.between_tokens.record(part_s - parts_s[number - 1])

    def used(self, from_s: float, to_s: float, cpu_s: float) -> None:
        """Notes the processor time that the client used from one moment to another."""
        tally = self._of_request((from_s + to_s) / 2)
        tally.cpu_s += cpu_s
        tally.cpu_span_s += to_s - from_s

    def progress(self, now_s: float, cpu_share: float) -> Progress:
        """Returns how the run is getting on."""
        return self._counters.progress(now_s, cpu_share)

    def recording(self) -> Recording:
        """Returns all that has been noted."""
        self._recording.cpu_shares = [self._recording.measured().cpu_share]
        return self._recording

    def _of_entry(self, due_s: float, entry: str) -> EntryTally | None:
        if not entry or due_s < self._timing.warm_up_s:
            return None
        return self._recording.entries.setdefault(entry, EntryTally())

    def _of_request(self, at_s: float) -> Tally:
        """The window of a moment; what is later than all belongs to the last."""
        since_s = at_s - self._timing.warm_up_s
        if since_s < 0:
            return self._recording.warm_up
        number = int(since_s / self._timing.window_s)
        return self._recording.windows[min(number, self._timing.num_windows - 1)]
