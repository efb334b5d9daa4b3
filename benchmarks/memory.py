"""What a device takes of a board's memory: the most that `nonn device` had resident (VmHWM).

One device with one student of each sample bundle, and one that holds all eight: once they are ready, after
requests of one image, and after full batches. Beside it, the estimate that students are placed by. A page of
a library that processes share counts for each; on a board with one device the figures are what is taken.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from aggregator import Model
from benchmarks import common
from benchmarks.fleet import room_for_one
from bundle import Bundle
from bundle.footprint import PROCESS_BYTES, RUNTIME_BYTES
from fault_lab.local_cluster import LocalCluster
from nonn import Client

BATCH = 64
FIELDS = {"peak": "VmHWM", "resident": "VmRSS", "libraries": "RssFile"}


def read_status(pid: int) -> dict[str, float]:
    """Megabytes."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    values = dict(line.split(":", 1) for line in lines)
    return {name: round(int(values[key].split()[0]) * 1024 / 1e6, 1) for name, key in FIELDS.items()}


def measure(bundle: Bundle, devices: int, requests: int) -> dict[str, Any]:
    """Of the first device, which has its share of the students."""
    images = np.random.default_rng(0).integers(0, 256, (BATCH, *bundle.manifest.input.shape), np.uint8)
    # Else a device that is early has for a moment what others are to have, and the peak tells of that.
    options = () if devices == 1 else ("--memory", str(room_for_one(bundle)))
    with (
        LocalCluster(bundle.path, devices, device_options=options) as cluster,
        Client(cluster.address) as client,
    ):
        pid = cluster.devices[0].pid
        found = {"ready": read_status(pid)}
        for name, batch in (("one_image", images[:1]), ("batches", images)):
            for _ in range(requests):
                client.predict(batch, deadline=60, strict=True)
            found[name] = read_status(pid)
    students = len(bundle.manifest.students) // devices
    estimate = PROCESS_BYTES + RUNTIME_BYTES + students * Model.of(bundle).students[0].memory_bytes
    return {"students": students, **found, "estimate": round(estimate / 1e6, 1)}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--bundles", choices=common.SAMPLES, nargs="+", default=tuple(common.SAMPLES))
    parser.add_argument("--requests", type=int, default=100, metavar="N", help="of each size")
    parser.add_argument("--save", metavar="NAME", help="into benchmarks/results/NAME.json")
    arguments = parser.parse_args()
    run = common.Run()
    figures: dict[str, Any] = {}
    for name in arguments.bundles:
        bundle = Bundle.load(common.SAMPLES[name])
        every = len(bundle.manifest.students)
        figures[name] = [measure(bundle, devices, arguments.requests) for devices in (every, 1)]
        print(name, json.dumps(figures[name], indent=1), flush=True)
    if arguments.save:
        run.save(arguments.save, figures)


if __name__ == "__main__":
    main()
