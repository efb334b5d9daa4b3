"""Bytes from outside: whatever they are, the parsers raise nothing but what they say they raise."""

import contextlib
import math
from typing import Any

import numpy as np
import pytest
from google.protobuf.message import Message
from hypothesis import example, given
from hypothesis import strategies as st

from aggregator import events, wire
from aggregator.policy import Policy
from bundle import InputError
from protos import MOST_STUDENTS, PROTOCOL_VERSION, nonn_pb2, tensors

TEXTS = st.text(max_size=80) | st.sampled_from(["a\nb", "\x1b[2J", "x" * 400, "\u2028"])
SMALL, LARGE = st.integers(0, 20), st.integers(0, 2**64 - 1)
TENSORS = st.builds(
    nonn_pb2.Tensor,
    type=st.integers(0, 3),
    shape=st.lists(st.integers(0, 2**32 - 1) | st.integers(0, 4), max_size=6),
    data=st.binary(max_size=64),
) | st.just(tensors.encode(np.ones((2, 3), np.float32)))
HELLOS = st.builds(
    nonn_pb2.Hello,
    device_id=TEXTS,
    name=TEXTS,
    protocol_version=st.just(PROTOCOL_VERSION) | SMALL,
    architecture=TEXTS,
    memory_bytes=LARGE,
    cores=st.integers(0, 2**32 - 1),
    parallel=st.integers(0, 2**32 - 1),
    speed=st.floats(),
    cached_digests=st.lists(TEXTS, max_size=4),
    measured=st.lists(st.builds(nonn_pb2.Measured, sha256=TEXTS, milliseconds=st.floats()), max_size=4),
)
READIES = st.builds(
    nonn_pb2.Ready,
    bundle_id=TEXTS,
    student=st.integers(0, 2**32 - 1),
    self_test_passed=st.booleans(),
    error=TEXTS,
    speed=st.floats(),
    milliseconds=st.floats(),
    precision=st.integers(0, 9),
)
PARTIALS = st.builds(
    nonn_pb2.Partial, bundle_id=TEXTS, work_id=LARGE, student=st.integers(0, 2**32 - 1), logits=TENSORS
)
REFUSALS = st.builds(
    nonn_pb2.Refusal, work_id=LARGE, student=st.none() | SMALL, code=st.integers(0, 99), reason=TEXTS
)
MESSAGES = st.one_of(
    st.builds(nonn_pb2.DeviceMessage, hello=HELLOS),
    st.builds(nonn_pb2.DeviceMessage, ready=READIES),
    st.builds(nonn_pb2.DeviceMessage, partial=PARTIALS),
    st.builds(
        nonn_pb2.DeviceMessage,
        partials=st.builds(nonn_pb2.Partials, partials=st.lists(PARTIALS, max_size=3)),
    ),
    st.builds(nonn_pb2.DeviceMessage, refusal=REFUSALS),
    st.builds(nonn_pb2.DeviceMessage, pong=st.builds(nonn_pb2.Pong, sequence=LARGE)),
    st.builds(nonn_pb2.DeviceMessage, leaving=st.builds(nonn_pb2.Leaving, reason=TEXTS)),
    st.just(nonn_pb2.DeviceMessage()),
)
REQUESTS = st.builds(
    nonn_pb2.PredictRequest,
    images=TENSORS,
    strict=st.booleans(),
    bundle_id=TEXTS,
    policy=st.integers(0, 9),
    quorum=st.integers(0, 2**32 - 1),
)


@st.composite
def mutated(draw: st.DrawFn, messages: st.SearchStrategy[Message]) -> bytes:
    """A message as it is, or with some bytes changed, cut off, doubled or put in between."""
    data = bytearray(draw(messages).SerializeToString())
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(data)))
        match draw(st.integers(0, 3)):
            case 0 if at < len(data):
                data[at] = draw(st.integers(0, 255))
            case 1:
                del data[at:]
            case 2:
                data[at:at] = data[:at]
            case _:
                data[at:at] = draw(st.binary(max_size=8))
    return bytes(data)


def is_one_line(text: str) -> bool:
    return text.isprintable() and len(text) <= wire.LONGEST_TEXT + 100


@given(st.binary(max_size=200) | mutated(MESSAGES))
def test_any_first_message_is_a_hello_or_a_hello_error(data: bytes) -> None:
    try:
        facts = wire.read_hello(data)
    except wire.HelloError as error:
        said = str(error)
    else:
        said = f"{facts.device_id}{facts.name}{facts.architecture}"
        assert 0 < len(facts.device_id) <= wire.LONGEST_NAME
        assert math.isfinite(facts.speed)
        assert facts.speed >= 0
        assert facts.parallel >= 1
        assert all(0 < seconds < math.inf for seconds in facts.measured.values())
    assert is_one_line(said)


def test_answers_that_share_a_message_are_events_in_their_order() -> None:
    partials = [nonn_pb2.Partial(work_id=3, student=student) for student in (2, 0)]
    message = nonn_pb2.DeviceMessage(partials=nonn_pb2.Partials(partials=partials))
    found = wire.read_device_message(7, message.SerializeToString())
    assert found == [events.Partial(7, "", 3, 2, None), events.Partial(7, "", 3, 0, None)]


@pytest.mark.parametrize("count", [0, MOST_STUDENTS + 1])
def test_none_and_too_many_answers_in_a_message_are_malformed(count: int) -> None:
    partials = nonn_pb2.Partials(partials=[nonn_pb2.Partial()] * count)
    (event,) = wire.read_device_message(7, nonn_pb2.DeviceMessage(partials=partials).SerializeToString())
    assert event == events.Malformed(7, f"{count} partial logits in one message")


@given(st.binary(max_size=200) | mutated(MESSAGES))
@example(nonn_pb2.DeviceMessage(partial=nonn_pb2.Partial()).SerializeToString())
def test_any_later_message_is_an_event(data: bytes) -> None:
    found = wire.read_device_message(7, data)
    assert 0 < len(found) <= MOST_STUDENTS
    for event in found:
        check_event(event)


def check_event(event: events.DeviceEvent) -> None:
    assert event.link == 7
    match event:
        case events.Malformed(_, text) | events.Leaving(_, text):
            assert is_one_line(text)
        case events.Ready():
            assert is_one_line(event.error)
            assert math.isfinite(event.speed)
            assert 0 <= event.seconds < math.inf
        case events.Refusal():
            assert is_one_line(event.reason)
        case events.Partial():
            assert event.logits is None or event.logits.ndim == 2


@given(st.binary(max_size=200) | mutated(REQUESTS))
def test_any_request_is_read_or_refused(data: bytes) -> None:
    with contextlib.suppress(InputError):
        request = wire.parse(nonn_pb2.PredictRequest, data)
        policy: Any = wire.read_policy(request)
        assert policy is None or isinstance(policy, Policy)
        images = wire.read_images(request.images)
        assert images.nbytes <= len(data)


@given(st.binary(max_size=200))
def test_any_other_request_is_read_or_refused(data: bytes) -> None:
    for kind in (nonn_pb2.FetchStudentRequest, nonn_pb2.ReloadRequest, nonn_pb2.StatusRequest):
        with contextlib.suppress(InputError):
            wire.parse(kind, data)


@given(TENSORS, st.integers(0, 3), st.integers(0, 6))
def test_a_tensor_takes_no_more_memory_than_it_brings(tensor: nonn_pb2.Tensor, kind: int, axes: int) -> None:
    with contextlib.suppress(ValueError, KeyError):
        array = tensors.decode(tensor, kind, axes)
        assert array.nbytes <= len(tensor.data)
