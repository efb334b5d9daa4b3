"""One device as the core sees it: whether it lives, what is in flight to it, how long it usually takes."""

import math
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from aggregator.effects import Assign
from aggregator.events import DeviceFacts, Ready
from aggregator.model import Student
from aggregator.works import Work

# Weight of the latest measurement in the smoothed latency that the status shows.
SMOOTHING = 0.2
# How many of its latest works tell what to expect of a device, and how often that is worked out anew.
REMEMBERED, RENEWED = 32, 8
USUAL = 0.95
# A device is late once it takes so many times what it usually does, and at least so many seconds.
PATIENCE = 3.0
LEAST_PATIENCE = 0.25


@dataclass(slots=True, eq=False)
class InFlight:
    """A work that the device has not dealt with yet. pending: students it still owes.

    place: where those are hosted. images: in this work and those ahead of it.
    expires: when the device must have dropped it by itself. awaited: the work still counts on the device.
    late: it has been counted as late. forgiven: it was sent before the device was last lost, and is not held
    against it any more.
    """

    work: Work
    place: "Place"
    images: int
    expires: float
    pending: set[int]
    awaited: bool = True
    late: bool = False
    forgiven: bool = False


@dataclass(slots=True, eq=False)
class Device:
    """`link` is its stream. speed: 10^9 multiply-adds a second, 0 when unknown.

    measured: seconds that one image takes, by the digest of a student's file.
    suspect: it is silent. stalled: it answers pings, and not its works; late: how many of those in a row.
    latency: smoothed seconds from a work to its partial logits. usual: seconds for each image in flight, and
    slowest: for a whole work, that it exceeds once in twenty times; 0 before the first.
    excused: the aggregator itself was held up since the device was last heard.
    back: when it was last counted on again after it had been suspect or stalled.
    assignments: how many it was sent. named_since: the first of those that name a student without a break.
    """

    link: int
    facts: DeviceFacts
    last_seen: float
    next_ping: float
    speed: float = 0.0
    measured: dict[str, float] = field(default_factory=dict)
    in_flight: dict[int, InFlight] = field(default_factory=dict)
    heard: bool = True
    excused: bool = False
    misses: int = 0
    pings: int = 0
    suspect: bool = False
    leaving: bool = False
    stalled: bool = False
    late: int = 0
    back: float = -math.inf
    next_probe: float = 0.0
    latency: float = 0.0
    usual: float = 0.0
    slowest: float = 0.0
    completed: int = 0
    error: str = ""
    assignments: int = 0
    named_since: dict[tuple[str, int], int] = field(default_factory=dict)
    _recent: deque[tuple[float, float]] = field(default_factory=lambda: deque(maxlen=REMEMBERED))

    @property
    def name(self) -> str:
        return self.facts.name or self.facts.device_id

    @property
    def living(self) -> bool:
        return not (self.suspect or self.leaving or self.stalled)

    def begin_anew(self, now: float) -> None:
        """It is counted on again, whatever became of what it was sent before."""
        self.stalled = False
        self.late = 0
        self.back = now
        for flight in self.in_flight.values():
            flight.forgiven = True

    def assign(self, students: tuple[tuple[str, int], ...]) -> Assign:
        """What it is to hold from now on: (bundle id, student)."""
        self.assignments += 1
        named = self.named_since
        self.named_since = {student: named.get(student, self.assignments) for student in students}
        return Assign(self.link, self.assignments, students)

    def overtaken(self, ready: Ready) -> bool:
        """The device has been told since to drop the student, and maybe to load it again."""
        since = self.named_since.get((ready.bundle_id, ready.student), math.inf)
        return 0 < ready.assignment < since

    def send(self, work: Work, place: "Place", expires: float, *, awaited: bool = True) -> InFlight:
        """Count a work that goes out to the device now."""
        images = work.size
        for ahead in self.in_flight.values():
            images += ahead.work.size
        flight = InFlight(work, place, images, expires, set(place.ready), awaited)
        self.in_flight[work.id] = flight
        if awaited:
            work.expect(place.ready)
        return flight

    def finish(self, now: float, flight: InFlight) -> None:
        """The last of the work's partial logits arrives now: learn from it."""
        del self.in_flight[flight.work.id]
        self.completed += 1
        seconds = now - flight.work.sent
        self.latency += (SMOOTHING if self.latency else 1.0) * (seconds - self.latency)
        if self.stalled:  # what it was like before says nothing now
            self.forget_pace()
        if not flight.late:
            self.late = 0
        self._recent.append((seconds / flight.images, seconds))
        if self.completed % RENEWED == 0 or len(self._recent) <= RENEWED:
            rank = int(USUAL * len(self._recent))
            self.usual, self.slowest = (sorted(values)[rank] for values in zip(*self._recent, strict=True))

    def forget_pace(self) -> None:
        """It has other students now, or has changed otherwise."""
        self._recent.clear()
        self.usual = self.slowest = 0.0

    def patience(self, images: int, unmeasured: float) -> float:
        """Seconds after which so many images in flight are late. unmeasured: when nothing is known of it."""
        if not self.usual:
            return unmeasured
        return max(PATIENCE * self.usual * images, PATIENCE * self.slowest, LEAST_PATIENCE)

    @property
    def oldest(self) -> tuple[float, int]:
        """Of what is in flight, which is something: since when it is waited for, and its images."""
        flight = next(iter(self.in_flight.values()))
        return max(flight.work.sent, self.back), flight.images

    def waited_for_until(self, unmeasured: float) -> float:
        """When the device, which has something in flight, counts as a straggler. unmeasured: seconds."""
        since, images = self.oldest
        return since + self.patience(images, unmeasured)


@dataclass(slots=True, eq=False)
class Place:
    """What one device hosts of one bundle. assigned: what it was told to host; ready: what it serves of that.

    int8: of what it serves or served, what it answers by the int8 twin.
    refused: students that failed on it, and until when they are kept from it.
    faults: by student, how often in a row its partial logits were wrong or refused.
    shedding: it is to give a student up as soon as nothing is in flight to it.
    """

    device: Device
    assigned: frozenset[int] = frozenset()
    ready: set[int] = field(default_factory=set)
    int8: frozenset[int] = frozenset()
    refused: dict[int, float] = field(default_factory=dict)
    faults: dict[int, int] = field(default_factory=dict)
    shedding: bool = False

    @property
    def serving(self) -> bool:
        return bool(self.ready) and self.device.living

    @property
    def loading(self) -> bool:
        """It has yet to say of some student whether it can serve it."""
        return self.device.living and not self.ready >= self.assigned

    def seconds(self, student: Student) -> float:
        """That one image takes there, in the precision that it serves or that is faster; 0: unknown."""
        measured = self.device.measured
        if student.index in self.ready:
            return measured.get(student.digest(int8=student.index in self.int8), 0.0)
        known = [measured[digest] for digest in (student.sha256, student.twin) if digest in measured]
        return min(known, default=0.0)

    def has_room(self, window: int) -> bool:
        in_flight = self.device.in_flight
        return len(in_flight) < window and not (self.shedding and in_flight)

    def count_faults(self, students: Iterable[int]) -> None:
        for student in students:
            self.faults[student] = self.faults.get(student, 0) + 1
