"""Devices killed, frozen and restarted while requests come in; and what processes take.

kills: devices get SIGKILL while requests are in flight, and are started again; every call must end in an
answer that is right for the students it names, or in a documented refusal, before its deadline. freeze: a
device gets SIGSTOP; p50 before it, once it is suspected, and when it is back. start: from the start of a
device's process until it serves, with and without the student on its disk. memory: resident, of a device and
of the aggregator.
"""

import argparse
import json
import random
import shutil
import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import grpc
import numpy as np
import psutil
import uvloop

from benchmarks import common
from benchmarks.fanout import offer
from benchmarks.fleet import start_ours
from benchmarks.load import Load, Truth
from bundle import Bundle
from fault_lab.local_cluster import LocalCluster
from nonn import Client
from protos import nonn_pb2, nonn_pb2_grpc

DEVICES = 8
LEAST_SERVING = 3  # devices that are left while others start again
PATIENCE = 60.0


class Watch:
    """The states of a cluster's devices by name, at a millisecond's notice."""

    def __init__(self, address: str) -> None:
        self._channel = grpc.insecure_channel(address)
        self._stub = nonn_pb2_grpc.InferenceStub(self._channel)

    def states(self) -> dict[str, str]:
        status = self._stub.Status(nonn_pb2.StatusRequest(), timeout=5)
        return {device.name: nonn_pb2.DeviceState.Name(device.state) for device in status.devices}

    def serves(self, name: str) -> bool:
        return self.states().get(name) == "SERVING"

    def lacks(self, name: str) -> bool:
        return name not in self.states()

    def wait(self, reached: Callable[[], bool]) -> float:
        """Seconds that it took."""
        started = time.monotonic()
        while not reached():
            if time.monotonic() - started > PATIENCE:
                raise TimeoutError(f"not there within {PATIENCE:g} s: {self.states()}")
            time.sleep(0.005)
        return time.monotonic() - started

    def __enter__(self) -> "Watch":
        return self

    def __exit__(self, *_: object) -> None:
        self._channel.close()


def kills(bundle: Bundle, wanted: int, seed: int) -> dict[str, Any]:
    chosen, done, in_flight = random.Random(seed), 0, 0
    with (
        LocalCluster(bundle.path, DEVICES) as cluster,
        Watch(cluster.address) as watch,
        Load(cluster.address, Truth(bundle)) as load,
    ):
        started = time.monotonic()
        while done < wanted:
            serving = [name for name, state in watch.states().items() if state == "SERVING"]
            if len(serving) <= LEAST_SERVING or not load.tally.in_flight:
                time.sleep(0.005)
                continue
            in_flight += load.tally.in_flight
            cluster.restart(int(chosen.choice(serving).rpartition("-")[2]))
            done += 1
        seconds = time.monotonic() - started
        watch.wait(lambda: list(watch.states().values()) == ["SERVING"] * DEVICES)
    return {
        "kills": done,
        "seconds": round(seconds, 1),
        "requests_in_flight_at_a_kill": round(in_flight / done, 2),
        **load.tally.figures(),
    }


