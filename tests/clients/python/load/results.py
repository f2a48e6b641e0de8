"""Results for the tests of whatever shows them."""

from dataclasses import replace

from attendant.load.answer import Answer
from attendant.load.config import Content, Endpoint, LoadTest, OpenLoop, Timing
from attendant.load.recorder import Recorder
from attendant.load.result import Result, describe
from attendant.load.summary import ClientUse, summarize

TIMING = Timing(duration_s=20, warm_up_s=1, num_windows=10)
TEST = LoadTest(
    endpoint=Endpoint(target="server:1", model="m", api_key="secret-key"),
    pattern=OpenLoop(50),
    timing=TIMING,
    content=Content(("A dog.", "Two dogs."), "en", "de"),
    seed=7,
)
ANSWER = Answer(source_tokens=3, target_tokens=4, source_characters=10, target_characters=20)
CALM_CLIENT = ClientUse(
    cpu_shares=[0.12],
    send_lateness_p50_s=0.0002,
    send_lateness_p99_s=0.0011,
    send_lateness_max_s=0.002,
    sent_per_s=50.0,
)
BUSY_CLIENT = replace(CALM_CLIENT, cpu_shares=[0.3, 0.97], send_lateness_p99_s=0.2)


def result_of(recorder: Recorder, client: ClientUse = CALM_CLIENT) -> Result:
    """What a recorder noted, sent by a client of known use."""
    summary = replace(summarize(recorder.recording()), client=client)
    versions = {"attendant": "9.9", "python": "3.11"}
    return Result("2026-01-02T03:04:05+00:00", describe(TEST), versions, summary)


def recorder_of(
    latency_s: float = 0.010, num_failed: int = 0, is_streamed: bool = False
) -> Recorder:
    """1,050 requests at 50 a second, the first 50 of them the warm-up, the last some failed.

    One in a hundred takes ten times as long.
    """
    recorder = Recorder(TIMING)
    for number in range(1050):
        due_s = number / 50
        recorder.due(due_s)
        if number >= 1050 - num_failed:
            recorder.failed(due_s, "INTERNAL")
            continue
        took_s = latency_s * (10 if number % 100 == 99 else 1)
        recorder.answered(due_s, due_s + took_s, ANSWER)
        if is_streamed:
            recorder.streamed(due_s, [due_s + took_s / 4, due_s + took_s / 2, due_s + took_s])
    return recorder


CALM = result_of(recorder_of())
SLOWER = result_of(recorder_of(0.013))
FAILING = result_of(recorder_of(num_failed=8))
STREAMED = result_of(recorder_of(is_streamed=True))
BUSY = result_of(recorder_of(), BUSY_CLIENT)
EMPTY = result_of(Recorder(TIMING))
