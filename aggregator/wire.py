"""Between the wire's bytes and the core's values. What comes from outside is checked here, once."""

import math
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, TypeVar

from google.protobuf.message import DecodeError, Message
from numpy.typing import NDArray

from aggregator import events
from aggregator.effects import Answer, Reloaded, SendWork
from aggregator.errors import SettingsError
from aggregator.policy import Policy
from aggregator.settings import Settings
from bundle import Bundle, InputError, StudentEntry
from protos import MOST_STUDENTS, PROTOCOL_VERSION, nonn_pb2, policies, tensors

M = TypeVar("M", bound=Message)

LONGEST_NAME = 64
LONGEST_TEXT = 300
MOST_DIGESTS = 1024
RECENT_ORIGINS = 64  # of answers: bundle and students
# A device that refuses for these reasons does its best.
BLAMELESS = (nonn_pb2.BUDGET_PASSED, nonn_pb2.OVERLOADED)


class HelloError(Exception):
    """A first message that is no acceptable Hello. version: the device speaks another protocol."""

    def __init__(self, message: str, *, version: bool = False) -> None:
        super().__init__(message)
        self.version = version


def read_hello(data: bytes) -> events.DeviceFacts:
    """Raises HelloError."""
    try:
        message = nonn_pb2.DeviceMessage.FromString(data)
    except DecodeError:
        raise HelloError("the first message is not one of this protocol") from None
    if message.WhichOneof("kind") != "hello":
        raise HelloError("the first message must be a Hello")
    hello = message.hello
    if hello.protocol_version != PROTOCOL_VERSION:
        raise HelloError(
            f"protocol version {hello.protocol_version} of {one_line(hello.name) or 'the device'} is not the "
            f"aggregator's version {PROTOCOL_VERSION}: install the same nonn on both",
            version=True,
        )
    if not 0 < len(hello.device_id) <= LONGEST_NAME or not hello.device_id.isprintable():
        raise HelloError(f"device_id must be 1 to {LONGEST_NAME} printable characters")
    return events.DeviceFacts(
        device_id=hello.device_id,
        name=one_line(hello.name)[:LONGEST_NAME],
        architecture=one_line(hello.architecture)[:LONGEST_NAME],
        memory_bytes=hello.memory_bytes,
        cores=hello.cores,
        parallel=min(max(hello.parallel, 1), MOST_STUDENTS),
        speed=_positive(hello.speed),
        cached_digests=frozenset(hello.cached_digests[:MOST_DIGESTS]),
        measured={
            one.sha256: seconds
            for one in hello.measured[:MOST_DIGESTS]
            if (seconds := _positive(one.milliseconds) / 1000)
        },
    )


def read_device_message(link: int, data: bytes) -> Sequence[events.DeviceEvent]:
    """Any message after the Hello: at least one event; Malformed for what is not one."""
    try:
        message = nonn_pb2.DeviceMessage.FromString(data)
    except DecodeError:
        return (events.Malformed(link, "a message that is not of this protocol"),)
    kind = message.WhichOneof("kind")
    if kind == "partials" and 0 < len(message.partials.partials) <= MOST_STUDENTS:
        return [_read_partial(link, partial) for partial in message.partials.partials]
    return (_read_single(link, kind, message),)


def _read_partial(link: int, partial: nonn_pb2.Partial) -> events.Partial:
    try:
        logits = tensors.decode(partial.logits, nonn_pb2.FLOAT32, 2)
    except ValueError:
        logits = None
    return events.Partial(link, partial.bundle_id, partial.work_id, partial.student, logits)


def _read_single(link: int, kind: str | None, message: nonn_pb2.DeviceMessage) -> events.DeviceEvent:
    match kind:
        case "partial":
            return _read_partial(link, message.partial)
        case "pong":
            return events.Pong(link)
        case "ready":
            ready = message.ready
            error = one_line(ready.error) or "no reason given"
            return events.Ready(
                link,
                ready.bundle_id,
                ready.student,
                ready.self_test_passed,
                error,
                _positive(ready.speed),
                ready.assignment,
                _positive(ready.milliseconds) / 1000,
                ready.precision == nonn_pb2.INT8,
            )
        case "refusal":
            refusal = message.refusal
            student = refusal.student if refusal.HasField("student") else None
            fault = refusal.code not in BLAMELESS
            return events.Refusal(link, refusal.work_id, student, _refusal_reason(refusal), fault)
        case "leaving":
            return events.Leaving(link, one_line(message.leaving.reason))
        case "partials":
            return events.Malformed(link, f"{len(message.partials.partials)} partial logits in one message")
        case _:
            return events.Malformed(link, f"an unexpected message: {kind or 'an empty one'}")


def parse(kind: type[M], data: bytes) -> M:
    """A client's request, or a device's for a student. Raises InputError."""
    try:
        return kind.FromString(data)
    except DecodeError:
        raise InputError(f"the request is no {kind.__name__} of this protocol") from None


