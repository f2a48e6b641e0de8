"""How long a queue takes to move."""

from __future__ import annotations

import pytest

from server.engine.throughput import LEAST_S, MOST_S, UNKNOWN_S, WINDOW, Throughput


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_wait_is_what_the_last_ends_took() -> None:
    clock = Clock()
    throughput = Throughput(clock)
    for _ in range(200):
        clock.now += 0.1
        throughput.note_end()
    clock.now += 0.1
    assert throughput.wait_s(10) == pytest.approx(1.0, rel=0.05)


def test_old_rates_are_forgotten() -> None:
    clock = Clock()
    throughput = Throughput(clock)
    for pause in [1.0] * 50 + [0.01] * WINDOW:
        clock.now += pause
        throughput.note_end()
    assert throughput.wait_s(100) == pytest.approx(1.0, rel=0.05)


def test_an_engine_that_stands_still_makes_the_wait_grow() -> None:
    clock = Clock()
    throughput = Throughput(clock)
    for _ in range(10):
        clock.now += 0.01
        throughput.note_end()
    before = throughput.wait_s(50)
    clock.now += 5
    assert throughput.wait_s(50) > 10 * before


def test_a_wait_is_never_absurd() -> None:
    clock = Clock()
    throughput = Throughput(clock)
    assert throughput.wait_s(5) == UNKNOWN_S
    throughput.note_end()
    throughput.note_end()
    assert throughput.wait_s(5) == LEAST_S
    clock.now += 1e6
    assert throughput.wait_s(5) == MOST_S