def freeze(bundle: Bundle, rounds: int, repeats: int) -> dict[str, Any]:
    image = np.random.default_rng(0).integers(0, 256, (1, *bundle.manifest.input.shape), np.uint8)
    found: dict[str, list[float]] = {
        name: [] for name in ("before", "frozen", "back", "suspected", "resumed")
    }
    slowest = 0.0
    with (
        LocalCluster(bundle.path, DEVICES, aggregator_options=["--heal-after", "never"]) as cluster,
        Watch(cluster.address) as watch,
        Client(cluster.address) as client,
    ):

        def seconds() -> float:
            started = time.perf_counter()
            client.predict(image, deadline=10)
            return time.perf_counter() - started

        def p50() -> float:
            return 1000 * statistics.median(seconds() for _ in range(repeats))

        p50()
        for number in range(rounds):
            index = number % DEVICES
            name = f"device-{index}"
            found["before"].append(p50())
            cluster.pause(index)
            stopped = time.monotonic()
            while watch.serves(name):
                slowest = max(slowest, seconds())
            found["suspected"].append(time.monotonic() - stopped)
            found["frozen"].append(p50())
            cluster.resume(index)
            found["resumed"].append(watch.wait(partial(watch.serves, name)))
            found["back"].append(p50())
    return {
        "p50_before_ms": common.spread(found["before"]),
        "p50_suspected_ms": common.spread(found["frozen"]),
        "p50_back_ms": common.spread(found["back"]),
        "suspected_to_before": common.spread(_ratios(found["frozen"], found["before"])),
        "back_to_before": common.spread(_ratios(found["back"], found["before"])),
        "suspected_after_s": common.spread(found["suspected"]),
        "slowest_until_then_s": round(slowest, 3),
        "serving_after_continue_s": common.spread(found["resumed"]),
    }


def start(bundle: Bundle, rounds: int) -> dict[str, Any]:
    cached: list[float] = []
    fresh: list[float] = []
    resident: list[float] = []
    with (
        LocalCluster(bundle.path, DEVICES, aggregator_options=["--heal-after", "never"]) as cluster,
        Watch(cluster.address) as watch,
        Client(cluster.address) as client,
    ):
        image = Truth(bundle).images
        for number in range(2 * rounds):
            index = number % DEVICES
            name = f"device-{index}"
            cluster.kill(index)
            watch.wait(partial(watch.lacks, name))
            if number % 2:
                shutil.rmtree(cluster.folder / "state" / "nonn" / "devices" / name / "students")
            began = time.monotonic()
            cluster.restart(index)
            watch.wait(partial(watch.serves, name))
            (fresh if number % 2 else cached).append(time.monotonic() - began)
            for _ in range(20):
                client.predict(image, deadline=10)
            resident.append(psutil.Process(cluster.devices[index].pid).memory_info().rss / 1e6)
    return {
        "serving_after_restart_s": common.spread(cached),
        "serving_after_fresh_start_s": common.spread(fresh),
        "device_resident_mb": common.spread(resident, 1),
    }


def aggregator_memory(bundle: Bundle, devices: int = 64) -> dict[str, Any]:
    with common.Children() as children:
        side = start_ours(children, devices, bundle, real=False)
        uvloop.run(offer(side, 400, 4))
        resident = psutil.Process(side.pid).memory_info().rss / 1e6
    return {"devices": devices, "resident_mb": round(resident, 1)}


def _ratios(values: list[float], bases: list[float]) -> list[float]:
    return [value / base for value, base in zip(values, bases, strict=True)]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=1000, metavar="N")
    parser.add_argument("--rounds", type=int, default=8, help="of freezing and starting")
    parser.add_argument("--repeats", type=int, default=300, metavar="N", help="requests for a p50")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="+", metavar="NAME", help="of the figures; default: all")
    parser.add_argument("--save", metavar="NAME", help="into benchmarks/results/NAME.json")
    arguments = parser.parse_args()
    run = common.Run()
    digits, cifar100 = (Bundle.load(common.SAMPLES[name]) for name in ("digits", "cifar100"))
    figures: dict[str, Any] = {}
    measures: dict[str, Callable[[], dict[str, Any]]] = {
        "start": lambda: start(cifar100, arguments.rounds),
        "aggregator_digits": lambda: aggregator_memory(digits),
        "aggregator_cifar100": lambda: aggregator_memory(cifar100),
        "freeze": lambda: freeze(digits, arguments.rounds, arguments.repeats),
        "kills": lambda: kills(digits, arguments.kills, arguments.seed),
    }
    for name in arguments.only or measures:
        figures[name] = measures[name]()
        print(name, json.dumps(figures[name], indent=1), flush=True)
    if arguments.save:
        run.save(arguments.save, figures)
    print(f"others took {run.machine()['others']:.1%} of the processors")


if __name__ == "__main__":
    main()
