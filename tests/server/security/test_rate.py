"""Token buckets and quotas, on a clock that the test winds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.errors import InvalidRequestError, LimitExceededError
from server.security.keys import ApiKey, Limits
from server.security.rate import Quotas, TokenBucket


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def key(**limits: float) -> ApiKey:
    return ApiKey("web", (), frozenset(), Limits(**limits))


def test_a_burst_then_the_rate() -> None:
    clock = Clock()
    bucket = TokenBucket(2.0, 3.0, clock)
    assert [bucket.wait_s(1) for _ in range(4)] == [0, 0, 0, 0.5]
    clock.now += 0.5
    assert [bucket.wait_s(1) for _ in range(2)] == [0, 0.5]
    clock.now += 1000
    assert [bucket.wait_s(1) for _ in range(4)] == [0, 0, 0, 0.5]


def test_without_a_rate_nothing_runs_out() -> None:
    bucket = TokenBucket(0.0, 0.0, Clock())
    assert bucket.wait_s(1e12) == 0


@given(
    rate=st.floats(0.1, 1000),
    burst=st.floats(1, 1000),
    steps=st.lists(st.tuples(st.floats(0, 10), st.floats(0, 1000)), max_size=50),
)
def test_no_more_is_taken_than_burst_and_rate_allow(
    rate: float, burst: float, steps: list[tuple[float, float]]
) -> None:
    clock = Clock()
    bucket, taken, start = TokenBucket(rate, burst, clock), 0.0, clock.now
    for pause, amount in steps:
        clock.now += pause
        wait_s = bucket.wait_s(amount)
        taken += amount if not wait_s else 0
        assert taken <= burst + rate * (clock.now - start) + 1e-6
        if wait_s and amount <= burst:  # what it says to wait is enough
            clock.now += wait_s + 1e-6
            assert bucket.wait_s(amount) == 0
            taken += amount


def test_requests_over_the_rate_say_when_to_come_again() -> None:
    clock = Clock()
    quotas, web = Quotas(clock), key(requests_per_s=4.0, request_burst=1.0)
    quotas.charge_request(web)
    with pytest.raises(LimitExceededError) as caught:
        quotas.charge_request(web)
    assert str(caught.value) == (
        "key web may send 4 requests a second, 1 at once; try again in 0.25 s"
    )
    clock.now += caught.value.retry_after_s
    quotas.charge_request(web)


def test_one_keys_use_is_not_anothers() -> None:
    quotas = Quotas(Clock())
    other = ApiKey("other", (), frozenset(), Limits(requests_per_s=1.0))
    quotas.charge_request(key(requests_per_s=1.0))
    quotas.charge_request(other)
    with pytest.raises(LimitExceededError):
        quotas.charge_request(other)


def test_characters_are_counted_and_too_many_at_once_never_fit() -> None:
    clock = Clock()
    quotas, web = Quotas(clock), key(characters_per_s=10.0, character_burst=50.0)
    quotas.charge_request(web)
    with pytest.raises(InvalidRequestError, match="they have 51 characters, key web may send 50"):
        quotas.charge_characters("web", 51)
    quotas.charge_characters("web", 50)
    with pytest.raises(LimitExceededError) as caught:
        quotas.charge_characters("web", 20)
    assert caught.value.retry_after_s == 2.0


def test_calls_at_a_time_are_counted_until_they_end() -> None:
    quotas, web = Quotas(Clock()), key(max_concurrent=1)
    quotas.charge_request(web)
    with quotas.running("web"):
        message = "key web may have at most 1 calls running; try again in 0.1 s"
        with pytest.raises(LimitExceededError, match=message), quotas.running("web"):
            pytest.fail("two run")
    with pytest.raises(ValueError, match="inner"), quotas.running("web"):
        raise ValueError("inner")
    with quotas.running("web"):
        pass


def test_limits_that_change_begin_anew_and_forget_no_running_call() -> None:
    quotas = Quotas(Clock())
    quotas.charge_request(key(requests_per_s=1.0, max_concurrent=1))
    with quotas.running("web"):
        quotas.charge_request(key(requests_per_s=2.0, max_concurrent=1))
        with pytest.raises(LimitExceededError), quotas.running("web"):
            pytest.fail("two run")
    with quotas.running("web"), pytest.raises(LimitExceededError), quotas.running("web"):
        pytest.fail("two run")


def test_who_has_no_key_has_no_limits_of_one() -> None:
    quotas = Quotas(Clock())
    quotas.charge_characters("ipv4:127.0.0.1", 10**9)
    with quotas.running(""), quotas.running(""):
        pass
