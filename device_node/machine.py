"""Facts about the machine that the aggregator places students by."""

import contextlib
import ctypes
import os
import platform
from pathlib import Path
from typing import Final

_CGROUP_LIMIT: Final = Path("/sys/fs/cgroup/memory.max")
_MEMORY_INFO: Final = Path("/proc/meminfo")


def architecture() -> str:
    return platform.machine()


def cores() -> int:
    """How many this process may use, which in a container is fewer than the machine has."""
    return len(os.sched_getaffinity(0))


def available_memory() -> int:
    """Bytes to be had without swapping, within the container's limit; 0 when the system does not say."""
    found = [limit for limit in (_read_available(), _read_cgroup_limit()) if limit is not None]
    return min(found, default=0)


def trim_memory() -> None:
    """Give back to the system what loading or dropping a student leaves with the C library: some MB."""
    with contextlib.suppress(AttributeError, OSError):  # glibc's alone
        ctypes.CDLL(None).malloc_trim(0)


def _read_available() -> int | None:
    try:
        lines = _MEMORY_INFO.read_text().splitlines()
    except OSError:
        return None
    values = [int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")]
    return values[0] if values else None


def _read_cgroup_limit() -> int | None:
    try:
        text = _CGROUP_LIMIT.read_text().strip()
    except OSError:
        return None
    return int(text) if text.isdecimal() else None
