"""A device against a scripted aggregator: leaving in good order, also one that does not react."""

from collections.abc import Callable

import pytest

from protos import nonn_pb2
from tests.device_node.graphs import make_student, some_images
from tests.device_node.relay import Relay
from tests.device_node.scripted import WAIT, RunningDevice, ScriptedAggregator

StartDevice = Callable[..., RunningDevice]


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """However busy this machine is, the device finishes its work."""
    monkeypatch.setattr("device_node.connection.DRAIN_SECONDS", WAIT)


@pytest.mark.usefixtures("patient")
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


@pytest.mark.usefixtures("patient")
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


def test_an_aggregator_that_is_frozen_does_not_hold_the_device(
    aggregator: ScriptedAggregator, device: StartDevice
) -> None:
    student = make_student(0)
    aggregator.offer(student)
    with Relay(aggregator.address) as relay:
        one = device(aggregator=relay.address)
        peer = aggregator.accept()
        peer.serve(student)
        relay.freeze()
        one.stop()
        assert one.join() is None


def test_a_work_of_many_runs_does_not_hold_the_device(
    aggregator: ScriptedAggregator, device: StartDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("device_node.connection.DRAIN_SECONDS", 0.2)
    slow = make_student(0, busy=2)
    aggregator.offer(slow)
    one = device()
    peer = aggregator.accept()
    peer.serve(slow)
    peer.work(some_images(20_000), budget=1e6)  # minutes
    peer.send(ping=nonn_pb2.Ping(sequence=1))
    peer.expect("pong")  # so the work has been received
    one.stop()
    assert peer.expect("leaving").reason
    peer.close()
    assert one.join() is None
