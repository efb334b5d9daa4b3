"""A cluster under load and mixed faults for a long time: does anything leak, is anything lost?

Every second or so a device is killed or frozen, the aggregator is flooded, clients cancel, or a peer sends
garbage (benchmarks/faults.py). Meanwhile callers ask at a steady rate and check each answer. Memory, file
descriptors, threads and asyncio tasks are sampled; a line is fitted to the last two thirds of the samples.
Something leaks when that line rises by more than 5 % of the memory, or by more than 5 of the others, within
its time; or when the cluster, left alone at the end, holds more than it did at the start.
"""

import argparse
import asyncio
import collections
import json
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from benchmarks import common
from benchmarks.faults import Faults
from benchmarks.load import Load, Truth
from bundle import Bundle
from fault_lab.local_cluster import LocalCluster
from protos import nonn_pb2

DEVICES = 8
SPARED = 2
WARM_UP = 1 / 3
MOST_GROWTH = {"resident_mb": 0.05, "descriptors": 5, "threads": 5, "tasks": 5}  # memory: a share
SETTLING = 15.0  # seconds without faults or load, before the counts at the start and at the end


class Samples:
    """Of the aggregator and of the devices that are never killed."""

    def __init__(self, cluster: LocalCluster, tasks: Path) -> None:
        self._started = time.monotonic()
        self._tasks = tasks
        self._aggregator = psutil.Process(cluster.aggregator.pid)
        self._devices = {node.name: psutil.Process(node.pid) for node in cluster.devices[-SPARED:]}
        self.rows: list[dict[str, Any]] = []

    def take(self) -> dict[str, Any]:
        self._aggregator.send_signal(signal.SIGUSR1)
        time.sleep(0.2)
        row = {
            "seconds": round(time.monotonic() - self._started, 1),
            "aggregator": {**_usage(self._aggregator), "tasks": int(self._tasks.read_text())},
            **{name: _usage(process) for name, process in self._devices.items()},
        }
        self.rows.append(row)
        return row


def _usage(process: psutil.Process) -> dict[str, float]:
    with process.oneshot():
        return {
            "resident_mb": round(process.memory_info().rss / 1e6, 2),
            "descriptors": process.num_fds(),
            "threads": process.num_threads(),
        }


def trends(rows: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """For each process and figure: how the fitted line rises over its time, and whether that is a leak."""
    late = [row for row in rows if row["seconds"] >= WARM_UP * rows[-1]["seconds"]]
    seconds = np.array([row["seconds"] for row in late])
    found: dict[str, dict[str, Any]] = {}
    for process in (name for name in late[0] if name != "seconds"):
        for figure in late[0][process]:
            values = np.array([row[process][figure] for row in late])
            slope = float(np.polyfit(seconds, values, 1)[0]) if len(late) > 2 else 0.0
            rise, mean = slope * float(seconds[-1] - seconds[0]), float(values.mean())
            most = MOST_GROWTH[figure] * (mean if figure == "resident_mb" else 1)
            found[f"{process} {figure}"] = {
                "mean": round(mean, 2),
                "rise": round(rise, 2),
                "an_hour": round(3600 * slope, 2),
                "leak": rise > most,
            }
    return found


async def hurt(faults: Faults, seconds: float, counts: collections.Counter[str]) -> None:
    """One fault after another, some at the same time; returns when the last one has healed."""
    until = time.monotonic() + seconds
    async with faults, asyncio.TaskGroup() as tasks:
        while time.monotonic() < until:
            kind = faults.choose()
            counts[kind] += 1
            tasks.create_task(faults.kinds[kind]())
            await asyncio.sleep(faults.wait())


def soak(bundle: Bundle, seconds: float, seed: int, every: float, progress: Path | None) -> dict[str, Any]:
    truth, counts = Truth(bundle), collections.Counter[str]()
    with tempfile.TemporaryDirectory() as folder:
        tasks = Path(folder) / "tasks"
        cluster = LocalCluster(
            bundle.path, DEVICES, aggregator_command=["benchmarks.watched", str(tasks), "nonn"]
        )
        with cluster:
            samples = Samples(cluster, tasks)
            faults = Faults(cluster, truth, seed, SPARED)
            time.sleep(SETTLING)
            first = samples.take()
            with Load(cluster.address, truth) as load:
                worker = threading.Thread(target=lambda: asyncio.run(hurt(faults, seconds, counts)))
                worker.start()
                while worker.is_alive():
                    worker.join(every)
                    samples.take()
                    if progress is not None:
                        progress.write_text(json.dumps(samples.rows))
            cluster.wait_until(_whole, 60)
            time.sleep(SETTLING)
            last = samples.take()
    rows = samples.rows[1:-1]
    found = trends(rows)
    more = {
        name: last["aggregator"][name] - first["aggregator"][name]
        for name in ("descriptors", "threads", "tasks")
    }
    leaks = [name for name, trend in found.items() if trend["leak"]]
    leaks += [f"aggregator {name}, left alone" for name, count in more.items() if count > MOST_GROWTH[name]]
    return {
        "faults": dict(counts),
        "steady_load": load.tally.figures(),
        "bursts": faults.tally.figures(),
        "leaks": leaks,
        "left_alone": {"first": first, "last": last},
        "trends": found,
        "samples": rows[:: max(len(rows) // 200, 1)],
    }


def _whole(status: nonn_pb2.StatusResponse) -> bool:
    return [device.state for device in status.devices] == [nonn_pb2.SERVING] * DEVICES


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--every", type=float, default=5.0, metavar="SECONDS", help="between samples")
    parser.add_argument("--progress", type=Path, metavar="FILE", help="all samples so far, as it goes")
    parser.add_argument("--save", metavar="NAME", help="into benchmarks/results/NAME.json")
    arguments = parser.parse_args()
    run = common.Run()
    bundle = Bundle.load(common.SAMPLES["digits"])
    figures = soak(bundle, 60 * arguments.minutes, arguments.seed, arguments.every, arguments.progress)
    shown = {name: value for name, value in figures.items() if name not in ("samples", "left_alone")}
    print(json.dumps(shown, indent=1))
    if arguments.save:
        run.save(arguments.save, figures)
    failed = figures["leaks"] or any(
        tally["lost"] or tally["answered_wrongly"] for tally in (figures["steady_load"], figures["bursts"])
    )
    print("FAILED" if failed else "no leak, nothing lost")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
