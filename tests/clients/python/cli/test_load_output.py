"""What `attendant load` makes of a run: files, limits, searches, comparisons, a view."""

import json
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any

import grpc
import pytest
from attendant.cli import load_run
from attendant.cli.main import main
from attendant.load.answer import Answer
from attendant.load.config import LoadTest, OpenLoop
from attendant.load.recorder import Recorder, Recording

from ..echo_server import EchoServer, refuse

Output = pytest.CaptureFixture[str]
ANSWER = Answer(source_tokens=1, target_tokens=1, source_characters=1, target_characters=1)


def load(target: str, *options: str) -> int:
    short = ("--rate", "100", "--duration", "0.3")
    return main(["load", "--target", target, *short, *options])


def test_the_figures_are_saved_and_drawn(
    server: EchoServer, capsys: Output, tmp_path: Path
) -> None:
    saved, page = tmp_path / "run.json", tmp_path / "run.html"
    assert load(server.target, "--save", str(saved), "--html", str(page)) == 0
    assert capsys.readouterr().out.startswith("load ")
    run = json.loads(saved.read_text())
    assert run["parameters"]["target"] == server.target
    assert run["arrivals"] == run["answered"] > 0
    assert server.target in page.read_text()
    assert "<svg" in page.read_text()


def test_what_is_printed_as_json_is_what_is_saved(
    server: EchoServer, capsys: Output, tmp_path: Path
) -> None:
    saved = tmp_path / "run.json"
    assert load(server.target, "--json", "--save", str(saved)) == 0
    assert capsys.readouterr().out == saved.read_text()


