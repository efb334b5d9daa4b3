"""A device against a scripted aggregator: joining, fetching, proving its students, staying joined."""

import math
import platform
from collections.abc import Callable
from pathlib import Path

import grpc
import numpy as np
import pytest

from device_node import AggregatorUnreachable, ProtocolMismatch
from device_node.connection import longest_silence
from protos import PROTOCOL_VERSION, nonn_pb2, tensors
from tests.device_node.graphs import StudentFile, make_student, some_images, student_model
from tests.device_node.scripted import WAIT, RunningDevice, ScriptedAggregator

StartDevice = Callable[..., RunningDevice]


def welcome(ping_seconds: float = 60.0, version: int = PROTOCOL_VERSION) -> nonn_pb2.Welcome:
    return nonn_pb2.Welcome(protocol_version=version, ping_seconds=ping_seconds, window=2)


def test_hello_says_who_the_device_is(aggregator: ScriptedAggregator, device: StartDevice) -> None:
    device(name="kitchen", memory_megabytes=300)
    hello = aggregator.accept().hello
    assert (hello.name, hello.protocol_version, hello.architecture) == (
        "kitchen",
        PROTOCOL_VERSION,
        platform.machine(),
    )
    assert hello.memory_bytes == 300_000_000
    assert hello.cores >= 1
    assert len(hello.device_id) == 32


def test_fetches_proves_and_serves_students(aggregator: ScriptedAggregator, device: StartDevice) -> None:
    first, second = make_student(0), make_student(3)
    aggregator.offer(first, second)
    device()
    peer = aggregator.accept()
    readies = peer.serve(first, second)
    assert [(ready.student, ready.self_test_passed, ready.error) for ready in readies] == [
        (0, True, ""),
        (3, True, ""),
    ]
    images = some_images(6)
    peer.work(images, number=41)
    for student in (first, second):
        partial = peer.expect("partial")
        assert (partial.work_id, partial.student, partial.bundle_id) == (41, student.index, "b" * 64)
        logits = tensors.decode(partial.logits, nonn_pb2.FLOAT32, 2)
        np.testing.assert_allclose(logits, student.logits(images), rtol=1e-4, atol=1e-3)
        assert partial.compute_seconds > 0


def test_a_restarted_device_is_the_same_and_fetches_nothing(
    aggregator: ScriptedAggregator, device: StartDevice
) -> None:
    student = make_student(0)
    aggregator.offer(student)
    one = device()
    peer = aggregator.accept()
    peer.serve(student)
    one.stop()
    assert peer.expect("leaving").reason
    peer.close()
    assert one.join() is None
    device()
    again = aggregator.accept()
    assert again.hello.device_id == peer.hello.device_id
    assert list(again.hello.cached_digests) == [student.digest]
    assert again.serve(student)[0].self_test_passed
    assert aggregator.fetched == [student.digest]


def test_a_damaged_cached_student_is_fetched_again(
    aggregator: ScriptedAggregator, device: StartDevice, tmp_path: Path
) -> None:
    student = make_student(0)
    aggregator.offer(student)
    folder = tmp_path / "state" / "students"
    folder.mkdir(parents=True)
    cached = folder / f"{student.digest}.onnx"
    cached.write_bytes(student.model[:-1] + b"?")
    device()
    assert aggregator.accept().serve(student)[0].self_test_passed
    assert aggregator.fetched == [student.digest]
    assert cached.read_bytes() == student.model


