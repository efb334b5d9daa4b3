"""A cluster as its aggregator sees it."""

from collections.abc import Mapping
from dataclasses import dataclass

from bundle import InputSpec
from protos import nonn_pb2


@dataclass(frozen=True, slots=True)
class StudentStatus:
    """device_ids: of the devices that serve it."""

    student: int
    part: int
    device_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DeviceStatus:
    """state: loading, serving, suspect, stalled, leaving or idle. assigned, serving: students.

    latency_seconds: smoothed, from work sent to partial logits received. speed: in billions of multiply-adds
    a second, 0 when unknown. milliseconds: that one image takes, by student, where the device has said so.
    int8: students of `serving` that it answers by their int8 twins.
    error: the latest, or empty.
    """

    device_id: str
    name: str
    architecture: str
    state: str
    assigned: tuple[int, ...]
    serving: tuple[int, ...]
    last_seen_seconds: float
    latency_seconds: float
    completed: int
    error: str
    memory_bytes: int
    cores: int
    speed: float
    milliseconds: Mapping[int, float]
    int8: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ClusterStatus:
    """expected_accuracy: of the students served right now. The counts are requests since the start, but for
    dropped_messages: late, duplicate, malformed or unknown ones from devices.
    staged_bundle: id of the one that devices are loading beside the one that they serve, or empty.
    """

    bundle: str
    bundle_name: str
    input: InputSpec
    labels: tuple[str, ...]
    students: tuple[StudentStatus, ...]
    devices: tuple[DeviceStatus, ...]
    expected_accuracy: float
    answered: int
    degraded: int
    refused: int
    dropped_messages: int
    software_version: str
    uptime_seconds: float
    staged_bundle: str


def read_status(response: nonn_pb2.StatusResponse) -> ClusterStatus:
    """Raises ValueError when the message is not a whole one."""
    if len(response.input_shape) != 3 or not response.labels:
        raise ValueError("a status without input shape or labels")
    return ClusterStatus(
        bundle=response.bundle_id,
        bundle_name=response.bundle_name,
        input=InputSpec(*response.input_shape),
        labels=tuple(response.labels),
        students=tuple(
            StudentStatus(student.student, student.part, tuple(student.device_ids))
            for student in response.students
        ),
        devices=tuple(_read_device(device) for device in response.devices),
        expected_accuracy=response.expected_accuracy,
        answered=response.answered,
        degraded=response.degraded,
        refused=response.refused,
        dropped_messages=response.dropped_messages,
        software_version=response.software_version,
        uptime_seconds=response.uptime_seconds,
        staged_bundle=response.staged_bundle_id,
    )


def _read_device(device: nonn_pb2.DeviceStatus) -> DeviceStatus:
    known = device.state in nonn_pb2.DeviceState.values()
    return DeviceStatus(
        device_id=device.device_id,
        name=device.name,
        architecture=device.architecture,
        state=nonn_pb2.DeviceState.Name(device.state).lower() if known else "unknown",
        assigned=tuple(device.assigned),
        serving=tuple(device.serving),
        last_seen_seconds=device.last_seen_seconds,
        latency_seconds=device.latency_seconds,
        completed=device.completed,
        error=device.error,
        memory_bytes=device.memory_bytes,
        cores=device.cores,
        speed=device.speed,
        milliseconds={one.student: one.milliseconds for one in device.served if one.milliseconds > 0},
        int8=tuple(one.student for one in device.served if one.precision == nonn_pb2.INT8),
    )
