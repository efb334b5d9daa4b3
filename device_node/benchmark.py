"""How long each student of a bundle takes on this board, and how much memory: placement goes by that."""

import io
import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Final

import numpy as np

from bundle import Bundle
from device_node.benchmark_child import Job, Measurement, Report
from device_node.choice import FP32_TOLERANCE, Precision
from device_node.figures import Figure, Figures

PRECISIONS: Final[tuple[Precision, ...]] = ("fp32", "int8")
BATCHES: Final = (1, 4, 16)
# For a process to start, load and test a student and warm up, on the slowest board.
PATIENCE_SECONDS: Final = 120.0


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be measured. students: none means all. seconds: for each measurement, of which a student in
    one precision takes as many as there are batches, and one for each further number of threads.
    """

    threads: tuple[int, ...] = (1,)
    batches: tuple[int, ...] = BATCHES
    seconds: float = 0.5
    students: frozenset[int] = frozenset()
    precisions: frozenset[Precision] = frozenset(PRECISIONS)


@dataclass(frozen=True, slots=True)
class Subject:
    """One file of one student. partial logits are to be met within the tolerance."""

    student: int
    precision: Precision
    sha256: str
    tolerance: float


@dataclass(frozen=True, slots=True)
class Result:
    subject: Subject
    multiply_adds: int
    report: Report

    def find(self, threads: int, batch: int = 1) -> Measurement | None:
        measured = self.report.measurements
        return next((one for one in measured if (one.threads, one.batch) == (threads, batch)), None)


def subjects(bundle: Bundle, plan: Plan) -> tuple[Subject, ...]:
    return tuple(_subjects(bundle, plan))


def run(
    bundle: Bundle, plan: Plan, announce: Callable[[Subject], None] = lambda subject: None
) -> tuple[Result, ...]:
    """One after another. announce: told of each that begins."""
    results = []
    for subject in subjects(bundle, plan):
        announce(subject)
        results.append(_run(bundle, subject, plan))
    return tuple(results)


def keep(results: Iterable[Result], figures: Figures) -> int:
    """Let the device go by what was measured. Returns how many figures; raises StorageError."""
    found = {
        (result.subject.sha256, one.threads): Figure(one.timing.median, result.report.peak_bytes)
        for result in results
        for one in result.report.measurements
        if one.batch == 1
    }
    if found:
        figures.keep(found)
    return len(found)


def _subjects(bundle: Bundle, plan: Plan) -> Iterator[Subject]:
    for entry in bundle.manifest.students:
        if plan.students and entry.index not in plan.students:
            continue
        if "fp32" in plan.precisions:
            yield Subject(entry.index, "fp32", entry.sha256, FP32_TOLERANCE)
        if "int8" in plan.precisions and entry.int8 is not None:
            yield Subject(entry.index, "int8", entry.int8.sha256, entry.int8.tolerance)


def _run(bundle: Bundle, subject: Subject, plan: Plan) -> Result:
    job = Job(subject.precision, subject.tolerance, plan.threads, plan.batches, plan.seconds)
    measurements = len(plan.batches) + len(plan.threads) - 1
    report = _in_process(job, _pack(bundle, subject), measurements * plan.seconds + PATIENCE_SECONDS)
    return Result(subject, bundle.manifest.students[subject.student].multiply_adds, report)


def _in_process(job: Job, data: bytes, seconds: float) -> Report:
    command = [sys.executable, "-m", "device_node.benchmark_child", json.dumps(asdict(job))]
    try:
        done = subprocess.run(command, input=data, capture_output=True, timeout=seconds, check=False)
    except subprocess.TimeoutExpired:
        return Report(error=f"nothing was measured within {seconds:.0f} s")
    if done.returncode == 0:
        return Report.parse(json.loads(done.stdout))
    return Report(error=_why(done.returncode, done.stderr.decode(errors="replace")))


def _why(code: int, said: str) -> str:
    if code == -signal.SIGILL:
        return "ONNX Runtime uses an instruction that this processor has not: install another version of it"
    if code == -signal.SIGKILL:
        return "the system killed its process, which it does when memory runs out"
    if code < 0:
        return f"its process was ended by {signal.Signals(-code).name}"
    last: Sequence[str] = said.strip().splitlines()[-1:]
    return f"its process ended with code {code}: {''.join(last)[:300]}"


def _pack(bundle: Bundle, subject: Subject) -> bytes:
    model = bundle.student_bytes(subject.student, subject.precision)
    twin = subject.precision == "int8" and bundle.twins
    expected = twin.partials[subject.student] if twin else bundle.self_test.partials[subject.student]
    data = io.BytesIO()
    np.savez(data, model=np.frombuffer(model, np.uint8), images=bundle.self_test.images, expected=expected)
    return data.getvalue()
