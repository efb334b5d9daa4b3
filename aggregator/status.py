"""The cluster's state as a value, for the Status call."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass

from aggregator.devices import Place
from aggregator.events import DeviceFacts
from aggregator.hosting import Hosting
from aggregator.model import Model


class State(enum.Enum):
    """Names of nonn.v1.DeviceState."""

    LOADING = "LOADING"
    SERVING = "SERVING"
    SUSPECT = "SUSPECT"
    STALLED = "STALLED"
    LEAVING = "LEAVING"
    IDLE = "IDLE"


@dataclass(slots=True)
class Counters:
    """Since the start. dropped: messages of devices that were late, repeated, malformed or unknown."""

    answered: int = 0
    degraded: int = 0
    refused: int = 0
    dropped: int = 0


@dataclass(frozen=True, slots=True)
class StudentStatus:
    """devices: ids of those that serve it."""

    student: int
    part: int
    devices: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DeviceStatus:
    """last_seen: seconds ago. latency: smoothed seconds from a work to its partial logits.

    speed: 10^9 multiply-adds a second, 0 when unknown. seconds: that one image takes, by student, 0 when
    unknown. int8: students that it answers by their int8 twins.
    """

    facts: DeviceFacts
    speed: float
    seconds: Mapping[int, float]
    int8: frozenset[int]
    state: State
    assigned: tuple[int, ...]
    serving: tuple[int, ...]
    last_seen: float
    latency: float
    completed: int
    error: str


@dataclass(frozen=True, slots=True)
class ClusterStatus:
    """expected_accuracy: of the students that are served right now; 0 when none is.

    staged: id of the bundle that is being loaded, or empty.
    """

    students: tuple[StudentStatus, ...]
    devices: tuple[DeviceStatus, ...]
    expected_accuracy: float
    staged: str
    answered: int
    degraded: int
    refused: int
    dropped: int


def cluster_status(hosting: Hosting, staged: str, counters: Counters, now: float) -> ClusterStatus:
    model, serving = hosting.model, hosting.serving()
    students = tuple(
        StudentStatus(
            student.index,
            student.part,
            tuple(place.device.facts.device_id for place in serving if student.index in place.ready),
        )
        for student in model.students
    )
    return ClusterStatus(
        students=students,
        devices=tuple(_device_status(model, place, now) for place in hosting.places.values()),
        expected_accuracy=model.expected_accuracy(hosting.served(), hosting.served_in_int8()),
        staged=staged,
        answered=counters.answered,
        degraded=counters.degraded,
        refused=counters.refused,
        dropped=counters.dropped,
    )


def _device_status(model: Model, place: Place, now: float) -> DeviceStatus:
    device = place.device
    return DeviceStatus(
        facts=device.facts,
        speed=device.speed,
        seconds={student: place.seconds(model.students[student]) for student in place.ready},
        int8=place.int8,
        state=_state(place),
        assigned=tuple(sorted(place.assigned)),
        serving=tuple(sorted(place.ready)) if device.living else (),
        last_seen=now - device.last_seen,
        latency=device.latency,
        completed=device.completed,
        error=device.error,
    )


def _state(place: Place) -> State:
    device = place.device
    if device.leaving:
        return State.LEAVING
    if device.suspect:
        return State.SUSPECT
    if device.stalled:
        return State.STALLED
    if place.ready:
        return State.SERVING
    return State.LOADING if place.assigned else State.IDLE
