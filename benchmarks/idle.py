"""How much a cluster adds to one request when nothing else is asked: p50 at one request in flight.

Held against bare ONNX Runtime that runs the same eight graphs once, two at a time, on the same cores
(benchmarks/bare.py): by one device with all students, by one for each core, and by one for each student. All
take turns in one run; the figure is the median over the rounds of the difference. For comparison, a bare gRPC
fan-out to as many processes that do not compute (benchmarks/echo.py).
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from typing import Any

import grpc
import numpy as np
from numpy.typing import NDArray

from benchmarks import bare, common
from benchmarks.fleet import start_bare
from bundle import Bundle
from fault_lab.local_cluster import LocalCluster
from nonn import Client
from protos.engine import OLDER_ENGINE

DEVICES = (1, bare.CORES, 8)
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
    calls: dict[str, Callable[[], object]] = {"bare": lambda: runner(image)}
    with common.Children() as children:
        for devices in DEVICES:
            calls[f"fan_out_{devices}"] = _fan_out(children, devices, bundle)
            calls[f"cluster_{devices}"] = _cluster(children, devices, bundle, image)
        found: dict[str, list[float]] = {name: [] for name in calls}
        for _ in range(rounds):
            for name, call in calls.items():
                found[name].append(p50(call, repeats))
    return {
        "bare_p50_ms": common.spread(found["bare"]),
        "devices": [
            {
                "devices": devices,
                "fan_out_p50_ms": common.spread(found[f"fan_out_{devices}"]),
                "cluster_p50_ms": common.spread(found[f"cluster_{devices}"]),
                "added_ms": common.spread(_differences(found[f"cluster_{devices}"], found["bare"])),
            }
            for devices in DEVICES
        ],
    }


def _fan_out(children: common.Children, devices: int, bundle: Bundle) -> Callable[[], object]:
    side = start_bare(children, devices, bundle, OLDER_ENGINE)
    call = children.enter_context(grpc.insecure_channel(side.address)).unary_unary(side.method)
    return lambda: call(side.request, timeout=10)


def _cluster(
    children: common.Children, devices: int, bundle: Bundle, image: NDArray[np.uint8]
) -> Callable[[], object]:
    cluster = children.enter_context(LocalCluster(bundle.path, devices))
    client = children.enter_context(Client(cluster.address))
    return lambda: client.predict(image, deadline=10, strict=True)


def _differences(ours: list[float], base: list[float]) -> list[float]:
    return [own - other for own, other in zip(ours, base, strict=True)]


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
