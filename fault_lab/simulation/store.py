"""What a simulated device holds: students in memory, files on disk; as device_node does it."""

import math
from typing import TYPE_CHECKING

from aggregator import events
from aggregator.effects import Assign

if TYPE_CHECKING:
    from fault_lab.simulation.connection import Connection
    from fault_lab.simulation.device import Device

Pair = tuple[str, int]  # bundle id and student
SELF_TEST = 0.01  # seconds
LOOK = 0.1  # between two looks whether a file that is on its way can arrive, and how fast


class Store:
    """Outlives connections: what is loaded stays loaded until an assignment does not name it."""

    def __init__(self, device: "Device") -> None:
        self.device = device
        self.serving: set[Pair] = set()
        self.cached: frozenset[str] = frozenset()
        self._loaded: set[Pair] = set()
        self._due: list[Pair] = []
        self._making: Pair | None = None
        self._turn = 0
        self._assignment = 0  # number of the latest
        self._failures = dict(device.spec.failures)

    def lose_files(self) -> None:
        """They are damaged, which their digests tell: as good as none."""
        self.cached = frozenset()

    def lose_memory(self) -> None:
        """The process has ended. Files remain."""
        self.serving.clear()
        self._loaded.clear()
        self.interrupt()

    def interrupt(self) -> None:
        """The connection has ended, and with it whatever was being loaded."""
        self._due, self._making = [], None
        self._turn += 1

    def assign(self, connection: "Connection", assign: Assign) -> None:
        """Drop what is not named, and make the rest ready: what is served first, then what is in memory."""
        self._assignment = assign.number
        wanted = set(assign.students)
        if self.serving - wanted:
            self.device.worker.discount()
        self.serving &= wanted
        self._loaded &= wanted
        due = [pair for pair in assign.students if pair != self._making]
        self._due = sorted(due, key=lambda pair: (pair not in self.serving, pair not in self._loaded))
        if self._making not in wanted:
            self._making = None
            self._turn += 1
            self._go_on(connection)

    def _go_on(self, connection: "Connection") -> None:
        spec, device = self.device.spec, self.device
        while self._due and self._making is None:
            pair = self._due.pop(0)
            if pair in self.serving:
                self._serve(connection, pair)
                continue
            self._making = pair
            seconds, added, left = SELF_TEST, 0.0, 0.0
            if pair not in self._loaded:
                seconds += spec.load
                if device.student(pair).sha256 not in self.cached:
                    seconds += spec.fetch
                    added = device.up.added + device.down.added
                    left = device.transfer(pair)
            seconds = seconds * device.slowness + added
            device.process.spend(seconds, self._fetch, connection, self._turn, pair, left)

    def _fetch(self, connection: "Connection", turn: int, pair: Pair, left: float) -> None:
        """The bytes that are left, at the rate that the line has by then."""
        rate = self.device.down.line.rate
        if turn != self._turn or not left or rate == math.inf:
            self._made(connection, turn, pair)
            return
        step = min(left / rate, LOOK)
        left = left - step * rate if step == LOOK else 0.0
        self.device.process.spend(step, self._fetch, connection, turn, pair, left)

    def _made(self, connection: "Connection", turn: int, pair: Pair) -> None:
        if turn != self._turn:
            return
        device = self.device
        digest = device.student(pair).sha256
        if digest not in self.cached and not device.connectable:
            device.process.spend(LOOK, self._made, connection, turn, pair)
            return
        self._making = None
        self.cached |= {digest}
        if self._fails(pair):
            device.worker.discount()
            self._say(connection, pair, passed=False, error="its self-test is off by 1")
        else:
            self._loaded.add(pair)
            device.measure()
            self._serve(connection, pair)
        self._go_on(connection)

    def _serve(self, connection: "Connection", pair: Pair) -> None:
        self.serving.add(pair)
        self._say(connection, pair, passed=True)

    def _say(self, connection: "Connection", pair: Pair, *, passed: bool, error: str = "") -> None:
        speed = self.device.told_speed if passed else 0.0
        seconds = self.device.student(pair).cost / (speed * 1e9) if speed else 0.0
        connection.say(events.Ready(connection.link, *pair, passed, error, speed, self._assignment, seconds))

    def _fails(self, pair: Pair) -> bool:
        key = (self.device.number_of(pair[0]), pair[1])
        left = self._failures.get(key, 0)
        if left:
            self._failures[key] = left - 1
        return left > 0
