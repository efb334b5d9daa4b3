"""One fault on one device at one time, and which of these contradict each other."""

from bisect import bisect_left, bisect_right, insort
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from fault_lab.scenario.fault import AnyFault, Group

AGGREGATOR: Final = -1
UNKNOWN: Final = -2  # and below: some device of part 0, of part 1, ...


@dataclass(frozen=True, slots=True)
class Injection:
    """One fault on one device (its index, or AGGREGATOR). begin, end: seconds after the load has begun; the
    same for what is over at once.
    """

    number: int
    fault: AnyFault
    device: int
    begin: float
    end: float

    @property
    def target(self) -> str:
        if self.device <= UNKNOWN:
            return f"part {UNKNOWN - self.device}"
        return "aggregator" if self.device == AGGREGATOR else f"device-{self.device}"


class Taken:
    """What is planned, by what it decides about which device: a look takes no longer for a long plan.

    sharing: whether one device may serve two parts.
    """

    def __init__(self, *, sharing: bool = False) -> None:
        self._sharing = sharing
        self._by_device: dict[Group, dict[int, list[Injection]]] = defaultdict(dict)  # sorted; none overlap

    def add(self, injection: Injection) -> None:
        line = self._by_device[injection.fault.group].setdefault(injection.device, [])
        insort(line, injection, key=lambda each: each.begin)

    def on(self, device: int, group: Group, begin: float, end: float) -> Injection | None:
        """What is planned there at any time from `begin` to `end`."""
        line = self._by_device[group].get(device, [])
        index = bisect_right(line, end, key=lambda each: each.begin)
        return line[index - 1] if index and line[index - 1].end >= begin else None

    def parts(self, group: Group, begin: float, end: float) -> list[int]:
        """Of which some unknown device is taken then."""
        unknown = [device for device in self._by_device[group] if device <= UNKNOWN]
        return [UNKNOWN - device for device in unknown if self.on(device, group, begin, end)]

    def contradicting(self, injection: Injection) -> Injection | None:
        """The first that decides the same about the same device at the same time.

        An unknown device may be any other one, except that a fault hits no device for two of its targets.
        """
        group, device = injection.fault.group, injection.device
        same = self.on(device, group, injection.begin, injection.end)
        if same is not None and same.fault is injection.fault and device <= UNKNOWN:
            same = None  # the times of several devices in one
        others = [same, *self._elsewhere(injection, self._by_device[group])]
        found = [other for other in others if other is not None]
        return min(found, key=lambda other: other.number, default=None)

    def _elsewhere(self, injection: Injection, devices: Iterable[int]) -> Iterable[Injection | None]:
        for device in devices:
            low, high = sorted((device, injection.device))
            if low <= UNKNOWN and (high >= 0 or (self._sharing and low < high <= UNKNOWN)):
                other = self.on(device, injection.fault.group, injection.begin, injection.end)
                if other is not None and other.fault is not injection.fault:
                    yield other


class Spans:
    """Of how many stretches of time a stretch has a moment in common with."""

    def __init__(self) -> None:
        self._begins: list[float] = []
        self._ends: list[float] = []

    def add(self, begin: float, end: float, count: int) -> None:
        at = bisect_right(self._begins, begin)
        self._begins[at:at] = [begin] * count
        at = bisect_right(self._ends, end)
        self._ends[at:at] = [end] * count

    def count(self, begin: float, end: float) -> int:
        return bisect_right(self._begins, end) - bisect_left(self._ends, begin)
