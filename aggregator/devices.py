"""One device as the core sees it: what it hosts, what is in flight to it, when it was last heard."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from aggregator.events import DeviceFacts
from aggregator.model import Student
from aggregator.placement import Host
from aggregator.works import Work

# Weight of the latest measurement in a smoothed value, which it cannot outgrow by more than so many times.
SMOOTHING = 0.2
LARGEST_JUMP = 4.0
# A device is a straggler once its oldest work takes so many times what its recent ones predict, and so long.
PATIENCE = 3.0
LEAST_PATIENCE = 0.1


@dataclass(slots=True, eq=False)
class InFlight:
    """A work that the device has not dealt with yet. pending: students it still owes.

    images: in this work and those ahead of it. expires: when the device must have dropped it by itself.
    awaited: the work still counts on the device.
    """

    work: Work
    images: int
    expires: float
    pending: set[int]
    awaited: bool = True


@dataclass(slots=True, eq=False)
class Device:
    """`link` is its stream. assigned: what it was told to host; ready: what it serves of that.

    refused: students that failed on it, and until when they are kept from it.
    faults: by student, how often in a row its partial logits were wrong.
    shedding: it is to give a student up as soon as nothing is in flight to it.
    latency: smoothed seconds from a work to its partial logits; pace: the same for each image in flight.
    """

    link: int
    facts: DeviceFacts
    last_seen: float
    next_ping: float
    assigned: frozenset[int] = frozenset()
    ready: set[int] = field(default_factory=set)
    refused: dict[int, float] = field(default_factory=dict)
    faults: dict[int, int] = field(default_factory=dict)
    in_flight: dict[int, InFlight] = field(default_factory=dict)
    heard: bool = True
    misses: int = 0
    pings: int = 0
    suspect: bool = False
    leaving: bool = False
    shedding: bool = False
    latency: float = 0.0
    pace: float = 0.0
    completed: int = 0
    error: str = ""

    @property
    def name(self) -> str:
        return self.facts.name or self.facts.device_id

    @property
    def living(self) -> bool:
        return not (self.suspect or self.leaving)

    @property
    def serving(self) -> bool:
        return self.living and bool(self.ready)

    def has_room(self, window: int) -> bool:
        return len(self.in_flight) < window and not (self.shedding and self.in_flight)

    def send(self, work: Work, expires: float) -> None:
        """Count a work that goes out to the device now."""
        images = work.size + sum(flight.work.size for flight in self.in_flight.values())
        self.in_flight[work.id] = InFlight(work, images, expires, set(self.ready))
        work.expect(self.ready)

    def finish(self, now: float, flight: InFlight) -> None:
        """The last of the work's partial logits arrives now: learn from it."""
        del self.in_flight[flight.work.id]
        self.completed += 1
        seconds = now - flight.work.sent
        self.latency = _smoothed(self.latency, seconds)
        self.pace = _smoothed(self.pace, seconds / flight.images)

    def waited_for_until(self, unmeasured: float) -> float:
        """When the device, which has something in flight, becomes a straggler. unmeasured: seconds."""
        oldest = next(iter(self.in_flight.values()))
        if not self.pace:
            return oldest.work.sent + unmeasured
        return oldest.work.sent + max(PATIENCE * self.pace * oldest.images, LEAST_PATIENCE)

    def as_host(self, now: float, students: Iterable[Student], former: frozenset[int]) -> Host:
        """What placement needs to know."""
        cached = self.facts.cached_digests
        return Host(
            device_id=self.facts.device_id,
            students=self.assigned,
            serving=frozenset(self.ready),
            former=former,
            cached=frozenset(student.index for student in students if student.sha256 in cached),
            refused=frozenset(student for student, until in self.refused.items() if now < until),
            memory_bytes=self.facts.memory_bytes,
            speed=self.facts.speed,
        )


def _smoothed(value: float, measured: float) -> float:
    if not value:
        return measured
    return value + SMOOTHING * (min(measured, LARGEST_JUMP * value) - value)
