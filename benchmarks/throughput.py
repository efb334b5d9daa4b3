"""Images a second of a saturated cluster, against bare ONNX Runtime with the same graphs on the same cores.

The cluster is an aggregator and eight `nonn device` processes with one student each; clients keep a few
requests of a full batch in flight, and every answer must be whole. Bare is the best of three ways to run the
eight graphs on two cores at that batch size (benchmarks/bare.py). Both take turns in one run.
At batch size 1 it is 16 callers of one image each, whose requests share works while they wait.
"""

import argparse
import asyncio
import json
import time
from typing import Any

import numpy as np
import uvloop
from numpy.typing import NDArray

from benchmarks import bare, common
from bundle import Bundle
from fault_lab.local_cluster import LocalCluster
from nonn import AsyncClient

DEVICES = 8
IN_FLIGHT = 4
SINGLE_IN_FLIGHT = 16
LARGEST_BATCH = 64
DEADLINE = 30.0
BARE = (bare.SideBySide, bare.OneByOne, bare.Independent)


async def of_cluster(address: str, images: NDArray[np.uint8], batches: int, in_flight: int) -> float:
    """Images a second."""
    async with AsyncClient(address) as client:

        async def ask(times: int) -> None:
            for _ in range(times):
                answer = await client.predict(images, deadline=DEADLINE)
                if answer.degraded:
                    raise RuntimeError(f"students {answer.missing} did not answer: the load is too high")

        await asyncio.gather(*(ask(1) for _ in range(in_flight)))
        started = time.perf_counter()
        await asyncio.gather(*(ask(batches // in_flight) for _ in range(in_flight)))
        return batches * len(images) / (time.perf_counter() - started)


def of_bare(runner: Any, images: NDArray[np.uint8], batches: int) -> float:
    """Images a second."""
    runner(images)
    started = time.perf_counter()
    for _ in range(batches // runner.batches):
        runner(images)
    return batches * len(images) / (time.perf_counter() - started)


def measure(bundle: Bundle, batch: int, rounds: int, images_a_round: int) -> dict[str, Any]:
    images = np.random.default_rng(0).integers(0, 256, (batch, *bundle.manifest.input.shape), np.uint8)
    in_flight = SINGLE_IN_FLIGHT if batch == 1 else IN_FLIGHT
    batches = max(images_a_round // batch // in_flight, 1) * in_flight
    options = ["--max-batch", str(LARGEST_BATCH if batch == 1 else batch)]
    runners = [kind(bundle) for kind in BARE]
    cluster_rates: list[float] = []
    bare_rates: dict[str, list[float]] = {kind.__name__: [] for kind in BARE}
    with LocalCluster(bundle.path, DEVICES, aggregator_options=options) as cluster:
        for _ in range(rounds):
            for runner in runners:
                bare_rates[type(runner).__name__].append(of_bare(runner, images, batches))
            cluster_rates.append(uvloop.run(of_cluster(cluster.address, images, batches, in_flight)))
    best = [max(rates) for rates in zip(*bare_rates.values(), strict=True)]
    return {
        "batch": batch,
        "in_flight": in_flight,
        "images_a_round": batches * batch,
        "ratio": common.spread([ours / base for ours, base in zip(cluster_rates, best, strict=True)]),
        "cluster_images_s": common.spread(cluster_rates, 1),
        "bare_images_s": common.spread(best, 1),
        "bare_by_way": {name: common.spread(rates, 1) for name, rates in bare_rates.items()},
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--bundle", choices=common.SAMPLES, default="cifar100")
    parser.add_argument("--batches", type=int, nargs="+", default=(64, 16, 1), metavar="B")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--images", type=int, default=1536, help="in a round")
    parser.add_argument("--save", metavar="NAME", help="into benchmarks/results/NAME.json")
    arguments = parser.parse_args()
    run = common.Run()
    bundle = Bundle.load(common.SAMPLES[arguments.bundle])
    figures = []
    for batch in arguments.batches:
        figures.append(measure(bundle, batch, arguments.rounds, arguments.images))
        print(json.dumps(figures[-1], indent=1), flush=True)
    if arguments.save:
        run.save(arguments.save, {"bundle": arguments.bundle, "batches": figures})
    print(f"others took {run.machine()['others']:.1%} of the processors")


if __name__ == "__main__":
    main()
