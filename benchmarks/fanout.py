"""The aggregator's CPU for each request, against a bare gRPC fan-out of the same shape (benchmarks/echo.py).

Both serve the same requests, with messages of the same sizes, from the same load generator, in turns, in one
run; a figure is the median over the rounds, a ratio that of the rounds' ratios. CPU is the user and system
time of the aggregator's process. One student a device: from 8 devices on all students are there, beyond that
as replicas. The devices answer at once without computing (benchmarks/light_devices.py), so that 64 of them
and the aggregator fit on two cores; `--real` takes `nonn device` processes. Works hold one image (--max-batch
1): requests that are in flight together share nothing.

`nonn aggregator` has gRPC use its older engine; the bare one uses what gRPC chooses, the newer one, unless
`--older-engine` is given.
"""

import argparse
import asyncio
import json
import statistics
import time
from typing import Any

import grpc
import numpy as np
import psutil
import uvloop

from benchmarks import common, echo
from benchmarks.fleet import Side, start_bare, start_ours
from bundle import Bundle
from protos.engine import OLDER_ENGINE

FAN_OUTS = (1, 2, 4, 8, 16, 32, 64)
CONCURRENCIES = (1, 4)


async def offer(side: Side, requests: int, concurrency: int) -> tuple[float, float]:
    """CPU of the aggregator for each request and p50 latency, both in milliseconds."""
    async with grpc.aio.insecure_channel(side.address, options=echo.CHANNEL_OPTIONS) as channel:
        call = channel.unary_unary(side.method)
        durations: list[float] = []

        async def ask(times: int) -> None:
            for _ in range(times):
                started = time.perf_counter()
                await call(side.request, timeout=20)
                durations.append(time.perf_counter() - started)

        await asyncio.gather(*(ask(5) for _ in range(concurrency)))
        durations.clear()
        process = psutil.Process(side.pid)
        before = process.cpu_times()
        await asyncio.gather(*(ask(requests // concurrency) for _ in range(concurrency)))
        after = process.cpu_times()
    seconds = after.user + after.system - before.user - before.system
    return 1000 * seconds / len(durations), 1000 * statistics.median(durations)


def compare(
    fan_out: int, bundle: Bundle, rounds: int, scale: float, *, real: bool, engine: str
) -> dict[str, Any]:
    requests = round(scale * 8000 / (fan_out + 3) / 4) * 4  # about a second of the aggregator's CPU
    found: dict[str, Any] = {"fan_out": fan_out, "requests_a_round": requests}
    with common.Children() as children:
        sides = [start_bare(children, fan_out, bundle, engine), start_ours(children, fan_out, bundle, real)]
        for concurrency in CONCURRENCIES:
            figures: dict[str, list[tuple[float, float]]] = {"bare": [], "nonn": []}
            for number in range(rounds):
                for side in sides if number % 2 else sides[::-1]:
                    figures[side.name].append(uvloop.run(offer(side, requests, concurrency)))
            found[f"in_flight_{concurrency}"] = summary(figures)
    return found


def summary(figures: dict[str, list[tuple[float, float]]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for place, name in enumerate(("cpu", "p50")):
        bare, nonn = ([figure[place] for figure in figures[side]] for side in ("bare", "nonn"))
        found[f"{name}_ms_bare"] = common.spread(bare)
        found[f"{name}_ms_nonn"] = common.spread(nonn)
        found[f"{name}_ratio"] = common.spread([ours / base for ours, base in zip(nonn, bare, strict=True)])
    return found


def growth(rows: list[dict[str, Any]], concurrency: int, side: str) -> dict[str, float]:
    """CPU = fixed + each * devices, by least relative squares; worst: the farthest point from that line."""
    points = [(row["fan_out"], row[f"in_flight_{concurrency}"][f"cpu_ms_{side}"]["median"]) for row in rows]
    devices, cpu = np.array(points, float).T
    each, fixed = np.polyfit(devices, cpu, 1, w=1 / cpu)
    worst = float(np.abs((fixed + each * devices) / cpu - 1).max())
    return {"fixed_ms": round(fixed, 4), "each_ms": round(each, 4), "worst": round(worst, 3)}


def show(row: dict[str, Any]) -> None:
    for concurrency in CONCURRENCIES:
        figures = row[f"in_flight_{concurrency}"]
        line = f"{row['fan_out']:3} devices, {concurrency} in flight:"
        for name in ("cpu", "p50"):
            nonn, bare = (figures[f"{name}_ms_{side}"]["median"] for side in ("nonn", "bare"))
            line += f"  {name} {nonn:.3f} / {bare:.3f} ms = {common.shown(figures[f'{name}_ratio'])}"
        print(line, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--bundle", choices=common.SAMPLES, default="digits")
    parser.add_argument("--fan-outs", type=int, nargs="+", default=FAN_OUTS, metavar="N")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--scale", type=float, default=1.0, help="times the usual number of requests a round")
    parser.add_argument("--real", action="store_true", help="`nonn device` processes")
    parser.add_argument("--older-engine", action="store_true", help="for the bare aggregator too")
    parser.add_argument("--save", metavar="NAME", help="into benchmarks/results/NAME.json")
    arguments = parser.parse_args()
    run = common.Run()
    bundle = Bundle.load(common.SAMPLES[arguments.bundle])
    engine = OLDER_ENGINE if arguments.older_engine else ""
    rows = []
    for fan_out in arguments.fan_outs:
        rows.append(
            compare(fan_out, bundle, arguments.rounds, arguments.scale, real=arguments.real, engine=engine)
        )
        show(rows[-1])
    lines = {
        f"in_flight_{concurrency}_{side}": growth(rows, concurrency, side)
        for concurrency in CONCURRENCIES
        for side in ("bare", "nonn")
        if len(rows) > 2
    }
    print(json.dumps(lines, indent=1))
    if arguments.save:
        run.save(arguments.save, {"growth": lines, "fan_outs": rows})


if __name__ == "__main__":
    main()
