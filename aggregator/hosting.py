"""Which device is to host which students of one bundle, as devices come, go, and load them."""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from statistics import median

from aggregator.alarm import Alarm
from aggregator.devices import Device, Place
from aggregator.model import Model
from aggregator.placement import Host, place
from aggregator.settings import Settings

# However often devices come and go, the first students are given out after this many settling times.
LONGEST_SETTLING = 10
# Seconds for which a student that failed on a device is kept from it: a failed download may work next time.
SECOND_CHANCE = 60.0


@dataclass(frozen=True, slots=True)
class Departure:
    """The last living host of a student, and when it was lost."""

    device_id: str
    time: float


class Hosting:
    """`places` by link, in the order in which the devices joined.

    changed: called with each device that is to hold other students than before. taken: bytes that a device
    needs for what else it holds.
    """

    def __init__(
        self,
        model: Model,
        settings: Settings,
        alarm: Alarm,
        *,
        changed: Callable[[Device], None],
        taken: Callable[[Device], int] = lambda device: 0,
    ) -> None:
        self.model = model
        self.settings = settings
        self.places: dict[int, Place] = {}
        self._alarm = alarm
        self._changed = changed
        self._taken = taken
        self._departed: dict[int, Departure] = {}
        self._waiting = len({student.cost for student in model.students}) > 1
        self._first_join: float | None = None
        self._last_join = 0.0

    def served(self) -> frozenset[int]:
        """Students that some living device serves."""
        return frozenset().union(*(place.ready for place in self.places.values() if place.serving))

    def serving(self) -> list[Place]:
        return [place for place in self.places.values() if place.ready and place.device.living]

    def memory(self, device: Device) -> int:
        """Bytes that the device's students take there."""
        here = self.places.get(device.link)
        return sum(self.model.students[s].memory_bytes for s in here.assigned) if here else 0

    def begin(self, now: float, devices: Iterable[Device]) -> None:
        """Place all students at once on devices that have joined before."""
        self.places = {device.link: Place(device) for device in devices}
        if self.places:  # who was to join has done so
            self._first_join = self._last_join = -math.inf
        self.rebalance(now)
        self._adopt(now, [student.index for student in self.model.students])

    def join(self, now: float, device: Device) -> None:
        if self._first_join is None:
            self._first_join = now
        self._last_join = now
        self.places[device.link] = Place(device)
        self.rebalance(now)

    def lose(self, now: float, device: Device, *, was_living: bool) -> None:
        """Forget a device. Its students are orphans unless others host them."""
        lost = self.places.pop(device.link)
        if was_living:
            self._orphan(now, lost)
        self.rebalance(now)

    def fall_silent(self, now: float, devices: Iterable[Device]) -> None:
        """These live no longer, though they are still connected."""
        for device in devices:  # all, before anyone is given what nobody hosts
            self._orphan(now, self.places[device.link])
        self.rebalance(now)

    def served_in_int8(self) -> frozenset[int]:
        """Students of which some living device serves the int8 twin."""
        return frozenset().union(
            *(place.int8 & place.ready for place in self.places.values() if place.serving)
        )

    def ready(self, now: float, device: Device, student: int, *, int8: bool = False) -> bool:
        """The device serves the student. Returns whether that is new."""
        here = self.places[device.link]
        if student not in here.assigned:
            return False
        here.int8 = here.int8 | {student} if int8 else here.int8 - {student}
        if student in here.ready:
            return False
        here.ready.add(student)
        self.rebalance(now)
        return True

    def fail(self, now: float, device: Device, student: int) -> None:
        """The device cannot serve the student it was assigned: another one may."""
        here = self.places[device.link]
        here.refused[student] = now + SECOND_CHANCE
        here.faults.pop(student, None)
        here.ready.discard(student)
        here.assigned -= {student}
        self._departed.pop(student, None)  # there is no point in waiting for this device
        self._changed(device)
        self.rebalance(now)

    def excuse(self, seconds: float) -> None:
        """For so long nobody was listening: who has joined or is back meanwhile has yet to be heard."""
        if self._first_join is not None:
            self._first_join += seconds
        self._last_join += seconds
        self._departed = {
            student: Departure(left.device_id, left.time + seconds)
            for student, left in self._departed.items()
        }

    def rebalance(self, now: float) -> None:
        """Settle anew who is to host what."""
        for student in self._hosted():
            self._departed.pop(student, None)
        self._adopt(now, self._due(now))

    def has_due(self, now: float) -> bool:
        """Whether some orphan, or device, has waited long enough. Sets the alarm for the others."""
        released = self._waiting and not self._holds_back(now)
        return bool(self._due(now)) or released

    def _adopt(self, now: float, due: list[int]) -> None:
        living = self._living()
        speeds = [here.device.speed for here in living if here.device.speed]
        speed = median(speeds) if speeds else 1.0
        hosts = [self._as_host(now, here, speed) for here in living]
        if self._holds_back(now):
            hosts = [host for host in hosts if host.students or host.former or host.cached]
        else:
            self._waiting = self._waiting and self._first_join is None
        placement = place(self.model.students, hosts, due)
        for here in living:
            self._assign(here, placement)

    def _assign(self, here: Place, placement: Mapping[str, frozenset[int]]) -> None:
        """A device gives students up once nothing is in flight to it; others it gets at once, if they fit."""
        students = placement.get(here.device.facts.device_id, here.assigned)
        here.shedding = bool(here.assigned - students and here.device.in_flight)
        if here.shedding:
            students |= here.assigned
        if students == here.assigned or (here.shedding and not self._fits(here, students)):
            return
        here.assigned = students
        here.ready &= students
        for student in students:
            self._departed.pop(student, None)
        self._changed(here.device)

    def _as_host(self, now: float, here: Place, speed: float) -> Host:
        """speed: to be assumed where none is known."""
        device, cached = here.device, here.device.facts.cached_digests
        memory = device.facts.memory_bytes
        return Host(
            device_id=device.facts.device_id,
            students=here.assigned,
            serving=frozenset(here.ready),
            busy=bool(device.in_flight),
            former=frozenset(
                student
                for student, left in self._departed.items()
                if left.device_id == device.facts.device_id
            ),
            cached=frozenset(s.index for s in self.model.students if s.sha256 in cached or s.twin in cached),
            refused=frozenset(student for student, until in here.refused.items() if now < until),
            memory_bytes=max(memory - self._taken(device), 1) if memory else 0,
            speed=device.speed or speed,
            parallel=device.facts.parallel,
            seconds={
                student.index: seconds
                for student in self.model.students
                if (seconds := here.seconds(student))
            },
        )

    def _fits(self, here: Place, students: frozenset[int]) -> bool:
        memory = here.device.facts.memory_bytes
        needed = sum(self.model.students[s].memory_bytes for s in students) + self._taken(here.device)
        return memory == 0 or needed <= memory

    def _living(self) -> list[Place]:
        return [here for here in self.places.values() if here.device.living]

    def _orphan(self, now: float, lost: Place) -> None:
        """Its students wait from now on, unless they do already: a stalled device may fall silent later."""
        for student in lost.assigned - self._hosted():
            self._departed.setdefault(student, Departure(lost.device.facts.device_id, now))

    def _hosted(self) -> frozenset[int]:
        return frozenset().union(*(here.assigned for here in self._living()))

    def _due(self, now: float) -> list[int]:
        """Orphans that have waited long enough for a device without students."""
        hosted = self._hosted()
        due = []
        for student in range(len(self.model.students)):
            when = self._waits_until(student)
            if student in hosted or when is None:
                continue
            if now >= when:
                due.append(student)
            else:
                self._alarm.at(when)
        return due

    def _waits_until(self, student: int) -> float | None:
        """When an orphan stops waiting for a device without students; None: never."""
        departure, heal = self._departed.get(student), self.settings.heal
        if departure is not None:
            return None if heal is None else departure.time + heal
        return None if self._first_join is None else self._settled()

    def _holds_back(self, now: float) -> bool:
        """Of uneven students none goes to the first who comes, until all are there that were to join."""
        if not self._waiting or self._first_join is None or now >= self._settled():
            return False
        self._alarm.at(self._settled())
        return True

    def _settled(self) -> float:
        first = -math.inf if self._first_join is None else self._first_join
        return min(self._last_join + self.settings.settle, first + LONGEST_SETTLING * self.settings.settle)
