"""What the benchmarks share: facts about the machine, spreads over rounds, child processes, results."""

import contextlib
import ctypes
import datetime
import importlib.metadata
import json
import os
import platform
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"
# The larger students of the two bundles of CIFAR-100: what the benchmarks are held to is WRN-16-1.
SAMPLES = {"digits": ROOT / "samples" / "digits", "cifar100": ROOT / "samples" / "cifar100-wrn"}
PACKAGES = ("grpcio", "protobuf", "numpy", "onnxruntime", "uvloop")
_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG


class Run:
    """One run of a benchmark: what its figures depend on besides the code, and where they go."""

    def __init__(self) -> None:
        self._started = time.time()
        self._load = os.getloadavg()[0]
        self._busy, self._own = _busy_seconds(), _own_seconds()

    def save(self, name: str, figures: dict[str, Any], folder: Path = RESULTS) -> Path:
        """Returns the file's path. Once all children have ended, since their CPU is counted then."""
        folder.mkdir(parents=True, exist_ok=True)
        program = sys.modules["__main__"].__spec__
        module = program.name.removesuffix(".__main__") if program else sys.argv[0]
        command = " ".join(["python", "-m", module, *sys.argv[1:]])
        path = folder / f"{name}.json"
        path.write_text(
            json.dumps({"command": command, "machine": self.machine(), **figures}, indent=1) + "\n"
        )
        return path

    def machine(self) -> dict[str, Any]:
        """others: the share of the processors that programs besides this run took, or the host."""
        cores, seconds = len(os.sched_getaffinity(0)), time.time() - self._started
        others = _busy_seconds() - self._busy - (_own_seconds() - self._own)
        return {
            "time": datetime.datetime.fromtimestamp(self._started, datetime.UTC).isoformat(
                timespec="seconds"
            ),
            "seconds": round(seconds),
            "commit": _output("git", "describe", "--always", "--dirty", "--exclude", "*"),
            "processor": _proc_value("/proc/cpuinfo", "model name") or platform.machine(),
            "cores": cores,
            "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
            "kernel": platform.release(),
            "python": platform.python_version(),
            "packages": {name: importlib.metadata.version(name) for name in PACKAGES},
            "load_before": round(self._load, 2),
            "others": round(max(others / (cores * seconds), 0.0), 3),
        }


def spread(values: Sequence[float], digits: int = 3) -> dict[str, float]:
    """Median, smallest and largest of several rounds."""
    return {
        "median": round(statistics.median(values), digits),
        "low": round(min(values), digits),
        "high": round(max(values), digits),
    }


def shown(value: dict[str, float]) -> str:
    return f"{value['median']:g} ({value['low']:g} to {value['high']:g})"


class Children(contextlib.ExitStack):
    """Processes of this interpreter that end with the block, and, whichever way this one ends, with it."""

    def start(self, module: str, *arguments: object, **environment: str) -> subprocess.Popen[str]:
        process = self.enter_context(
            subprocess.Popen(
                [sys.executable, "-m", module, *map(str, arguments)],
                cwd=ROOT,
                env={**os.environ, "PYTHONUNBUFFERED": "1", **environment},
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                preexec_fn=_end_with_parent,
            )
        )
        self.callback(process.kill)
        return process


def first_line(process: subprocess.Popen[str], prefix: str) -> str:
    """What follows `prefix` on the first line of output that starts so."""
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith(prefix):
            return line.removeprefix(prefix).strip()
    raise RuntimeError(f"process {process.pid} ended before it said {prefix!r}")


def _end_with_parent() -> None:
    ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)


def _output(*command: str) -> str:
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return result.stdout.strip()


def _proc_value(path: str, key: str) -> str:
    for line in Path(path).read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == key:
            return value.strip()
    return ""


def _busy_seconds() -> float:
    """Of all processors, since boot; stolen time counts as busy."""
    times = psutil.cpu_times()
    return float(sum(times) - times.idle - times.iowait - times.guest - times.guest_nice)


def _own_seconds() -> float:
    return sum(os.times()[:4])
