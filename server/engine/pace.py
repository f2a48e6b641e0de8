"""How fast the engine is just now, and so whether a job can end in time."""

from __future__ import annotations

from server.engine.sequence import Job

SMOOTHING = 0.05
"""Weight of the newest figure in the running means."""
OPTIMISM = 0.5
"""Of its own steps a job is expected to need this part: how long a translation gets is a guess, and
a wrong refusal costs an answer, a wrong admission a few steps.
"""
MIN_STEPS = 50
"""Steps to have seen before anything is refused."""

MAX_JUMP = 4.0
"""A step counts at most so many times the mean: one pause of the whole process, of a minute say,
must not refuse everybody after it; a machine that really is slower shows within a few steps.
"""


class Pace:
    """Running means over steps and finished sequences."""

    def __init__(self, num_rows: int) -> None:
        self._num_rows = num_rows
        self._num_steps = 0
        self._step_s = 0.0
        self._steps_a_sequence = 16.0
        self._steps_a_source_token = 1.0

    def observe_step(self, duration_s: float) -> None:
        """Takes the time from step to step while there is work, encoding included."""
        if self._num_steps >= MIN_STEPS:
            duration_s = min(duration_s, MAX_JUMP * self._step_s)
        self._num_steps += 1
        weight = max(SMOOTHING, 1 / self._num_steps)
        self._step_s += weight * (duration_s - self._step_s)

    def observe_end(self, num_source_tokens: int, num_steps: int) -> None:
        """Takes what a finished sequence needed."""
        self._steps_a_sequence += SMOOTHING * (num_steps - self._steps_a_sequence)
        ratio = num_steps / num_source_tokens
        self._steps_a_source_token += SMOOTHING * (ratio - self._steps_a_source_token)

    def own_s(self, job: Job) -> float:
        """Seconds that `job` is expected to run."""
        steps = min(job.options.max_target_tokens, self._steps_a_source_token * len(job.source))
        return steps * self._step_s

    @property
    def row_s(self) -> float:
        """Seconds by which a row that waits delays those behind it; 0 before enough was seen."""
        if self._num_steps < MIN_STEPS:
            return 0.0
        return self._steps_a_sequence * self._step_s / self._num_rows

    def queue_s(self, num_rows_before: int) -> float:
        """Seconds until a job gets rows if `num_rows_before` rows wait in front of it."""
        return num_rows_before * self.row_s

    def is_hopeless(self, job: Job, num_rows_before: int, now: float) -> bool:
        """Whether `job` would miss its deadline; one that takes what there is by then cannot,
        before it.
        """
        left = job.deadline - now
        if self._num_steps < MIN_STEPS or job.takes_partial:
            return left <= 0
        return left <= OPTIMISM * self.own_s(job) + self.queue_s(num_rows_before)
