"""What the kernel has counted on each TCP connection to a server of this machine: `ss`, of iproute2."""

import re
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import psutil

_COLUMNS: Final = re.compile(r"\s*\d+\s+\d+\s+\S+:(?P<port>\d+)\s+\S+:\d+\s")
_COUNTERS: Final = re.compile(r"\b(bytes_acked|bytes_received):(\d+)")
SECONDS: Final = 10.0
SETTLE_SECONDS: Final = 0.5  # the last bytes are acknowledged by then
WARM_UP: Final = 10


@dataclass(frozen=True, slots=True)
class Bytes:
    """Of TCP payload, since the connection was made: to the client's end, and from it, once acknowledged.

    Nothing that was sent twice is counted twice; the handshake may count as one byte.
    """

    down: int
    up: int


def established(port: int) -> dict[int, Bytes]:
    """The clients' ends of connections to the server at `port`, by the client's own port."""
    command = ["ss", "--tcp", "--info", "--numeric", "--no-header", "--oneline"]
    output = subprocess.run(
        [*command, "state", "established", "dport", "=", f":{port}"],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=True,
    ).stdout
    return dict(_read(line) for line in output.splitlines())


def _read(line: str) -> tuple[int, Bytes]:
    columns = _COLUMNS.match(line)
    if columns is None:
        raise ValueError(f"ss printed {line!r}")
    counters = {name: int(value) for name, value in _COUNTERS.findall(line)}
    return int(columns["port"]), Bytes(counters.get("bytes_received", 0), counters.get("bytes_acked", 0))


@dataclass(frozen=True)
class Reading:
    """Each row: bytes to and from one device since its connection was made, in the order of their ports."""

    seconds: float
    ports: tuple[int, ...]
    bytes: np.ndarray


class Wire:
    """The connections of so many devices to the aggregator at `address`, without those of this process."""

    def __init__(self, address: str, devices: int) -> None:
        self._port = int(address.rpartition(":")[2])
        self._devices = devices

    def read(self) -> Reading:
        """Raises RuntimeError unless there is one connection a device."""
        own = {connection.laddr.port for connection in psutil.Process().net_connections("tcp")}
        found = {port: count for port, count in established(self._port).items() if port not in own}
        if len(found) != self._devices:
            raise RuntimeError(f"{len(found)} connections of {self._devices} devices")
        ports = tuple(sorted(found))
        rows = [(found[port].down, found[port].up) for port in ports]
        return Reading(time.monotonic(), ports, np.array(rows, float))

    def rate(self, seconds: float) -> np.ndarray:
        """Bytes a second to and from each device while nothing is asked."""
        before = self.read()
        time.sleep(seconds)
        after = self.read()
        return _between(before, after) / (after.seconds - before.seconds)

    def count(self, ask: Callable[[], object], requests: int, idle: np.ndarray) -> np.ndarray:
        """Bytes to and from each device for one request."""
        for _ in range(WARM_UP):
            ask()
        time.sleep(SETTLE_SECONDS)
        before = self.read()
        for _ in range(requests):
            ask()
        time.sleep(SETTLE_SECONDS)
        after = self.read()
        pings: np.ndarray = idle * (after.seconds - before.seconds)
        counted: np.ndarray = (_between(before, after) - pings) / requests
        return counted


def _between(before: Reading, after: Reading) -> np.ndarray:
    if before.ports != after.ports:
        raise RuntimeError("a device has connected anew; measure again")
    difference: np.ndarray = after.bytes - before.bytes
    return difference
