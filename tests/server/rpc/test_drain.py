from __future__ import annotations

import asyncio

import pytest

from server.errors import UnavailableError
from server.rpc.drain import Drain

pytestmark = pytest.mark.asyncio


async def test_what_runs_is_waited_for_and_newcomers_are_turned_away() -> None:
    drain = Drain()
    with drain.admit():
        finishing = asyncio.create_task(drain.finish(timeout_s=30))
        await asyncio.sleep(0)
        with pytest.raises(UnavailableError, match="shutting down"), drain.admit():
            pytest.fail("it was admitted")
        assert drain.num_in_flight == 1
        assert not finishing.done()
    assert await finishing is True


async def test_a_call_that_never_ends_is_given_up() -> None:
    drain = Drain()
    with drain.admit():
        assert await drain.finish(timeout_s=0.01) is False


async def test_a_call_that_fails_is_not_counted_for_ever() -> None:
    drain = Drain()
    with pytest.raises(ZeroDivisionError), drain.admit():
        _ = 1 / 0
    assert drain.num_in_flight == 0
    assert await drain.finish(timeout_s=30) is True
