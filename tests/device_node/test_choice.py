"""fp32 or int8: by wish, by figures, or by trying both against a scripted aggregator."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device_node.choice import FASTER, WISHES, choose, files_of, int8_pays
from device_node.errors import SettingsError, StudentUnusable
from device_node.figures import Figure, Figures, current_conditions
from device_node.settings import DeviceSettings
from protos import nonn_pb2, tensors
from tests.device_node.graphs import StudentFile, make_student, some_images
from tests.device_node.scripted import Peer, RunningDevice, ScriptedAggregator

StartDevice = Callable[..., RunningDevice]
MILLISECONDS = st.none() | st.floats(0.01, 1000)
# The same logits, with so many large matrix products before them: what is slow is slow on any machine.
BUSY = 1


def with_twin(exact: StudentFile, twin: StudentFile, error: float = 0.0) -> nonn_pb2.AssignedStudent:
    """A student whose int8 twin is `twin`. error: how far off that finds its own self-test."""
    assigned = exact.assigned()
    logits = tensors.decode(assigned.self_test_logits, nonn_pb2.FLOAT32, 2) + error
    assigned.int8.CopyFrom(
        nonn_pb2.AssignedTwin(
            sha256=twin.digest,
            bytes=len(twin.model),
            self_test_logits=tensors.encode(logits),
            tolerance=0.05,
        )
    )
    return assigned


@pytest.fixture
def fast(aggregator: ScriptedAggregator) -> StudentFile:
    made = make_student(0)
    aggregator.offer(made)
    return made


@pytest.fixture
def slow(aggregator: ScriptedAggregator) -> StudentFile:
    made = make_student(0, busy=BUSY)
    aggregator.offer(made)
    return made


def join(aggregator: ScriptedAggregator, device: StartDevice, **settings: object) -> Peer:
    device(**settings)
    peer = aggregator.accept()
    peer.serve()
    return peer


def test_the_faster_twin_is_served(
    aggregator: ScriptedAggregator, device: StartDevice, fast: StudentFile, slow: StudentFile
) -> None:
    peer = join(aggregator, device)
    (ready,) = peer.assign(with_twin(slow, fast))
    assert (ready.self_test_passed, ready.precision) == (True, nonn_pb2.INT8)
    peer.work(some_images(1))
    assert peer.expect("partial").student == 0


def test_a_slower_twin_is_not(
    aggregator: ScriptedAggregator, device: StartDevice, fast: StudentFile, slow: StudentFile
) -> None:
    (ready,) = join(aggregator, device).assign(with_twin(fast, slow))
    assert (ready.self_test_passed, ready.precision) == (True, nonn_pb2.FP32)
    assert sorted(aggregator.fetched) == sorted([fast.digest, slow.digest])


def test_a_twin_that_fails_its_self_test_here_is_not_served(
    aggregator: ScriptedAggregator, device: StartDevice, fast: StudentFile, slow: StudentFile
) -> None:
    (ready,) = join(aggregator, device).assign(with_twin(slow, fast, error=0.1))
    assert (ready.self_test_passed, ready.precision) == (True, nonn_pb2.FP32)


@pytest.mark.parametrize("wish", ["auto", "int8"])
def test_a_twin_that_cannot_be_fetched_costs_nothing(
    aggregator: ScriptedAggregator, device: StartDevice, slow: StudentFile, wish: str
) -> None:
    (ready,) = join(aggregator, device, precision=wish).assign(with_twin(slow, make_student(5)))
    assert (ready.self_test_passed, ready.precision) == (True, nonn_pb2.FP32)


def test_without_room_for_both_they_are_not_compared(
    aggregator: ScriptedAggregator, device: StartDevice, fast: StudentFile, slow: StudentFile
) -> None:
    peer = join(aggregator, device, memory_megabytes=2)  # each takes 1.1 MB, about
    (ready,) = peer.assign(with_twin(slow, fast))
    assert (ready.self_test_passed, ready.precision) == (True, nonn_pb2.FP32)
    assert aggregator.fetched == [slow.digest]


@pytest.mark.parametrize("wish", ["auto", "int8"])
def test_where_the_twin_alone_has_room_it_is_served(
    aggregator: ScriptedAggregator, device: StartDevice, fast: StudentFile, slow: StudentFile, wish: str
) -> None:
    assigned = with_twin(fast, slow)
    assigned.bytes = 1_000_000  # says the aggregator
    (ready,) = join(aggregator, device, memory_megabytes=2, precision=wish).assign(assigned)
    assert (ready.self_test_passed, ready.precision) == (True, nonn_pb2.INT8)
    assert aggregator.fetched == [slow.digest]


def test_where_neither_has_room_the_student_is_refused(
    aggregator: ScriptedAggregator, device: StartDevice, fast: StudentFile, slow: StudentFile
) -> None:
    (ready,) = join(aggregator, device, memory_megabytes=1).assign(with_twin(slow, fast))
    assert not ready.self_test_passed
    assert "more than the 1 MB that students may use" in ready.error
    assert aggregator.fetched == []


def test_who_is_told_fp32_does_not_fetch_the_twin(
    aggregator: ScriptedAggregator, device: StartDevice, fast: StudentFile, slow: StudentFile
) -> None:
    (ready,) = join(aggregator, device, precision="fp32").assign(with_twin(slow, fast))
    assert ready.precision == nonn_pb2.FP32
    assert aggregator.fetched == [slow.digest]


def test_who_is_told_int8_serves_it_though_it_is_slower(
    aggregator: ScriptedAggregator, device: StartDevice, fast: StudentFile, slow: StudentFile
) -> None:
    peer = join(aggregator, device, precision="int8")
    (ready,) = peer.assign(with_twin(fast, slow))
    assert ready.precision == nonn_pb2.INT8
    assert aggregator.fetched == [slow.digest]


def test_a_device_that_has_figures_fetches_only_the_faster_one(
    aggregator: ScriptedAggregator,
    device: StartDevice,
    fast: StudentFile,
    slow: StudentFile,
    tmp_path: Path,
) -> None:
    (tmp_path / "state").mkdir()
    figures = Figures(tmp_path / "state", current_conditions())
    figures.keep({(slow.digest, 1): Figure(50.0), (fast.digest, 1): Figure(7.0)})
    peer = join(aggregator, device)
    (ready,) = peer.assign(with_twin(slow, fast))
    assert (ready.precision, ready.milliseconds) == (nonn_pb2.INT8, 7.0), (
        "what is known is not measured again"
    )
    assert aggregator.fetched == [fast.digest]


def test_what_was_measured_is_told_by_the_next_hello(
    aggregator: ScriptedAggregator, device: StartDevice, fast: StudentFile, slow: StudentFile
) -> None:
    first = device()
    peer = aggregator.accept()
    peer.serve()
    (ready,) = peer.assign(with_twin(slow, fast))
    first.stop()
    peer.close()
    first.join()
    device()
    measured = {one.sha256: one.milliseconds for one in aggregator.accept().hello.measured}
    assert measured.keys() == {fast.digest, slow.digest}
    assert measured[fast.digest] == ready.milliseconds < measured[slow.digest]


def test_a_twin_that_is_new_is_tried_though_the_student_is_served(
    aggregator: ScriptedAggregator, device: StartDevice, fast: StudentFile, slow: StudentFile
) -> None:
    peer = join(aggregator, device)
    assert peer.assign(slow.assigned())[0].precision == nonn_pb2.FP32
    assert peer.assign(with_twin(slow, fast))[0].precision == nonn_pb2.INT8


@settings(deadline=None)
@given(MILLISECONDS, MILLISECONDS, st.sampled_from(WISHES))
def test_fp32_is_always_there_to_fall_back_on(exact: float | None, twin: float | None, wish: str) -> None:
    files = files_of(with_twin(make_student(0), make_student(1)))
    known = {files[0].sha256: exact, files[1].sha256: twin}
    choice = choose(files, wish, known.__getitem__)  # type: ignore[arg-type]
    assert files[0] in choice.files
    assert choice.compare == (wish == "auto" and None in (exact, twin))
    if not choice.compare and wish == "auto" and exact and twin:
        assert (choice.files[0].precision == "int8") == (twin < FASTER * exact)
    assert wish != "fp32" or choice.files == files[:1]


def test_int8_has_to_be_clearly_faster() -> None:
    assert int8_pays(10.0, 8.9)
    assert not int8_pays(10.0, 9.1)
    assert not int8_pays(10.0, 20.0)


@pytest.mark.parametrize("tolerance", [0.0, -1.0, float("nan"), float("inf")])
def test_a_tolerance_that_would_let_anything_pass_is_refused(tolerance: float) -> None:
    assigned = with_twin(make_student(0), make_student(1))
    file = replace(files_of(assigned)[1], tolerance=tolerance)
    with pytest.raises(StudentUnusable, match="tolerance"):
        file.read_self_test(assigned.self_test_images)


def test_there_is_no_other_precision() -> None:
    with pytest.raises(SettingsError, match="auto, fp32, int8"):
        DeviceSettings(precision="int4")  # type: ignore[arg-type]