@pytest.mark.parametrize(
    ("chunks", "complaint"),
    [
        ([b""] * 1_000_000, "stalled"),
        ([b"not it"], "6 bytes were fetched"),
        ([b"x" * 100_000] * 50, "bytes were fetched"),
        ([], "0 bytes"),
        (None, "NOT_FOUND"),
    ],
)
def test_wrong_bytes_are_never_loaded_nor_kept(
    aggregator: ScriptedAggregator,
    device: StartDevice,
    tmp_path: Path,
    chunks: list[bytes] | None,
    complaint: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("device_node.fetch._STALL_SECONDS", 0.5)
    student = make_student(0)
    if chunks is not None:
        aggregator.files[student.digest] = chunks
    device()
    (ready,) = aggregator.accept().serve(student)
    assert not ready.self_test_passed
    assert complaint in ready.error
    assert not list((tmp_path / "state" / "students").iterdir())


def test_no_path_from_the_network_is_used(
    aggregator: ScriptedAggregator, device: StartDevice, tmp_path: Path
) -> None:
    student = make_student(0)
    escape = StudentFile(0, student.model, student.weights, digest="../../../escaped")
    aggregator.offer(escape)
    device()
    (ready,) = aggregator.accept().serve(escape)
    assert "no sha256" in ready.error
    assert not aggregator.fetched
    assert not list(tmp_path.rglob("*escaped*"))


def test_a_failed_self_test_is_reported_and_not_served(
    aggregator: ScriptedAggregator, device: StartDevice
) -> None:
    good, bad = make_student(0), make_student(1)
    aggregator.offer(good, bad)
    device()
    peer = aggregator.accept()
    peer.send(welcome=welcome())
    readies = peer.assign(bad.assigned(error=0.01), good.assigned(error=0.0005))
    assert {ready.student: ready.self_test_passed for ready in readies} == {0: True, 1: False}
    assert "self-test is off by 0.01" in next(ready.error for ready in readies if ready.student == 1)
    peer.work(some_images(1))
    assert peer.expect("partial").student == 0
    peer.work(some_images(1), number=2)
    assert peer.expect("partial").work_id == 2  # and nothing of student 1 in between


def test_a_file_that_is_no_model_is_reported(aggregator: ScriptedAggregator, device: StartDevice) -> None:
    junk = StudentFile(0, b"these are not the weights", student_model(0)[1])
    aggregator.offer(junk)
    device()
    (ready,) = aggregator.accept().serve(junk)
    assert not ready.self_test_passed
    assert "ONNX Runtime cannot load it" in ready.error


def test_reconnects_with_its_students_still_loaded(
    aggregator: ScriptedAggregator, device: StartDevice, tmp_path: Path
) -> None:
    student = make_student(0)
    aggregator.offer(student)
    device()
    peer = aggregator.accept()
    peer.serve(student)
    aggregator.files.clear()
    (tmp_path / "state" / "students" / f"{student.digest}.onnx").unlink()
    peer.abort(grpc.StatusCode.UNAVAILABLE, "the aggregator is restarted")
    again = aggregator.accept()
    assert again.serve(student)[0].self_test_passed
    assert aggregator.fetched == [student.digest]


def test_an_aggregator_without_pings_is_left(aggregator: ScriptedAggregator, device: StartDevice) -> None:
    device()
    peer = aggregator.accept()
    peer.send(welcome=welcome(ping_seconds=0.05))
    assert aggregator.accept() is not peer
    assert peer.ended.wait(WAIT)


def test_pings_keep_the_stream(aggregator: ScriptedAggregator, device: StartDevice) -> None:
    device()
    peer = aggregator.accept()
    peer.send(welcome=welcome(ping_seconds=1.0))
    for sequence in range(20):
        peer.send(ping=nonn_pb2.Ping(sequence=sequence))
        assert peer.expect("pong").sequence == sequence


def test_a_stream_without_welcome_is_left(aggregator: ScriptedAggregator, device: StartDevice) -> None:
    device()
    peer = aggregator.accept()
    peer.send(ping=nonn_pb2.Ping(sequence=1))
    assert aggregator.accept() is not peer


def test_another_protocol_version_ends_the_device(
    aggregator: ScriptedAggregator, device: StartDevice
) -> None:
    one = device()
    details = "protocol version 1 is not spoken here: version 2 is"
    aggregator.accept().abort(grpc.StatusCode.FAILED_PRECONDITION, details)
    error = one.join()
    assert isinstance(error, ProtocolMismatch)
    assert error.exit_code == 12
    assert details in str(error)


def test_another_version_in_the_welcome_ends_the_device(
    aggregator: ScriptedAggregator, device: StartDevice
) -> None:
    one = device()
    aggregator.accept().send(welcome=welcome(version=7))
    assert isinstance(one.join(), ProtocolMismatch)


def test_other_refusals_are_tried_again(aggregator: ScriptedAggregator, device: StartDevice) -> None:
    device()
    aggregator.accept().abort(grpc.StatusCode.PERMISSION_DENIED, "not on the list")
    aggregator.accept().send(welcome=welcome())


@pytest.mark.parametrize(
    ("ping", "silence"),
    [(1.0, 5.0), (0.0, 300.0), (-1.0, 300.0), (math.nan, 300.0), (math.inf, 300.0), (1e-9, 0.1)],
)
def test_how_long_an_aggregator_may_be_silent(ping: float, silence: float) -> None:
    assert longest_silence(ping) == pytest.approx(silence)


def test_a_name_that_does_not_resolve_is_said_plainly(
    device: StartDevice, caplog: pytest.LogCaptureFixture
) -> None:
    error = device(aggregator="nowhere.invalid:7560", insecure=True, give_up_seconds=0.3).join()
    assert isinstance(error, AggregatorUnreachable)
    assert "]" not in str(error)


def test_what_the_aggregator_says_stays_one_line(
    aggregator: ScriptedAggregator, device: StartDevice, caplog: pytest.LogCaptureFixture
) -> None:
    device()
    aggregator.accept().abort(grpc.StatusCode.INTERNAL, "fine\n12:00 device has left\x1b[2J" + "x" * 1000)
    aggregator.accept()
    assert all(record.getMessage().isprintable() for record in caplog.records)
    assert max(len(record.getMessage()) for record in caplog.records) < 500


def test_gives_up_when_told_to(device: StartDevice) -> None:
    error = device(aggregator="127.0.0.1:1", give_up_seconds=0.3).join()
    assert isinstance(error, AggregatorUnreachable)
    assert error.exit_code == 10
    assert "127.0.0.1:1" in str(error)


def test_stops_while_nobody_is_there(device: StartDevice) -> None:
    one = device(aggregator="127.0.0.1:1")
    one.stop()
    assert one.join() is None