def test_a_key_is_in_no_report(server: EchoServer, capsys: Output, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("very-secret\n")
    page = tmp_path / "run.html"
    options = ("--key-file", f"{tmp_path}/key", "--html", str(page), "--json")
    assert load(server.target, *options) == 0
    assert "very-secret" not in capsys.readouterr().out + page.read_text()


@pytest.mark.parametrize("option", ["--save", "--html"])
def test_a_file_that_cannot_be_written_costs_no_run(
    server: EchoServer, capsys: Output, tmp_path: Path, option: str
) -> None:
    path = f"{tmp_path}/absent/run"
    assert load(server.target, option, path) == 2
    assert capsys.readouterr().err == f"attendant: {path}: No such file or directory\n"
    assert server.requests == []


@pytest.mark.parametrize("option", ["--save", "--html"])
def test_a_run_that_is_refused_leaves_no_file(
    server: EchoServer, tmp_path: Path, option: str
) -> None:
    server.answer = refuse(grpc.StatusCode.NOT_FOUND, "model: there is none")
    assert load(server.target, option, f"{tmp_path}/run") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_file_of_before_stays_until_there_is_a_new_one(
    server: EchoServer, tmp_path: Path
) -> None:
    (tmp_path / "run").write_text("before")
    server.answer = refuse(grpc.StatusCode.NOT_FOUND, "model: there is none")
    assert load(server.target, "--save", f"{tmp_path}/run") == 1
    assert (tmp_path / "run").read_text() == "before"


def test_a_full_disk_costs_no_figures(server: EchoServer, capsys: Output) -> None:
    assert load(server.target, "--save", "/dev/full") == 2
    printed = capsys.readouterr()
    assert "throughput" in printed.out
    assert printed.err == "attendant: /dev/full: No space left on device\n"


def test_a_mix_is_reported_by_its_entries(server: EchoServer, capsys: Output) -> None:
    mix = ("--options", "1", "--options", "1:beam_size=4")
    assert load(server.target, *mix, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert [entry["options"] for entry in found["mix"]] == ["beam_size=4", "defaults"]
    assert sum(entry["answered"] for entry in found["mix"]) == found["answered"]


def test_thresholds_decide_the_exit_code(
    server: EchoServer, capsys: Output, tmp_path: Path
) -> None:
    limits = tmp_path / "limits.toml"
    lenient = "client_may_be_bottleneck = true\n[at_most]\n"  # this machine may be busy
    limits.write_text(f'{lenient}error_share = "0%"\nlatency_p99 = "60s"\n')
    assert load(server.target, "--thresholds", str(limits)) == 0
    assert "thresholds  all 2 held\n" in capsys.readouterr().out
    limits.write_text(f'{lenient}latency_p50 = "1us"\n')
    assert load(server.target, "--thresholds", str(limits)) == 5
    assert "MISSED      latency_p50 is " in capsys.readouterr().out
    assert load(server.target, "--thresholds", str(limits), "--json") == 5
    verdict = json.loads(capsys.readouterr().out)["thresholds"]
    assert verdict["is_passed"] is False
    assert len(verdict["missed"]) == 1


def test_a_server_that_answers_nothing_is_told_from_a_missed_threshold(
    server: EchoServer, capsys: Output, tmp_path: Path
) -> None:
    server.answer = refuse(grpc.StatusCode.RESOURCE_EXHAUSTED, "full")
    (tmp_path / "limits").write_text('[at_most]\nlatency_p50 = "1us"\n')
    assert load(server.target, "--thresholds", f"{tmp_path}/limits") == 3


def test_a_wrong_threshold_file_costs_no_run(
    server: EchoServer, capsys: Output, tmp_path: Path
) -> None:
    limits = tmp_path / "limits.toml"
    assert load(server.target, "--thresholds", str(limits)) == 2
    limits.write_text("[at_most]\nlatency_p98 = '1s'\n")
    assert load(server.target, "--thresholds", str(limits)) == 2
    errors = capsys.readouterr().err
    assert f"attendant: {limits}: No such file or directory\n" in errors
    assert f"attendant: {limits}: at_most.latency_p98: there is no such figure" in errors
    assert server.requests == []


def limited_to(limit: float) -> Any:
    """Stands for a server that takes 10 ms up to a rate and 100 ms beyond."""

    def record(test: LoadTest) -> Recording:
        assert isinstance(test.pattern, OpenLoop)
        recorder = Recorder(test.timing)
        for n in range(100):
            due_s = test.timing.duration_s * n / 100
            recorder.due(due_s)
            recorder.answered(due_s, due_s + (0.01 if test.pattern.rate <= limit else 0.1), ANSWER)
        return recorder.recording()

    return record


def test_the_highest_rate_that_holds_is_found(
    capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(load_run, "_record", limited_to(333))
    assert load("server:1", "--find-slo", "p99=50ms", "--json") == 0
    run = json.loads(capsys.readouterr().out)
    found = run["search"]
    assert (found["objectives"], found["ending"]) == (["p99=50ms"], "found")
    assert 333 / 1.05 <= found["rate"] <= 333
    assert run["parameters"]["rate"] == found["rate"]
    assert run["latency"]["p99_s"] == pytest.approx(0.01, rel=1e-3)
    assert load("server:1", "--find-slo", "p99=50ms") == 0
    assert f"search      p99=50ms holds at {found['rate']:,.1f} " in capsys.readouterr().out


def test_a_promise_that_no_rate_keeps_is_a_missed_threshold(
    capsys: Output, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(load_run, "_record", limited_to(333))
    page = tmp_path / "run.html"
    assert load("server:1", "--find-slo", "p99=5ms", "--html", str(page)) == 5
    assert "search      no rate was found at which p99=5ms holds" in capsys.readouterr().out
    assert "<h2>Search</h2>" in page.read_text()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--rate", "1", "--find-slo", "p99"), "--find-slo: must be as p99=100ms"),
        (("--rate", "1", "--find-slo", "first_token_p99=1s"), "--find-slo: only with --stream"),
        (("--concurrency", "1", "--find-slo", "p99=1s"), "--find-slo: looks for the rate of an"),
    ],
)
def test_a_search_that_makes_no_sense_is_refused(
    nowhere: str, capsys: Output, options: tuple[str, ...], message: str
) -> None:
    assert main(["load", "--target", nowhere, "--duration", "1", *options]) == 2
    assert capsys.readouterr().err.startswith(f"attendant: {message}")


def saved_run(limit: float, path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(load_run, "_record", limited_to(limit))
    assert load("server:1", "--save", str(path)) == 0
    return str(path)


def test_results_are_compared(
    capsys: Output, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fast = saved_run(1000, tmp_path / "fast.json", monkeypatch)
    slow = saved_run(10, tmp_path / "slow.json", monkeypatch)
    capsys.readouterr()
    assert main(["load", "compare", fast, slow]) == 0
    (line,) = (x for x in capsys.readouterr().out.splitlines() if x.startswith("latency_p99 "))
    assert line.split() == ["latency_p99", "10.0", "ms", "100.0", "ms", "+900.0%", "worse"]
    assert main(["load", "compare", fast, slow, "--fail-if-worse"]) == 5
    capsys.readouterr()
    assert main(["load", "compare", slow, fast, "--fail-if-worse", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["is_worse"] is False


def test_what_cannot_be_compared_is_named(capsys: Output, tmp_path: Path) -> None:
    absent, wrong = f"{tmp_path}/absent", tmp_path / "wrong"
    wrong.write_text("{}")
    assert main(["load", "compare", absent, str(wrong)]) == 2
    assert main(["load", "compare", str(wrong), absent]) == 2
    assert capsys.readouterr().err.splitlines() == [
        f"attendant: {absent}: No such file or directory",
        f"attendant: {wrong}: not a result that this version of attendant load wrote",
    ]


def test_a_terminal_shows_the_run_while_it_runs_and_a_pipe_nothing(server: EchoServer) -> None:
    command = [sys.executable, "-m", "attendant", "load", "--target", server.target]
    command += ["--rate", "20", "--duration", "1.5"]
    terminal, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm"}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=theirs, text=True, env=environment
    ) as process:
        os.close(theirs)
        shown = b""
        while chunk := read_terminal(terminal):
            shown += chunk
        assert process.stdout is not None
        printed = process.stdout.read()
    os.close(terminal)
    assert process.returncode == 0
    assert b"of 1.5 s" in shown
    assert b"of a core" in shown
    assert printed.startswith("load ")
    assert "\x1b" not in printed
    # Not even where the environment asks for colours.
    environment["FORCE_COLOR"] = "1"
    piped = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert piped.stderr == ""


def read_terminal(terminal: int) -> bytes:
    try:
        return os.read(terminal, 4096)
    except OSError:  # nobody holds the other end any more
        return b""