def read_images(tensor: nonn_pb2.Tensor) -> NDArray[Any]:
    """Images of whatever type and shape; the core knows which it can take. Raises InputError."""
    if tensor.type == nonn_pb2.DATA_TYPE_UNSPECIFIED:
        raise InputError("images have no data type; send uint8 [N, height, width, channels]")
    try:
        return tensors.decode(tensor, tensor.type, len(tensor.shape))
    except (KeyError, ValueError) as error:
        raise InputError(f"images are no proper tensor: {error}") from None


def read_policy(request: nonn_pb2.PredictRequest) -> Policy | None:
    """None: the aggregator's own. Raises InputError."""
    if request.policy == nonn_pb2.POLICY_UNSPECIFIED:
        return None
    if (kind := policies.KINDS.get(request.policy)) is None:
        raise InputError(f"policy {request.policy} is unknown: ALL, COVERED or QUORUM")
    try:
        return Policy(kind, request.quorum)
    except SettingsError as error:
        raise InputError(str(error)) from None


def welcome(settings: Settings, sent: float) -> bytes:
    """sent, here and below: now, in seconds on one clock for all messages to a device."""
    message = nonn_pb2.Welcome(
        protocol_version=PROTOCOL_VERSION,
        ping_seconds=settings.ping,
        window=settings.window,
        takes_partials=True,
    )
    return nonn_pb2.AggregatorMessage(welcome=message, sent_seconds=sent).SerializeToString()


def assignment(number: int, students: Iterable[tuple[Bundle, int]], sent: float) -> bytes:
    assigned = [
        nonn_pb2.AssignedStudent(
            bundle_id=bundle.manifest.id,
            student=entry.index,
            part=entry.part,
            sha256=entry.sha256,
            bytes=entry.bytes,
            multiply_adds=entry.multiply_adds,
            self_test_images=tensors.encode(bundle.self_test.images),
            self_test_logits=tensors.encode(bundle.self_test.partials[entry.index]),
            int8=_twin(bundle, entry),
        )
        for bundle, entry in ((bundle, bundle.manifest.students[index]) for bundle, index in students)
    ]
    message = nonn_pb2.Assignment(students=assigned, number=number)
    return nonn_pb2.AggregatorMessage(assignment=message, sent_seconds=sent).SerializeToString()


def _twin(bundle: Bundle, entry: StudentEntry) -> nonn_pb2.AssignedTwin | None:
    if entry.int8 is None or bundle.twins is None:
        return None
    return nonn_pb2.AssignedTwin(
        sha256=entry.int8.sha256,
        bytes=entry.int8.bytes,
        self_test_logits=tensors.encode(bundle.twins.partials[entry.index]),
        tolerance=entry.int8.tolerance,
    )


def work(effect: SendWork, sent: float) -> bytes:
    message = nonn_pb2.Work(
        bundle_id=effect.bundle_id,
        work_id=effect.work,
        budget_seconds=effect.budget,
        images=tensors.encode(effect.images),
    )
    return nonn_pb2.AggregatorMessage(work=message, sent_seconds=sent).SerializeToString()


def ping(sequence: int, sent: float) -> bytes:
    message = nonn_pb2.Ping(sequence=sequence)
    return nonn_pb2.AggregatorMessage(ping=message, sent_seconds=sent).SerializeToString()


def answer(effect: Answer) -> bytes:
    # Messages put one after another are one message with the fields of all.
    logits = nonn_pb2.PredictResponse(logits=tensors.encode(effect.logits)).SerializeToString()
    return logits + _whence(effect.bundle_id, effect.answered, effect.missing, effect.expected_accuracy)


@lru_cache(RECENT_ORIGINS)
def _whence(bundle_id: str, answered: tuple[int, ...], missing: tuple[int, ...], accuracy: float) -> bytes:
    """What an answer says besides its logits; the same as long as the same students answer."""
    return nonn_pb2.PredictResponse(
        bundle_id=bundle_id,
        answered=answered,
        missing=missing,
        degraded=bool(missing),
        expected_accuracy=accuracy,
    ).SerializeToString()


def reloaded(effect: Reloaded) -> bytes:
    return nonn_pb2.ReloadResponse(
        bundle_id=effect.bundle_id, previous_bundle_id=effect.previous, devices=effect.devices
    ).SerializeToString()


def one_line(text: str) -> str:
    """What someone else wrote, fit for a log line."""
    return "".join(char if char.isprintable() else " " for char in text[:LONGEST_TEXT])


def _positive(value: float) -> float:
    """0 for what cannot be a measure."""
    return value if math.isfinite(value) and value > 0 else 0.0


def _refusal_reason(refusal: nonn_pb2.Refusal) -> str:
    known = refusal.code in nonn_pb2.RefusalCode.values()
    name = nonn_pb2.RefusalCode.Name(refusal.code) if known else str(refusal.code)
    return f"{name}: {one_line(refusal.reason)}"
