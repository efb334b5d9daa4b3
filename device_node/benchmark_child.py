"""Measures one file of one student, in a process of its own: what it takes is its own, and so is its crash.

Reads an .npz from standard input (model uint8 [bytes], images uint8 [n, H, W, C], expected float32 [n, K])
and its `Job` as JSON from its argument; writes a `Report` as one line of JSON.
"""

import io
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

import device_node.node  # noqa: F401  # so that this process holds in memory what a device does
from device_node import machine
from device_node.choice import Precision
from device_node.errors import StudentUnusable
from device_node.students import Student
from device_node.timing import Timing, time_runs

WARM_UP_RUNS: Final = 3
MOST_RUNS: Final = 1000


@dataclass(frozen=True, slots=True)
class Job:
    """threads, batches: to be measured; batches with the first number of threads only. seconds: each."""

    precision: Precision
    tolerance: float
    threads: Sequence[int]
    batches: Sequence[int]
    seconds: float


@dataclass(frozen=True, slots=True)
class Measurement:
    """timing: milliseconds for all images of the batch."""

    threads: int
    batch: int
    timing: Timing


@dataclass(frozen=True, slots=True)
class Report:
    """peak_bytes: resident at the most, up to the end of what is measured with the first number of threads.

    error: why there are no measurements, or empty.
    """

    measurements: tuple[Measurement, ...] = ()
    peak_bytes: int = 0
    error: str = ""

    @classmethod
    def parse(cls, document: dict[str, Any]) -> "Report":
        measured = tuple(
            Measurement(one["threads"], one["batch"], Timing(**one["timing"]))
            for one in document["measurements"]
        )
        return cls(measured, document["peak_bytes"], document["error"])


def measure(job: Job, model: bytes, images: NDArray[np.uint8], expected: NDArray[np.float32]) -> Report:
    measured: list[Measurement] = []
    peak = 0
    try:
        for threads in job.threads:
            student = Student(model, threads, job.precision)
            student.self_test(images, expected, job.tolerance)
            batches = job.batches if threads == job.threads[0] else (1,)
            timings = {batch: _time(student, images, batch, job.seconds) for batch in batches}
            measured += [Measurement(threads, batch, timing) for batch, timing in timings.items()]
            peak = peak or machine.peak_resident()
    except StudentUnusable as error:
        return Report(error=str(error))
    return Report(tuple(measured), peak)


def _time(student: Student, images: NDArray[np.uint8], batch: int, seconds: float) -> Timing:
    several = np.resize(images, (batch, *images.shape[1:]))
    return time_runs(lambda: student.compute(several), seconds, MOST_RUNS, WARM_UP_RUNS)


def main() -> None:
    job = Job(**json.loads(sys.argv[1]))
    with np.load(io.BytesIO(sys.stdin.buffer.read())) as arrays:
        report = measure(job, arrays["model"].tobytes(), arrays["images"], arrays["expected"])
    print(json.dumps(asdict(report)))


if __name__ == "__main__":
    main()
