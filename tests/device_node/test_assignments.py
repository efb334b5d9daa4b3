"""A device against a scripted aggregator: holding exactly the students that it is told to."""

from collections.abc import Callable
from pathlib import Path

import grpc
import pytest

from device_node import hosting
from protos import PROTOCOL_VERSION, nonn_pb2, tensors
from tests.device_node.graphs import BUNDLE, StudentFile, make_student, some_images
from tests.device_node.scripted import WAIT, Peer, RunningDevice, ScriptedAggregator

StartDevice = Callable[..., RunningDevice]
NEXT = "c" * 64


@pytest.fixture
def students(aggregator: ScriptedAggregator) -> list[StudentFile]:
    made = [make_student(index) for index in range(3)]
    aggregator.offer(*made)
    return made


@pytest.fixture
def peer(aggregator: ScriptedAggregator, device: StartDevice) -> Peer:
    """A device that has been welcomed and has no students yet."""
    device()
    joined = aggregator.accept()
    joined.serve()
    return joined


def shares(peer: Peer, number: int, bundle: str, count: int) -> list[int]:
    """The students whose partial logits come back for a work of this bundle."""
    peer.work(some_images(1), number=number, bundle=bundle)
    partials = [peer.expect("partial") for _ in range(count)]
    assert {(one.work_id, one.bundle_id) for one in partials} == {(number, bundle)}
    return [one.student for one in partials]


def refusal(peer: Peer, number: int, bundle: str) -> nonn_pb2.RefusalCode:
    peer.work(some_images(1), number=number, bundle=bundle)
    refused = peer.expect("refusal")
    assert refused.work_id == number
    code: nonn_pb2.RefusalCode = refused.code
    return code


def test_a_new_assignment_drops_what_it_does_not_name(peer: Peer, students: list[StudentFile]) -> None:
    peer.assign(students[0].assigned())
    assert [ready.student for ready in peer.assign(students[1].assigned())] == [1]
    assert shares(peer, 1, BUNDLE, count=1) == [1]
    assert peer.assign() == []
    assert refusal(peer, 2, BUNDLE) == nonn_pb2.BUNDLE_MISMATCH


def test_an_assignment_overtakes_one_that_is_being_fetched(
    aggregator: ScriptedAggregator, peer: Peer, students: list[StudentFile]
) -> None:
    stuck, wanted, _ = students
    gate = aggregator.stall(stuck.digest)
    peer.send(assignment=nonn_pb2.Assignment(students=[stuck.assigned()]))
    assert gate.reached.wait(WAIT)
    assert [ready.student for ready in peer.assign(wanted.assigned())] == [1]
    gate.release.set()


def test_the_device_says_which_assignment_it_knew(peer: Peer, students: list[StudentFile]) -> None:
    for number, student in ((4, students[0]), (5, students[1]), (9, students[0])):
        peer.send(assignment=nonn_pb2.Assignment(number=number, students=[student.assigned()]))
        ready = peer.expect("ready")
        assert (ready.student, ready.assignment) == (student.assigned().student, number)


def test_a_fetch_that_is_still_wanted_goes_on(
    aggregator: ScriptedAggregator, peer: Peer, students: list[StudentFile]
) -> None:
    slow, other, _ = students
    gate = aggregator.stall(slow.digest)
    peer.send(assignment=nonn_pb2.Assignment(students=[slow.assigned()]))
    assert gate.reached.wait(WAIT)
    peer.send(assignment=nonn_pb2.Assignment(students=[other.assigned(), slow.assigned()]))
    peer.send(ping=nonn_pb2.Ping(sequence=1))
    peer.expect("pong")  # so the second assignment has been read
    gate.release.set()
    assert [peer.expect("ready").student for _ in range(2)] == [0, 1]
    assert aggregator.fetched == [slow.digest, other.digest]


def test_two_bundles_at_once_while_one_replaces_the_other(peer: Peer, students: list[StudentFile]) -> None:
    old, kept, new = students
    peer.assign(old.assigned(), kept.assigned())
    staged = new.assigned(bundle=NEXT)
    staged.student = 0  # of the same number as the old one, yet another student
    readies = peer.assign(old.assigned(), kept.assigned(), staged)
    assert sorted((one.bundle_id, one.student) for one in readies) == [(BUNDLE, 0), (BUNDLE, 1), (NEXT, 0)]
    assert all(one.self_test_passed for one in readies)
    assert shares(peer, 1, BUNDLE, count=2) == [0, 1]
    images = some_images(2)
    peer.work(images, number=2, bundle=NEXT)
    found = tensors.decode(peer.expect("partial").logits, nonn_pb2.FLOAT32, 2)
    assert found == pytest.approx(new.logits(images), rel=1e-4, abs=1e-3)
    peer.assign(staged)
    assert refusal(peer, 3, BUNDLE) == nonn_pb2.BUNDLE_MISMATCH
    assert shares(peer, 4, NEXT, count=1) == [0]


