"""What a device is told when it starts."""

import math
import re
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from device_node.choice import WISHES, Wish
from device_node.errors import SettingsError
from protos import MOST_STUDENTS, endpoints

DEFAULT_AGGREGATOR: Final = "127.0.0.1:7560"
DEFAULT_CACHE_MEGABYTES: Final = 512
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


@dataclass(frozen=True, slots=True)
class DeviceSettings:
    """Raises SettingsError when a value makes no sense.

    name: for people, and of the default state folder; the host's name when None.
    state: the folder of the device's identity and cached students; chosen by name when None.
    threads: of ONNX Runtime, for one student. parallel: students computed at a time, where the device hosts
    several; as many as its cores allow, with so many threads each, when None. memory_megabytes: what students
    may use; all that the machine has free when None. cache_megabytes: for students on disk.
    give_up_seconds: how long an aggregator may be out of reach; for ever when None. insecure: plain text to
    another machine is wanted. tls: the folder of the device's certificate, whose name is then its identity.
    precision: of students that have an int8 twin; "auto": whichever is faster here.
    """

    aggregator: str = DEFAULT_AGGREGATOR
    name: str | None = None
    state: Path | None = None
    threads: int = 1
    parallel: int | None = None
    memory_megabytes: int | None = None
    cache_megabytes: int = DEFAULT_CACHE_MEGABYTES
    give_up_seconds: float | None = None
    insecure: bool = False
    tls: Path | None = None
    precision: Wish = "auto"

    def __post_init__(self) -> None:
        try:
            endpoints.check_dialled(self.aggregator, insecure=self.insecure, tls=self.tls is not None)
        except ValueError as error:
            raise SettingsError(str(error)) from None
        if self.insecure and self.tls is not None:
            raise SettingsError("TLS and insecure exclude each other: say --tls DIR alone")
        if self.name is not None and not _NAME.fullmatch(self.name):
            raise SettingsError(
                f"the name {self.name!r} must be letters, digits, '.', '_' or '-', 63 at the most"
            )
        if self.precision not in WISHES:
            raise SettingsError(f"precision must be one of {', '.join(WISHES)}, not {self.precision!r}")
        if self.threads < 1:
            raise SettingsError(f"threads must be at least 1, not {self.threads}")
        if self.parallel is not None and not 1 <= self.parallel <= MOST_STUDENTS:
            raise SettingsError(f"parallel must be from 1 to {MOST_STUDENTS}, not {self.parallel}")
        if self.memory_megabytes is not None and self.memory_megabytes < 1:
            raise SettingsError(f"memory must be at least 1 MB, not {self.memory_megabytes}")
        if self.cache_megabytes < 1:
            raise SettingsError(f"cache must be at least 1 MB, not {self.cache_megabytes}")
        if self.give_up_seconds is not None and not 0 <= self.give_up_seconds < math.inf:
            raise SettingsError(f"give-up must be a number of seconds, not {self.give_up_seconds}")

    @property
    def display_name(self) -> str:
        return self.name or host_name()


def host_name() -> str:
    """The host's name with everything but letters, digits, '.', '_' and '-' replaced."""
    name = re.sub(r"[^A-Za-z0-9._-]", "-", socket.gethostname()).lstrip("._-")[:63]
    return name or "device"
