"""Who is in the cluster, who still answers, and who is to host what."""

from collections.abc import Callable
from dataclasses import dataclass

from aggregator.alarm import Alarm
from aggregator.devices import Device
from aggregator.effects import Assign, Effect, Note, Ping, Welcome
from aggregator.events import DeviceFacts
from aggregator.model import Model
from aggregator.placement import place
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


class Membership:
    """`devices` by link, in the order in which they joined. Emits what the devices are to be told."""

    def __init__(
        self, model: Model, settings: Settings, emit: Callable[[Effect], None], alarm: Alarm
    ) -> None:
        self._model = model
        self._settings = settings
        self._emit = emit
        self._alarm = alarm
        self._departed: dict[int, Departure] = {}
        self._first_join: float | None = None
        self._last_join = 0.0
        self._whole = False
        self.devices: dict[int, Device] = {}

    def served(self) -> frozenset[int]:
        """Students that some living device serves."""
        return frozenset().union(*(device.ready for device in self.devices.values() if device.living))

    def by_id(self, device_id: str) -> Device | None:
        return next((device for device in self.devices.values() if device.facts.device_id == device_id), None)

    def join(self, now: float, link: int, facts: DeviceFacts) -> None:
        device = Device(link, facts, last_seen=now, next_ping=now + self._settings.ping)
        if self._first_join is None:
            self._first_join = now
        self._last_join = now
        self.devices[link] = device
        self._alarm.at(device.next_ping)
        self._emit(Welcome(link))
        self._emit(Note(f"{device.name} joined ({facts.architecture or 'unknown'}, {facts.cores} cores)"))
        self.rebalance(now)
        if not device.assigned:
            self._emit(Assign(link, ()))  # it may still hold what it had before

    def lose(self, now: float, device: Device, reason: str) -> None:
        """Forget a device. Its students are orphans unless others host them."""
        del self.devices[device.link]
        if device.living:
            self._orphan(now, device)
        self._emit(
            Note(f"{device.name} {'left' if device.leaving else 'lost'}: {reason}", not device.leaving)
        )
        self.rebalance(now)

    def leave(self, now: float, device: Device, reason: str) -> None:
        was_living = device.living
        device.leaving = True
        if was_living:
            self._orphan(now, device)
        self._emit(Note(f"{device.name} is leaving: {reason or 'no reason given'}"))
        self.rebalance(now)

    def heard(self, now: float, device: Device) -> None:
        """Any message counts as life."""
        device.last_seen = now
        device.heard = True
        device.misses = 0
        if device.suspect:
            device.suspect = False
            self._emit(Note(f"{device.name} is back"))
            self.rebalance(now)

    def ready(self, now: float, device: Device, student: int, passed: bool, error: str) -> None:
        """A student that the device was assigned is loaded and tested, or has failed its self-test."""
        if passed and student in device.ready:
            return
        if passed:
            device.ready.add(student)
            self._emit(Note(f"{device.name} serves student {student}"))
        else:
            device.refused[student] = now + SECOND_CHANCE
            device.ready.discard(student)
            device.assigned -= {student}
            device.error = error
            self._emit(Note(f"{device.name} cannot serve student {student}: {error}", warning=True))
            self._emit(Assign(device.link, tuple(sorted(device.assigned))))
        self.rebalance(now)

    def check_life(self, now: float) -> list[Device]:
        """Ping whoever is due; returns the devices that have just become suspect."""
        suspects = []
        for device in self.devices.values():
            if now >= device.next_ping:
                self._ping(now, device)
            self._alarm.at(device.next_ping)
            if device.misses >= self._settings.misses and not device.suspect:
                device.suspect = True
                suspects.append(device)
                silence = f"silent for {now - device.last_seen:.1f} s"
                self._emit(Note(f"{device.name} is suspect: {silence}", warning=True))
        for device in suspects:
            if not device.leaving:
                self._orphan(now, device)
        if suspects or self._due(now):
            self.rebalance(now)
        return suspects

    def rebalance(self, now: float) -> None:
        """Tell every living device whose students have changed."""
        living = self._living()
        for student in self._hosted():
            self._departed.pop(student, None)
        hosts = [device.as_host(now, self._model.students, self._former(device)) for device in living]
        placement = place(self._model.students, hosts, self._due(now))
        for device in living:
            self._assign(device, placement[device.facts.device_id])
        self._report_coverage()

    def _ping(self, now: float, device: Device) -> None:
        device.misses = 0 if device.heard else device.misses + 1
        device.heard = False
        device.pings += 1
        device.next_ping = now + self._settings.ping
        self._emit(Ping(device.link, device.pings))

    def _assign(self, device: Device, students: frozenset[int]) -> None:
        """A device that loses a student gets its new assignment once nothing is in flight to it."""
        device.shedding = bool(device.assigned - students)
        if students == device.assigned or (device.shedding and device.in_flight):
            return
        device.shedding = False
        device.assigned = students
        device.ready &= students
        for student in students:
            self._departed.pop(student, None)
        self._emit(Assign(device.link, tuple(sorted(students))))

    def _living(self) -> list[Device]:
        return [device for device in self.devices.values() if device.living]

    def _orphan(self, now: float, lost: Device) -> None:
        for student in lost.assigned - self._hosted():
            self._departed[student] = Departure(lost.facts.device_id, now)

    def _hosted(self) -> frozenset[int]:
        return frozenset().union(*(device.assigned for device in self._living()))

    def _former(self, device: Device) -> frozenset[int]:
        device_id = device.facts.device_id
        return frozenset(s for s, departure in self._departed.items() if departure.device_id == device_id)

    def _due(self, now: float) -> list[int]:
        """Orphans that have waited long enough for a device without students."""
        hosted = self._hosted()
        due = []
        for student in range(len(self._model.students)):
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
        departure, heal, settle = self._departed.get(student), self._settings.heal, self._settings.settle
        if departure is not None:
            return None if heal is None else departure.time + heal
        if self._first_join is None:
            return None
        return min(self._last_join + settle, self._first_join + LONGEST_SETTLING * settle)

    def _report_coverage(self) -> None:
        served = len(self.served())
        if (served == len(self._model.students)) != self._whole:
            self._whole = not self._whole
            state = "ready" if self._whole else "degraded"
            self._emit(Note(f"{state}: {served} of {len(self._model.students)} students are served"))
