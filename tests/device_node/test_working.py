"""A device against a scripted aggregator: computing and refusing."""

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from device_node.students import LARGEST_RUN, Student
from protos import nonn_pb2, tensors
from tests.device_node.graphs import StudentFile, make_student, some_images
from tests.device_node.scripted import WAIT, Peer, RunningDevice, ScriptedAggregator

StartDevice = Callable[..., RunningDevice]


@pytest.fixture
def serve(aggregator: ScriptedAggregator, device: StartDevice) -> Callable[..., Peer]:
    """Starts a device that serves these students; `welcome` is what else the aggregator welcomes it with."""

    def start(*students: StudentFile, parallel: int | None = None, **welcome: Any) -> Peer:
        aggregator.offer(*students)
        device(parallel=parallel)
        joined = aggregator.accept()
        joined.serve(*students, **welcome)
        return joined

    return start


@pytest.fixture
def peer(serve: Callable[..., Peer]) -> Peer:
    """A device that serves students 0 and 1."""
    return serve(make_student(0), make_student(1))


@pytest.fixture
def slow_peer(serve: Callable[..., Peer]) -> Callable[[int], Peer]:
    """A device that takes long for students 0 and 1, and computes so many at a time."""

    def start(parallel: int) -> Peer:
        students = make_student(0, busy=1), make_student(1, busy=1)
        joined = serve(*students, parallel=parallel, takes_partials=True)
        assert joined.hello.parallel == parallel
        return joined

    return start


def test_short_answers_share_a_message_where_the_aggregator_takes_that(
    serve: Callable[..., Peer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("device_node.worker.SHORT_SECONDS", 1.0)  # however busy this machine is
    students = make_student(0), make_student(1)
    peer = serve(*students, takes_partials=True)
    images = some_images(2)
    peer.work(images, number=5)
    partials = peer.expect("partials").partials
    assert [(one.work_id, one.student) for one in partials] == [(5, 0), (5, 1)]
    for one, student in zip(partials, students, strict=True):
        logits = tensors.decode(one.logits, nonn_pb2.FLOAT32, 2)
        np.testing.assert_allclose(logits, student.logits(images), rtol=1e-4)


def test_long_answers_come_one_by_one(slow_peer: Callable[[int], Peer]) -> None:
    peer = slow_peer(2)
    peer.work(some_images(1))
    assert {peer.expect("partial").student for _ in range(2)} == {0, 1}


def test_so_many_students_are_computed_at_a_time(
    slow_peer: Callable[[int], Peer], monkeypatch: pytest.MonkeyPatch
) -> None:
    peer = slow_peer(2)
    both = threading.Barrier(2)  # passed only while the other one is being computed
    run = Student._run

    def meet(student: Student, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        both.wait(WAIT)
        return run(student, images)

    monkeypatch.setattr(Student, "_run", meet)
    peer.work(some_images(1))
    assert {peer.expect("partial").student for _ in range(2)} == {0, 1}


def test_no_more_students_are_computed_at_a_time_than_it_was_told(
    slow_peer: Callable[[int], Peer], monkeypatch: pytest.MonkeyPatch
) -> None:
    peer = slow_peer(1)
    alone = threading.Lock()
    run = Student._run

    def insist(student: Student, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        if not alone.acquire(blocking=False):
            raise RuntimeError("another one is being computed")
        try:
            return run(student, images)
        finally:
            alone.release()

    monkeypatch.setattr(Student, "_run", insist)
    peer.work(some_images(1))
    assert [peer.expect("partial").student for _ in range(2)] == [0, 1]


def test_pings_are_answered_while_it_computes(serve: Callable[..., Peer]) -> None:
    peer = serve(make_student(0, busy=6))
    peer.work(some_images(1))
    peer.send(ping=nonn_pb2.Ping(sequence=5))
    assert peer.expect("pong").sequence == 5
    assert peer.expect("partial").work_id == 1


@pytest.mark.parametrize("budget", [0.0, -5.0, float("-inf"), float("nan")])
def test_work_whose_budget_has_passed_is_not_computed(peer: Peer, budget: float) -> None:
    peer.work(some_images(1), number=8, budget=budget)
    refusals = [peer.expect("refusal") for _ in range(2)]
    assert {(one.work_id, one.code, one.student) for one in refusals} == {
        (8, nonn_pb2.BUDGET_PASSED, 0),
        (8, nonn_pb2.BUDGET_PASSED, 1),
    }
    peer.work(some_images(1), number=9, budget=float("inf"))
    assert peer.expect("partial").work_id == 9


def test_a_batch_is_given_up_when_its_budget_passes(serve: Callable[..., Peer]) -> None:
    peer = serve(make_student(0, busy=6))
    peer.work(some_images(4 * LARGEST_RUN), budget=0.2)
    refusal = peer.expect("refusal")
    assert (refusal.student, refusal.code) == (0, nonn_pb2.BUDGET_PASSED)
    assert "of 64 images computed" in refusal.reason


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


def test_no_more_than_the_window_waits(serve: Callable[..., Peer]) -> None:
    peer = serve(make_student(0, busy=4), window=1)
    for number in range(6):
        peer.work(some_images(1), number=number)
    messages = [peer.next() for _ in range(6)]
    refusals = [message.refusal for message in messages if message.WhichOneof("kind") == "refusal"]
    partials = [message.partial for message in messages if message.WhichOneof("kind") == "partial"]
    assert {refusal.code for refusal in refusals} == {nonn_pb2.OVERLOADED}
    assert 1 <= len(partials) <= 2
    assert sorted(one.work_id for one in [*refusals, *partials]) == list(range(6))


def test_no_more_than_so_many_bytes_wait(serve: Callable[..., Peer], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("device_node.worker.MOST_WAITING_BYTES", 2 * some_images(8).nbytes)
    peer = serve(make_student(0, busy=4), window=100)
    for number in range(6):
        peer.work(some_images(8), number=number)
    messages = [peer.next() for _ in range(6)]
    refusals = [message.refusal for message in messages if message.WhichOneof("kind") == "refusal"]
    assert {refusal.code for refusal in refusals} == {nonn_pb2.OVERLOADED}
    assert 1 <= len(refusals) <= 3
