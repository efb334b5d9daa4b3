"""How much a cluster adds to one request when nothing else is asked: p50 at one request in flight.

Held against bare ONNX Runtime that runs the same eight graphs once, two at a time, on the same cores
(benchmarks/bare.py). All take turns in one run; the figure is the median over the rounds of the difference.
For comparison, a bare gRPC fan-out to eight processes that do not compute (benchmarks/echo.py).
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from typing import Any

import grpc
import numpy as np

from benchmarks import bare, common
from benchmarks.fleet import start_bare
from bundle import Bundle
from fault_lab.local_cluster import LocalCluster
from nonn import Client
from protos.engine import OLDER_ENGINE

DEVICES = 8
WARM_UP = 10


def p50(call: Callable[[], object], repeats: int) -> float:
    """Milliseconds."""
    for _ in range(WARM_UP):
        call()
    durations = []
    for _ in range(repeats):
        started = time.perf_counter()
        call()
        durations.append(time.perf_counter() - started)
    return 1000 * statistics.median(durations)


def measure(bundle: Bundle, rounds: int, repeats: int) -> dict[str, Any]:
    image = np.random.default_rng(0).integers(0, 256, (1, *bundle.manifest.input.shape), np.uint8)
    runner = bare.SideBySide(bundle)
    found: dict[str, list[float]] = {"bare": [], "cluster": [], "fan_out": []}
    with common.Children() as children:
        side = start_bare(children, DEVICES, bundle, OLDER_ENGINE)
        with (
            LocalCluster(bundle.path, DEVICES) as cluster,
            Client(cluster.address) as client,
            grpc.insecure_channel(side.address) as channel,
        ):
            fan_out = channel.unary_unary(side.method)
            for _ in range(rounds):
                found["fan_out"].append(p50(lambda: fan_out(side.request, timeout=10), repeats))
                found["bare"].append(p50(lambda: runner(image), repeats))
                found["cluster"].append(p50(lambda: client.predict(image, deadline=10, strict=True), repeats))
    added = [ours - base for ours, base in zip(found["cluster"], found["bare"], strict=True)]
    return {
        "added_ms": common.spread(added),
        **{f"{name}_p50_ms": common.spread(values) for name, values in found.items()},
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--bundles", choices=common.SAMPLES, nargs="+", default=tuple(common.SAMPLES))
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--repeats", type=int, default=200, metavar="N", help="requests in a round")
    parser.add_argument("--save", metavar="NAME", help="into benchmarks/results/NAME.json")
    arguments = parser.parse_args()
    run = common.Run()
    figures = {}
    for name in arguments.bundles:
        figures[name] = measure(Bundle.load(common.SAMPLES[name]), arguments.rounds, arguments.repeats)
        print(name, json.dumps(figures[name], indent=1), flush=True)
    if arguments.save:
        run.save(arguments.save, figures)
    print(f"others took {run.machine()['others']:.1%} of the processors")


if __name__ == "__main__":
    main()
