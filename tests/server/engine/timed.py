"""An engine whose steps take a known time."""

from __future__ import annotations

from dataclasses import replace

from server.engine.engine import Engine, StepStats
from server.engine.options import DecodingOptions
from tests.server.engine.fake_runner import EOS, FakeRunner
from tests.server.engine.jobs import Clock

OPTIONS = DecodingOptions(max_target_tokens=1000)
BEAM = replace(OPTIONS, beam_size=4, min_target_tokens=900)


class TimedRunner(FakeRunner):
    """Each step takes `step_s` of the clock; encoded sources are kept."""

    def __init__(self, num_slots: int, clock: Clock, step_s: float = 1.0) -> None:
        super().__init__(num_slots)
        self.clock, self.step_s = clock, step_s
        self.encoded: list[list[int]] = []

    def encode(self, sources: list[list[int]], slots: list[int]) -> None:
        super().encode(sources, slots)
        self.encoded += sources

    def decode_step(self, tokens: list[int]):
        self.clock.now += self.step_s
        return super().decode_step(tokens)


def make_engine(runner: FakeRunner, **settings: object) -> Engine:
    return Engine(runner, bos_id=1, eos_id=EOS, never=[0, 1], **settings)


def timed_engine(num_slots: int = 4) -> tuple[Engine, TimedRunner, Clock]:
    clock = Clock()
    runner = TimedRunner(num_slots, clock)
    return make_engine(runner, clock=clock), runner, clock


def watch(engine: Engine) -> list[StepStats]:
    stats: list[StepStats] = []
    engine.on_step = stats.append
    return stats


def drain(engine: Engine) -> dict[int, list[int]]:
    results = {}
    while engine.has_work:
        results |= {sequence.sequence_id: sequence.token_ids for sequence in engine.step().ended}
    return results