def test_a_file_of_two_bundles_is_fetched_and_loaded_once(
    aggregator: ScriptedAggregator, peer: Peer, students: list[StudentFile], tmp_path: Path
) -> None:
    shared = students[0]
    peer.assign(shared.assigned())
    (tmp_path / "state" / "students" / f"{shared.digest}.onnx").unlink()
    readies = peer.assign(shared.assigned(), shared.assigned(bundle=NEXT))
    assert [(one.bundle_id, one.self_test_passed) for one in readies] == [(BUNDLE, True), (NEXT, True)]
    assert aggregator.fetched == [shared.digest]
    peer.assign(shared.assigned(bundle=NEXT))
    assert shares(peer, 1, NEXT, count=1) == [0]
    assert aggregator.fetched == [shared.digest]


def test_a_self_test_that_fails_in_one_bundle_leaves_the_other(
    peer: Peer, students: list[StudentFile]
) -> None:
    shared = students[0]
    peer.assign(shared.assigned())
    readies = peer.assign(shared.assigned(), shared.assigned(error=0.1, bundle=NEXT))
    assert [(one.bundle_id, one.self_test_passed) for one in readies] == [(BUNDLE, True), (NEXT, False)]
    assert shares(peer, 1, BUNDLE, count=1) == [0]
    assert refusal(peer, 2, NEXT) == nonn_pb2.BUNDLE_MISMATCH


def test_a_student_that_is_served_is_not_proven_again(
    aggregator: ScriptedAggregator, peer: Peer, students: list[StudentFile]
) -> None:
    (first,) = peer.assign(students[0].assigned())
    # A self-test that would fail shows that none is run.
    (second,) = peer.assign(students[0].assigned(error=0.1))
    assert second.self_test_passed
    assert (second.speed, second.load_seconds < 0.01) == (first.speed, True)
    peer.abort(grpc.StatusCode.UNAVAILABLE, "the aggregator is restarted")
    again = aggregator.accept()
    again.send(welcome=nonn_pb2.Welcome(protocol_version=PROTOCOL_VERSION, ping_seconds=60.0, window=2))
    assert all(one.self_test_passed for one in again.assign(students[0].assigned(error=0.1)))


def test_speed_is_measured_and_kept(
    aggregator: ScriptedAggregator, device: StartDevice, students: list[StudentFile]
) -> None:
    one = device()
    peer = aggregator.accept()
    assert peer.hello.speed == 0.0
    (ready,) = peer.serve(students[0])
    assert 0 < ready.speed < 1e3
    one.stop()
    peer.expect("leaving")
    peer.close()
    one.join()
    device()
    assert aggregator.accept().hello.speed == pytest.approx(ready.speed, rel=1e-3)


def test_an_unknown_cost_is_an_unknown_speed(peer: Peer, students: list[StudentFile]) -> None:
    assigned = students[0].assigned()
    assigned.multiply_adds = 0
    (ready,) = peer.assign(assigned)
    assert (ready.self_test_passed, ready.speed) == (True, 0.0)
    assigned.multiply_adds = 2**64 - 1
    assert peer.assign(assigned)[0].self_test_passed


def test_what_cannot_fit_is_neither_fetched_nor_loaded(
    aggregator: ScriptedAggregator, device: StartDevice, students: list[StudentFile]
) -> None:
    device(memory_megabytes=4)
    peer = aggregator.accept()
    huge = students[0].assigned()
    huge.bytes = 5_000_000
    absurd = students[1].assigned()
    absurd.bytes = 2**64 - 1
    peer.serve()
    readies = peer.assign(huge, absurd, students[2].assigned())
    assert [one.self_test_passed for one in readies] == [False, False, True]
    assert "needs about 21.1 MB, and with the 0 MB of the students here" in readies[0].error
    assert aggregator.fetched == [students[2].digest]


def test_what_finds_no_free_memory_is_not_fetched_until_there_is_some(
    aggregator: ScriptedAggregator, peer: Peer, students: list[StudentFile], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hosting, "available_memory", lambda: 41_000_000)
    (refused,) = peer.assign(students[0].assigned())
    assert "needs about 41.1 MB, and 41 MB are free here" in refused.error, "with ONNX Runtime, which is new"
    assert aggregator.fetched == []
    monkeypatch.setattr(hosting, "available_memory", lambda: 50_000_000)
    assert peer.assign(students[0].assigned())[0].self_test_passed
    monkeypatch.setattr(hosting, "available_memory", lambda: 2_000_000)
    assert peer.assign() == []
    assert peer.assign(students[1].assigned())[0].self_test_passed, "ONNX Runtime is there by now"


def test_no_more_than_so_many_students(peer: Peer, students: list[StudentFile]) -> None:
    many = []
    for index in range(258):
        many.append(students[0].assigned())
        many[-1].student = index
    readies = peer.assign(*many)
    assert [one.self_test_passed for one in readies] == [True] * 256 + [False] * 2
    assert "takes no more" in readies[-1].error
