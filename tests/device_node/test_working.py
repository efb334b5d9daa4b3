"""A device against a scripted aggregator: computing, refusing, and leaving."""

from collections.abc import Callable

import numpy as np
import pytest

from protos import nonn_pb2, tensors
from tests.device_node.graphs import make_student, some_images
from tests.device_node.scripted import Peer, RunningDevice, ScriptedAggregator

StartDevice = Callable[..., RunningDevice]


@pytest.fixture
def peer(aggregator: ScriptedAggregator, device: StartDevice) -> Peer:
    """A device that serves students 0 and 1."""
    students = make_student(0), make_student(1)
    aggregator.offer(*students)
    device()
    joined = aggregator.accept()
    joined.serve(*students)
    return joined


def test_pings_are_answered_while_it_computes(aggregator: ScriptedAggregator, device: StartDevice) -> None:
    slow = make_student(0, busy=6)
    aggregator.offer(slow)
    device()
    peer = aggregator.accept()
    peer.serve(slow)
    peer.work(some_images(1))
    peer.send(ping=nonn_pb2.Ping(sequence=5))
    assert peer.expect("pong").sequence == 5
    assert peer.expect("partial").work_id == 1


def test_work_whose_budget_has_passed_is_not_computed(peer: Peer) -> None:
    peer.work(some_images(1), number=8, budget=0.0)
    refusals = [peer.expect("refusal") for _ in range(2)]
    assert [(one.work_id, one.code, one.student) for one in refusals] == [
        (8, nonn_pb2.BUDGET_PASSED, 0),
        (8, nonn_pb2.BUDGET_PASSED, 1),
    ]
    peer.work(some_images(1), number=9)
    assert peer.expect("partial").work_id == 9


def test_work_of_another_bundle_is_refused(peer: Peer) -> None:
    peer.work(some_images(1), number=3, bundle="c" * 64)
    refusal = peer.expect("refusal")
    assert (refusal.work_id, refusal.code) == (3, nonn_pb2.BUNDLE_MISMATCH)
    assert not refusal.HasField("student")


def test_work_before_any_assignment_is_refused(aggregator: ScriptedAggregator, device: StartDevice) -> None:
    device()
    peer = aggregator.accept()
    peer.serve()
    peer.work(some_images(1))
    assert peer.expect("refusal").code == nonn_pb2.BUNDLE_MISMATCH


@pytest.mark.parametrize(
    "tensor",
    [
        nonn_pb2.Tensor(),
        nonn_pb2.Tensor(type=nonn_pb2.UINT8, shape=[1, 4, 5, 3], data=b"short"),
        nonn_pb2.Tensor(type=nonn_pb2.UINT8, shape=[2**32 - 1] * 4, data=b"short"),
        tensors.encode(np.zeros((1, 4, 5, 3), np.float32)),
        tensors.encode(np.zeros((4, 5, 3), np.uint8)),
    ],
)
def test_malformed_images_are_refused_whole(peer: Peer, tensor: nonn_pb2.Tensor) -> None:
    peer.send(work=nonn_pb2.Work(bundle_id="b" * 64, work_id=4, budget_seconds=9, images=tensor))
    refusal = peer.expect("refusal")
    assert (refusal.work_id, refusal.code) == (4, nonn_pb2.BAD_INPUT)


@pytest.mark.parametrize("shape", [(0, 4, 5, 3), (1, 5, 4, 3), (2, 4, 5, 1)])
def test_images_of_another_shape_are_refused_by_each_student(peer: Peer, shape: tuple[int, ...]) -> None:
    peer.work(np.zeros(shape, np.uint8))
    refusals = [peer.expect("refusal") for _ in range(2)]
    assert {one.code for one in refusals} == {nonn_pb2.BAD_INPUT}
    assert [one.student for one in refusals] == [0, 1]


def test_no_more_than_the_window_waits(aggregator: ScriptedAggregator, device: StartDevice) -> None:
    slow = make_student(0, busy=4)
    aggregator.offer(slow)
    device()
    peer = aggregator.accept()
    peer.serve(slow, window=1)
    for number in range(6):
        peer.work(some_images(1), number=number)
    messages = [peer.next() for _ in range(6)]
    refusals = [message.refusal for message in messages if message.WhichOneof("kind") == "refusal"]
    partials = [message.partial for message in messages if message.WhichOneof("kind") == "partial"]
    assert {refusal.code for refusal in refusals} == {nonn_pb2.OVERLOADED}
    assert 1 <= len(partials) <= 2
    assert sorted(one.work_id for one in [*refusals, *partials]) == list(range(6))


def test_stopping_finishes_what_is_in_hand(aggregator: ScriptedAggregator, device: StartDevice) -> None:
    slow = make_student(0, busy=6)
    aggregator.offer(slow)
    one = device()
    peer = aggregator.accept()
    peer.serve(slow)
    peer.work(some_images(1))
    peer.send(ping=nonn_pb2.Ping(sequence=1))
    peer.expect("pong")  # so the work has been received
    one.stop()
    assert peer.expect("partial").work_id == 1
    assert peer.expect("leaving").reason
    peer.close()
    assert one.join() is None


def test_work_that_comes_while_leaving_is_refused(
    aggregator: ScriptedAggregator, device: StartDevice
) -> None:
    slow = make_student(0, busy=6)
    aggregator.offer(slow)
    one = device()
    peer = aggregator.accept()
    peer.serve(slow)
    peer.work(some_images(1))
    peer.send(drain=nonn_pb2.Drain(reason="maintenance"))
    peer.work(some_images(1), number=2)
    kinds = {}
    for _ in range(3):
        message = peer.next()
        kinds[message.WhichOneof("kind")] = message
    assert kinds["refusal"].refusal.work_id == 2
    assert kinds["partial"].partial.work_id == 1
    assert kinds["leaving"].leaving.reason == "maintenance"
    peer.close()
    again = aggregator.accept()  # drained, not stopped: it comes back
    one.stop()
    again.close()


def test_an_aggregator_that_never_closes_does_not_hold_the_device(
    aggregator: ScriptedAggregator, device: StartDevice
) -> None:
    one = device()
    peer = aggregator.accept()
    peer.serve()
    peer.send(ping=nonn_pb2.Ping(sequence=1))
    peer.expect("pong")  # so it has been welcomed
    one.stop()
    assert peer.expect("leaving").reason
    assert one.join() is None
