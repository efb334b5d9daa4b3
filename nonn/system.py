"""What kind of system this is. Standard library only: it must speak where nothing else could be installed."""

import os
import platform
import struct
import sys
from dataclasses import dataclass
from typing import ClassVar, Final

# Those that ONNX Runtime has wheels for.
MACHINES: Final = ("aarch64", "x86_64")
NO_WHEELS: Final = "ONNX Runtime has no wheels for 32-bit systems"


class UnsupportedSystem(Exception):
    """A device cannot run on this system, whatever is installed. Not a NonnError, which needs numpy."""

    exit_code: ClassVar[int] = 30


@dataclass(frozen=True, slots=True)
class System:
    """kernel: such as Linux 6.6.51. machine: as `uname -m` says. bits: of a pointer of this Python.

    libc: name and version, such as ("glibc", "2.36"); both empty for any other.
    """

    kernel: str
    machine: str
    bits: int
    libc: tuple[str, str]
    python: tuple[int, int, int]


def this_system() -> System:
    name = os.uname()
    return System(
        kernel=f"{name.sysname} {name.release}",
        machine=name.machine,
        bits=8 * struct.calcsize("P"),
        libc=platform.libc_ver(),
        python=sys.version_info[:3],
    )


def why_32_bit(system: System) -> tuple[str, str] | None:
    """What is 32-bit about it, and the way out; None when nothing is."""
    if system.bits == 64:
        return None
    if system.machine in MACHINES:
        return (
            f"the kernel is 64-bit ({system.machine}), this Python and its userland are 32-bit: {NO_WHEELS}",
            "install the 64-bit Raspberry Pi OS: a 64-bit kernel alone is not enough",
        )
    if system.machine.startswith("armv6"):
        return (
            f"this is a 32-bit system ({system.machine}): {NO_WHEELS}",
            "take a board with a 64-bit processor: Raspberry Pi 3, 4, 5 or Zero 2 W",
        )
    return (
        f"this is a 32-bit system ({system.machine}): {NO_WHEELS}",
        "install a 64-bit system: the Raspberry Pi 3, 4, 5 and Zero 2 W run the 64-bit Raspberry Pi OS",
    )


def refuse_32_bit() -> None:
    """Raises UnsupportedSystem."""
    if (found := why_32_bit(this_system())) is not None:
        raise UnsupportedSystem(": ".join(found))
