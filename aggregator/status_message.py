"""The cluster's state as the Status call tells it."""

from aggregator.status import ClusterStatus, DeviceStatus, StudentStatus
from bundle import Bundle
from protos import nonn_pb2


def status_message(bundle: Bundle, state: ClusterStatus, version: str, uptime: float, clock: float) -> bytes:
    """clock: now, in seconds since 1970."""
    manifest = bundle.manifest
    return nonn_pb2.StatusResponse(
        bundle_id=manifest.id,
        bundle_name=manifest.name,
        input_shape=manifest.input.shape,
        labels=manifest.labels,
        students=[_student_status(bundle, student) for student in state.students],
        devices=[_device_status(device) for device in state.devices],
        expected_accuracy=state.expected_accuracy,
        answered=state.answered,
        degraded=state.degraded,
        refused=state.refused,
        dropped_messages=state.dropped,
        software_version=version,
        uptime_seconds=uptime,
        staged_bundle_id=state.staged,
        clock_seconds=clock,
    ).SerializeToString()


def _student_status(bundle: Bundle, student: StudentStatus) -> nonn_pb2.StudentStatus:
    entry = bundle.manifest.students[student.student]
    return nonn_pb2.StudentStatus(
        student=student.student,
        part=student.part,
        device_ids=student.devices,
        sha256=entry.sha256,
        bytes=entry.bytes,
    )


def _device_status(device: DeviceStatus) -> nonn_pb2.DeviceStatus:
    facts = device.facts
    return nonn_pb2.DeviceStatus(
        device_id=facts.device_id,
        name=facts.name,
        architecture=facts.architecture,
        state=device.state.value,
        assigned=device.assigned,
        serving=device.serving,
        last_seen_seconds=device.last_seen,
        latency_seconds=device.latency,
        completed=device.completed,
        error=device.error,
        memory_bytes=facts.memory_bytes,
        cores=facts.cores,
        speed=device.speed,
        served=[
            nonn_pb2.ServedStudent(
                student=student,
                milliseconds=1000 * device.seconds.get(student, 0.0),
                precision=nonn_pb2.INT8 if student in device.int8 else nonn_pb2.FP32,
            )
            for student in device.serving
        ],
    )
