"""Latency and throughput of a local cluster: one aggregator and eight device processes over loopback gRPC.

Prints one JSON object: milliseconds at one request in flight, requests a second at several, with all devices
and with half of them killed; and, as the measure to hold them against, the same students run by bare ONNX
Runtime in this process, one after another. Compare figures within one run only: load shifts them all.
"""

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from bundle import Bundle
from fault_lab.local_cluster import LocalCluster
from nonn import Client

ROOT = Path(__file__).resolve().parent.parent
IN_FLIGHT = 16
WARM_UP = 20


def milliseconds(call: Callable[[], object], repeats: int) -> dict[str, float]:
    """Median and 95th percentile of one call after another."""
    for _ in range(WARM_UP):
        call()
    durations = []
    for _ in range(repeats):
        started = time.perf_counter()
        call()
        durations.append(1000 * (time.perf_counter() - started))
    return {
        "p50": round(statistics.median(durations), 2),
        "p95": round(statistics.quantiles(durations, n=20)[-1], 2),
    }


def requests_a_second(call: Callable[[], object], repeats: int) -> float:
    """With IN_FLIGHT calls at any time."""
    started = time.perf_counter()
    with ThreadPoolExecutor(IN_FLIGHT) as pool:
        for done in [pool.submit(call) for _ in range(repeats)]:
            done.result()
    return round(repeats / (time.perf_counter() - started), 1)


def bare(bundle: Bundle, image: NDArray[np.uint8], repeats: int) -> dict[str, float]:
    """All students of one image in this process, one thread each, merged."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    sessions = [
        onnxruntime.InferenceSession(bundle.student_bytes(student.index), options)
        for student in bundle.manifest.students
    ]

    def run() -> None:
        answers = (session.run(None, {"images": image})[0] for session in sessions)
        bundle.merger.merge(dict(enumerate(answers)))

    return milliseconds(run, repeats)


def measure(bundle: Bundle, repeats: int) -> dict[str, Any]:
    image = np.random.default_rng(0).integers(0, 256, (1, *bundle.manifest.input.shape), np.uint8)
    found: dict[str, Any] = {"bare_onnxruntime_ms": bare(bundle, image, repeats)}
    with (
        LocalCluster(bundle.path, 8, aggregator_options=["--heal-after", "never"]) as cluster,
        Client(cluster.address) as client,
    ):

        def ask() -> None:
            client.predict(image, deadline=10)

        for name in ("all_devices", "half_of_the_devices"):
            if name == "half_of_the_devices":
                for index in range(4):
                    cluster.kill(index)
                cluster.wait_until(lambda status: len(status.devices) == 4, 10)
            found[name] = {
                "one_in_flight_ms": milliseconds(ask, repeats),
                f"requests_a_second_{IN_FLIGHT}_in_flight": requests_a_second(ask, 4 * repeats),
            }
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--bundle", type=Path, default=ROOT / "samples" / "digits", metavar="DIR")
    parser.add_argument("--repeats", type=int, default=500, metavar="N")
    arguments = parser.parse_args()
    bundle = Bundle.load(arguments.bundle)
    machine = {
        "machine": platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "load": os.getloadavg()[0],
    }
    print(
        json.dumps(
            {**machine, "bundle": bundle.manifest.name, **measure(bundle, arguments.repeats)}, indent=2
        )
    )


if __name__ == "__main__":
    main()
