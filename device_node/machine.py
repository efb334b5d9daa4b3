"""Facts about the machine that the aggregator places students by."""

import contextlib
import ctypes
import math
import os
import platform
from pathlib import Path
from typing import Final

from bundle.footprint import RUNTIME_BYTES
from device_node.control_group import memory_left, processors

_MEMORY_INFO: Final = Path("/proc/meminfo")
_PROCESSOR_INFO: Final = Path("/proc/cpuinfo")
_BOARD: Final = Path("/proc/device-tree/model")
_PROCESS: Final = Path("/proc/self/status")


def architecture() -> str:
    return platform.machine()


def cores() -> int:
    """How many this process may use, which in a container is fewer than the machine has; at least one."""
    usable = len(os.sched_getaffinity(0))
    limit = processors()
    return usable if limit is None else min(usable, math.ceil(limit))


def processor() -> str:
    """Its model, as far as the system tells: `AMD EPYC 9B14`, `Raspberry Pi 4 Model B, 0x41/0xd08`."""
    values: dict[str, str] = {}
    with contextlib.suppress(OSError):
        for line in _PROCESSOR_INFO.read_text(errors="replace").splitlines():
            key, _, value = line.partition(":")
            values.setdefault(key.strip(), value.strip())
    board = ""
    with contextlib.suppress(OSError):
        board = _BOARD.read_text(errors="replace").strip("\0\n ")
    core = "/".join(values[key] for key in ("CPU implementer", "CPU part") if key in values)
    named = [values.get("model name", ""), board, core]
    return ", ".join(filter(None, named)) or architecture()


def peak_resident() -> int:
    """Bytes that this process has had in memory at the most; 0 when the system does not say."""
    return _kilobytes(_PROCESS, "VmHWM") or 0


def available_memory() -> int:
    """Bytes to be had without swapping, within control groups' limits; 0 when the system does not say."""
    found = [size for size in (_kilobytes(_MEMORY_INFO, "MemAvailable"), memory_left()) if size is not None]
    return min(found, default=0)


def memory_for_students() -> int:
    """Bytes that a device may offer before it has loaded anything; 0 when the system does not say."""
    available = available_memory()
    return max(available - RUNTIME_BYTES, 1) if available else 0


def trim_memory() -> None:
    """Give back to the system what loading or dropping a student leaves with the C library: some MB."""
    with contextlib.suppress(AttributeError, OSError):  # glibc's alone
        ctypes.CDLL(None).malloc_trim(0)


def _kilobytes(path: Path, key: str) -> int | None:
    """Bytes, from a line such as `VmHWM:  1234 kB`."""
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return None
    values = [int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{key}:")]
    return values[0] if values else None
