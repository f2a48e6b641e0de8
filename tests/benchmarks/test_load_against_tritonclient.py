"""The verdict of the comparison with Triton's client."""

import pytest

from benchmarks.load_against_tritonclient import judge


@pytest.mark.parametrize(
    ("triton_ms", "attendant_ms", "agrees"),
    [
        ([20, 20, 20], [21.9, 21.9, 21.9], True),  # 10 % is more than 1 ms
        ([20, 20, 20], [22.1, 22.1, 22.1], False),
        ([5, 5, 5], [5.9, 5.9, 5.9], True),  # 1 ms is more than 10 %
        ([5, 5, 5], [3.9, 3.9, 3.9], False),
        ([20, 90, 20], [20, 20, 200], True),  # a bad round decides nothing
    ],
)
def test_medians_agree_within_ten_percent_or_a_millisecond(
    triton_ms: list[float], attendant_ms: list[float], agrees: bool
) -> None:
    verdict = judge([ms / 1000 for ms in triton_ms], [ms / 1000 for ms in attendant_ms])
    assert verdict.agrees is agrees
    assert ("DISAGREE" in str(verdict)) is not agrees
