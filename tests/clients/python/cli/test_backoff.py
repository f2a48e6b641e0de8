"""Waiting for a full server, in a time that stands still while there is anything to do."""

import itertools

import pytest
from attendant import InvalidRequestError, OverloadedError
from attendant.cli.backoff import Backoff, while_overloaded

from ..virtual_time import now_s, run_in_virtual_time


def test_pauses_grow_to_the_longest_and_end_in_time() -> None:
    pauses = list(Backoff(first_s=1, longest_s=8, give_up_s=100).pauses())
    for n, pause in enumerate(pauses[:-1]):
        assert min(2**n, 8) / 2 <= pause <= min(2**n, 8)
    assert sum(pauses) == pytest.approx(100)


def test_callers_do_not_come_back_together() -> None:
    assert len({next(Backoff().pauses()) for _ in range(10)}) > 1


def test_a_full_server_is_asked_again_until_it_answers() -> None:
    refusals = [OverloadedError("full"), OverloadedError("full")]

    async def call() -> str:
        if refusals:
            raise refusals.pop()
        return "done"

    async def main() -> tuple[str, float]:
        return await while_overloaded(call, Backoff(first_s=1)), now_s()

    result, waited_s = run_in_virtual_time(main())
    assert result == "done"
    assert 1.5 <= waited_s <= 3.0


def test_a_server_that_stays_full_is_given_up() -> None:
    async def call() -> str:
        raise OverloadedError(f"full at {now_s():.0f} s")

    with pytest.raises(OverloadedError, match="full at 60 s"):
        run_in_virtual_time(while_overloaded(call, Backoff(give_up_s=60)))


def test_no_other_error_is_waited_for() -> None:
    calls = itertools.count(1)

    async def call() -> str:
        raise InvalidRequestError(f"call {next(calls)}")

    with pytest.raises(InvalidRequestError, match="call 1"):
        run_in_virtual_time(while_overloaded(call, Backoff()))
