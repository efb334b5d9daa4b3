"""A device against an aggregator that sends whatever the protocol can express."""

from collections.abc import Callable
from random import Random

import grpc
import pytest

from protos import PROTOCOL_VERSION, nonn_pb2, tensors
from tests.device_node.graphs import BUNDLE, StudentFile, make_student, some_images
from tests.device_node.scripted import Peer, RunningDevice, ScriptedAggregator

StartDevice = Callable[..., RunningDevice]

NUMBERS = (0, 1, 3, 2**31, 2**32 - 1)
SECONDS = (0.0, -1.0, 0.001, 1.0, 1e300, float("inf"), float("-inf"), float("nan"))
TEXTS = ("", BUNDLE, "c" * 64, "\x1b[2J\n", "../..", "ü" * 1000)


def any_tensor(random: Random) -> nonn_pb2.Tensor:
    if random.random() < 0.3:
        return tensors.encode(some_images(random.randrange(40)))
    shape = [random.choice(NUMBERS) for _ in range(random.randrange(6))]
    return nonn_pb2.Tensor(type=random.randrange(3), shape=shape, data=bytes(random.randrange(500)))  # type: ignore[arg-type]


def any_student(random: Random, students: list[StudentFile]) -> nonn_pb2.AssignedStudent:
    assigned = random.choice(students).assigned(bundle=random.choice(TEXTS))
    match random.randrange(6):
        case 0:
            assigned.sha256 = random.choice(TEXTS)
        case 1:
            assigned.bytes = random.choice(NUMBERS)
        case 2:
            assigned.multiply_adds = random.choice((*NUMBERS, 2**64 - 1))
        case 3:
            assigned.self_test_images.CopyFrom(any_tensor(random))
        case 4:
            assigned.self_test_logits.CopyFrom(any_tensor(random))
    return assigned


def any_message(random: Random, students: list[StudentFile]) -> nonn_pb2.AggregatorMessage:
    match random.choices(range(6), weights=(1, 6, 20, 3, 1, 1))[0]:
        case 0:
            return nonn_pb2.AggregatorMessage(
                welcome=nonn_pb2.Welcome(
                    protocol_version=PROTOCOL_VERSION,
                    ping_seconds=random.choice(SECONDS),
                    window=random.choice(NUMBERS),
                )
            )
        case 1:
            named = [any_student(random, students) for _ in range(random.randrange(5))]
            return nonn_pb2.AggregatorMessage(assignment=nonn_pb2.Assignment(students=named))
        case 2:
            return nonn_pb2.AggregatorMessage(
                work=nonn_pb2.Work(
                    bundle_id=random.choice(TEXTS),
                    work_id=random.choice(NUMBERS),
                    budget_seconds=random.choice(SECONDS),
                    images=any_tensor(random),
                )
            )
        case 3:
            return nonn_pb2.AggregatorMessage(ping=nonn_pb2.Ping(sequence=random.choice(NUMBERS)))
        case 4:
            return nonn_pb2.AggregatorMessage(drain=nonn_pb2.Drain(reason=random.choice(TEXTS)))
        case _:
            return nonn_pb2.AggregatorMessage()


def harass(peer: Peer, random: Random, students: list[StudentFile]) -> None:
    peer.send(welcome=nonn_pb2.Welcome(protocol_version=PROTOCOL_VERSION, ping_seconds=60.0, window=2))
    for _ in range(random.randrange(60)):
        peer.forward(any_message(random, students))
    peer.abort(grpc.StatusCode.UNAVAILABLE, random.choice(TEXTS))


@pytest.mark.parametrize("seed", range(4))
def test_it_outlives_whatever_is_sent(
    aggregator: ScriptedAggregator,
    device: StartDevice,
    seed: int,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr("device_node.backoff.MOST_SECONDS", 0.01)
    random = Random(seed)
    students = [make_student(index) for index in range(3)]
    aggregator.offer(*students)
    one = device()
    for _ in range(8):
        harass(aggregator.accept(), random, students)
    peer = aggregator.accept()
    assert all(ready.self_test_passed for ready in peer.serve(*students))
    peer.work(some_images(2), number=77)
    assert [peer.expect("partial").work_id for _ in students] == [77, 77, 77]
    one.stop()
    assert peer.expect("leaving").reason
    peer.close()
    assert one.join() is None
    said = [record.getMessage() for record in caplog.records if record.name.startswith("device_node")]
    assert said
    assert all(line.isprintable() for line in said)
