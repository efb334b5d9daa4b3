"""The cluster's state as a value, for the Status call."""

import enum
from collections.abc import Collection
from dataclasses import dataclass

from aggregator.devices import Device
from aggregator.events import DeviceFacts
from aggregator.model import Model


class State(enum.Enum):
    """Names of nonn.v1.DeviceState."""

    LOADING = "LOADING"
    SERVING = "SERVING"
    SUSPECT = "SUSPECT"
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
    """last_seen: seconds ago. latency: smoothed seconds from a work to its partial logits."""

    facts: DeviceFacts
    state: State
    assigned: tuple[int, ...]
    serving: tuple[int, ...]
    last_seen: float
    latency: float
    completed: int
    error: str


@dataclass(frozen=True, slots=True)
class ClusterStatus:
    """expected_accuracy: of the students that are served right now; 0 when none is."""

    students: tuple[StudentStatus, ...]
    devices: tuple[DeviceStatus, ...]
    expected_accuracy: float
    answered: int
    degraded: int
    refused: int
    dropped: int


def cluster_status(
    model: Model, devices: Collection[Device], counters: Counters, now: float
) -> ClusterStatus:
    living = [device for device in devices if device.living]
    served = frozenset().union(*(device.ready for device in living))
    students = tuple(
        StudentStatus(
            student.index,
            student.part,
            tuple(device.facts.device_id for device in living if student.index in device.ready),
        )
        for student in model.students
    )
    return ClusterStatus(
        students=students,
        devices=tuple(_device_status(device, now) for device in devices),
        expected_accuracy=model.expected_accuracy(served),
        answered=counters.answered,
        degraded=counters.degraded,
        refused=counters.refused,
        dropped=counters.dropped,
    )


def _device_status(device: Device, now: float) -> DeviceStatus:
    return DeviceStatus(
        facts=device.facts,
        state=_state(device),
        assigned=tuple(sorted(device.assigned)),
        serving=tuple(sorted(device.ready)) if device.living else (),
        last_seen=now - device.last_seen,
        latency=device.latency,
        completed=device.completed,
        error=device.error,
    )


def _state(device: Device) -> State:
    if device.leaving:
        return State.LEAVING
    if device.suspect:
        return State.SUSPECT
    if device.ready:
        return State.SERVING
    return State.LOADING if device.assigned else State.IDLE
