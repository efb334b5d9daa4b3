"""What a simulated device holds: students in memory, files on disk; as device_node does it."""

from typing import TYPE_CHECKING

from aggregator import events
from aggregator.effects import Assign

if TYPE_CHECKING:
    from fault_lab.simulation.connection import Connection
    from fault_lab.simulation.device import Device

Pair = tuple[str, int]  # bundle id and student
SELF_TEST = 0.01  # seconds


class Store:
    """Outlives connections: what is loaded stays loaded until an assignment does not name it."""

    def __init__(self, device: "Device") -> None:
        self.device = device
        self.serving: set[Pair] = set()
        self.cached: frozenset[str] = frozenset()
        self._loaded: set[Pair] = set()
        self._failures = dict(device.spec.failures)
        self._round = 0

    def lose_memory(self) -> None:
        """The process has ended. Files remain."""
        self.serving.clear()
        self._loaded.clear()
        self._round += 1

    def begin(self, connection: "Connection", assign: Assign) -> None:
        """Drop what is not named, and load the rest one after another, those in memory first."""
        wanted = set(assign.students)
        if self.serving - wanted:
            self.device.worker.discount()
        self.serving &= wanted
        self._loaded &= wanted
        self._round += 1
        order = sorted(assign.students, key=lambda pair: pair not in self._loaded)
        self._load_next(connection, self._round, order)

    def _load_next(self, connection: "Connection", turn: int, order: list[Pair]) -> None:
        if not order or turn != self._round:
            return
        pair, *rest = order
        spec = self.device.spec
        seconds = SELF_TEST
        if pair not in self._loaded:
            seconds += spec.load
            if self.device.digest(pair) not in self.cached:
                seconds += spec.fetch
        self.device.later(seconds * self.device.slowness, self._loaded_one, connection, turn, pair, rest)

    def _loaded_one(self, connection: "Connection", turn: int, pair: Pair, rest: list[Pair]) -> None:
        if turn != self._round or connection is not self.device.connection:
            return
        device = self.device
        self.cached |= {device.digest(pair)}
        passed = not self._fails(pair)
        if passed:
            self._loaded.add(pair)
            self.serving.add(pair)
            speed = device.measure() if device.spec.told else 0.0
            connection.say(events.Ready(connection.link, *pair, True, speed=speed))
        else:
            self._loaded.discard(pair)
            self.serving.discard(pair)
            device.worker.discount()
            connection.say(events.Ready(connection.link, *pair, False, "its self-test is off by 1"))
        self._load_next(connection, turn, rest)

    def _fails(self, pair: Pair) -> bool:
        key = (self.device.number_of(pair[0]), pair[1])
        left = self._failures.get(key, 0)
        if left:
            self._failures[key] = left - 1
        return left > 0
