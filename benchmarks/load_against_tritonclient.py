"""Whether `attendant load` measures what a client that nobody here wrote measures.

    python -m benchmarks.load_against_tritonclient --json load_against_tritonclient.json

Triton's own client, driven by hand at a fixed rate, against `attendant load --protocol kserve` at
the same rate and with the same texts, half of what the server can do; runs are interleaved. Their
medians must agree within 10 % or 1 ms, whichever is more. The server has one processor, the clients
the other. Needs .venv-tritonclient, which `make .venv-tritonclient/installed` makes.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from attendant.load.sentences import SENTENCES

from demos.server_process import REPOSITORY, running_server

SERVER_CPU, CLIENT_CPU = 0, 1
MODEL = "multi30k"
TRITON_PYTHON = REPOSITORY / ".venv-tritonclient" / "bin" / "python"
DRIVER = REPOSITORY / "tests" / "peers" / "tritonclient_at_rate.py"
CALLERS, SATURATION_S = 32, 10.0
SHARE = 0.5
MAX_RATIO, MAX_DIFFERENCE_S = 0.10, 0.001


@dataclass(frozen=True)
class Plan:
    """What is run."""

    target: str
    texts: Path
    rate: float
    warm_up_s: float
    duration_s: float


@dataclass(frozen=True)
class Verdict:
    """Medians over the rounds of each round's median."""

    triton_s: float
    attendant_s: float

    @property
    def difference_s(self) -> float:
        """How far apart they are."""
        return abs(self.triton_s - self.attendant_s)

    @property
    def agrees(self) -> bool:
        """Whether they are near enough."""
        return self.difference_s <= max(MAX_DIFFERENCE_S, MAX_RATIO * self.triton_s)

    def __str__(self) -> str:
        says = "agree" if self.agrees else "DISAGREE"
        return (
            f"medians {says}: tritonclient {1000 * self.triton_s:.2f} ms, attendant load"
            f" {1000 * self.attendant_s:.2f} ms, {1000 * self.difference_s:.2f} ms apart"
            f" ({self.difference_s / self.triton_s:.1%})"
        )


def judge(triton_s: Sequence[float], attendant_s: Sequence[float]) -> Verdict:
    """The verdict on the medians of all rounds."""
    return Verdict(statistics.median(triton_s), statistics.median(attendant_s))


def attendant_load(target: str, *options: str) -> Mapping[str, Any]:
    """A run of `attendant load`, as its JSON."""
    command = [sys.executable, "-m", "attendant", "load", "--target", target, "--json"]
    command += ["--protocol", "kserve", "--model", MODEL, *options]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def saturation(target: str, texts: Path) -> float:
    """Requests a second with so many callers that the server always has work."""
    load = ("--concurrency", str(CALLERS), "--duration", str(SATURATION_S), "--warm-up", "2")
    run = attendant_load(target, "--file", str(texts), *load)
    return float(run["throughput"])


def triton_median_s(plan: Plan) -> float:
    """The median of a run that is driven by hand."""
    arguments = [plan.target, MODEL, str(plan.texts), plan.rate, plan.warm_up_s, plan.duration_s]
    command = [str(TRITON_PYTHON), str(DRIVER), *map(str, arguments)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found = json.loads(done.stdout)
    if found["failures"]:
        raise SystemExit(f"{len(found['failures'])} requests failed: {found['failures'][0]}")
    return float(statistics.median(found["latencies_s"]))


def attendant_run(plan: Plan) -> Mapping[str, Any]:
    """The same with `attendant load`."""
    load = ("--rate", str(plan.rate), "--arrivals", "constant", "--file", str(plan.texts))
    times = ("--duration", str(plan.duration_s), "--warm-up", str(plan.warm_up_s))
    run = attendant_load(plan.target, *load, *times)
    if run["errors"]:
        raise SystemExit(f"requests failed: {run['errors']}")
    return run


def compare(plan: Plan, rounds: int) -> dict[str, Any]:
    """All rounds, printed as they end."""
    triton_s, attendant_s, clients = [], [], []
    for number in range(1, rounds + 1):
        triton_s.append(triton_median_s(plan))
        run = attendant_run(plan)
        attendant_s.append(run["latency"]["p50_s"])
        clients.append({name: run["client"][name] for name in ("cpu_share", "send_lateness_p99_s")})
        print(
            f"round {number}: tritonclient {1000 * triton_s[-1]:.2f} ms, attendant load"
            f" {1000 * attendant_s[-1]:.2f} ms, which used {clients[-1]['cpu_share']:.0%} of"
            f" a core and was late by p99 {1000 * clients[-1]['send_lateness_p99_s']:.2f} ms",
            flush=True,
        )
    verdict = judge(triton_s, attendant_s)
    print(verdict, flush=True)
    return {
        "rate": plan.rate,
        "triton_medians_s": triton_s,
        "attendant_medians_s": attendant_s,
        "attendant_clients": clients,
        **asdict(verdict),
        "agrees": verdict.agrees,
    }


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Finds the rate and compares at half of it."""
    os.sched_setaffinity(0, {CLIENT_CPU})
    with (
        tempfile.TemporaryDirectory() as folder,
        running_server(options.models, "--drain-delay-s", "0", cpus={SERVER_CPU}) as server,
    ):
        texts = Path(folder) / "texts"
        texts.write_text("\n".join(SENTENCES) + "\n", encoding="utf-8")
        rate = options.rate or SHARE * saturation(server.target, texts)
        print(f"{rate:,.1f} requests a second", flush=True)
        plan = Plan(server.target, texts, rate, options.warm_up, options.duration)
        return compare(plan, options.rounds)


def main() -> None:
    """Reads the arguments and measures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", type=Path, default=Path("models"))
    parser.add_argument("--rate", type=float, help="requests a second; half of saturation without")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--warm-up", type=float, default=2.0)
    parser.add_argument("--duration", type=float, default=20.0)
    parser.add_argument("--json", type=Path, help="where to write the figures")
    options = parser.parse_args()
    found = measure(options)
    if options.json:
        options.json.write_text(json.dumps(found, indent=2) + "\n")
    if not found["agrees"]:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
