"""Facts about this board, from files that Linux and the Raspberry Pi's firmware offer."""

import contextlib
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Final

from nonn.doctor.facts import Disk, Power, Processor

# Arm's numbers of cores that boards of this class have.
_CORES: Final = {
    "0xd03": "Cortex-A53",
    "0xd05": "Cortex-A55",
    "0xd07": "Cortex-A57",
    "0xd08": "Cortex-A72",
    "0xd0b": "Cortex-A76",
}
_THROTTLED: Final = Path("/sys/devices/platform/soc/soc:firmware/get_throttled")
_THERMAL: Final = Path("/sys/class/thermal")
_VCGENCMD_SECONDS: Final = 5.0


def read_processor(machine: str, cpuinfo: str, board: str, cores: int) -> Processor:
    """From the text of /proc/cpuinfo; board: of /proc/device-tree/model."""
    values: dict[str, str] = {}
    for line in cpuinfo.splitlines():
        key, _, value = line.partition(":")
        values.setdefault(key.strip(), value.strip())
    features = values.get("Features", values.get("flags", ""))
    part = values.get("CPU part", "")
    name = values.get("model name") or _CORES.get(part) or (f"core {part}" if part else machine)
    return Processor(machine, name, board.strip("\0\n "), cores, frozenset(features.split()))


def this_processor() -> Processor:
    cores = len(os.sched_getaffinity(0))
    board = _read(Path("/proc/device-tree/model"))
    return read_processor(os.uname().machine, _read(Path("/proc/cpuinfo")), board, cores)


def read_throttled(text: str) -> int | None:
    """From `throttled=0x50005`, as vcgencmd says, or `50005`, as the kernel does."""
    found = re.fullmatch(r"(?:throttled=)?(?:0x)?([0-9a-f]{1,8})", text.strip().lower())
    return int(found[1], 16) if found else None


def this_power() -> Power:
    degrees = [
        int(text) / 1000 for text in map(_read, _THERMAL.glob("thermal_zone*/temp")) if _is_number(text)
    ]
    hottest = max((value for value in degrees if value > 0), default=None)
    return Power(hottest, read_throttled(_read(_THROTTLED) or _ask_firmware()))


def this_disk(folder: Path) -> Disk:
    """Of the folder, or of the one in which it would be made. A link that leads nowhere is in the way.

    Of `os.path`, since Path's tests raise PermissionError below a folder that may not be entered.
    """
    there = next(path for path in (folder, *folder.absolute().parents) if os.path.lexists(path))
    free = None
    with contextlib.suppress(OSError):
        free = shutil.disk_usage(there).free
    writable = os.path.isdir(there) and os.access(there, os.W_OK | os.X_OK)  # noqa: PTH112
    return Disk(str(folder), free, writable)


def _ask_firmware() -> str:
    try:
        done = subprocess.run(
            ["vcgencmd", "get_throttled"],
            capture_output=True,
            text=True,
            timeout=_VCGENCMD_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout


def _is_number(text: str) -> bool:
    return text.strip().lstrip("-").isdecimal()


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
