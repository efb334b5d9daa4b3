"""From a benchmark on the board to what the aggregator shows: real processes, real students."""

import json
import signal
from pathlib import Path

import numpy as np
import onnx
import pytest

from bundle import Bundle, TwinContents, write_twins
from bundle.footprint import RUNTIME_BYTES
from device_node import StateFolder, benchmark
from device_node.figures import Figures, current_conditions
from fault_lab.local_cluster import LocalCluster
from nonn import Client
from nonn.cli import main
from tests.end_to_end.small_bundle import STUDENTS, random_images, write_small_bundle

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def twins(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """Twins of all students but the last. They are the same graphs under another name: as fast, as exact."""
    plain = write_small_bundle(tmp_path_factory.mktemp("twins") / "small")
    with_twin = range(STUDENTS - 1)
    return write_twins(
        plain,
        TwinContents(
            models={student: _renamed(plain.student_bytes(student)) for student in with_twin},
            tolerances=dict.fromkeys(with_twin, 0.01),
            partials={student: plain.self_test.partials[student] for student in with_twin},
            accuracy=np.where(np.isnan(plain.accuracy), np.nan, plain.accuracy * np.float32(0.9)),
        ),
    )


def _renamed(model: bytes) -> bytes:
    graph = onnx.load_from_string(model)
    graph.graph.name = "twin"
    return graph.SerializeToString()


def test_every_student_is_measured_and_the_device_goes_by_it(
    twins: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--threads", "1,2", "--batches", "4", "--seconds", "0.02", "--state", str(tmp_path / "state")]
    assert main(["benchmark-device", str(twins.path), *options, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["bundle"] == twins.manifest.id
    assert len(document["students"]) == 2 * STUDENTS - 1
    figures = Figures(tmp_path / "state", current_conditions())
    for student in document["students"]:
        assert student["peak_bytes"] > 20e6, "Python, numpy and ONNX Runtime alone take more"
        measured = {(one["threads"], one["batch"]): one["milliseconds"] for one in student["measurements"]}
        assert measured.keys() == {(1, 1), (1, 4), (2, 1)}
        for threads in (1, 2):
            figure = figures.find(student["sha256"], threads)
            assert figure is not None
            assert figure.milliseconds == measured[threads, 1]["median"]
            assert figure.peak_bytes == student["peak_bytes"]


def test_it_tells_what_a_device_would_offer_to_students(
    twins: Bundle, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("device_node.machine.available_memory", lambda: 200_000_000)
    options = ["--students", "0", "--precision", "fp32", "--seconds", "0.01", "--no-save", "--json"]
    assert main(["benchmark-device", str(twins.path), *options]) == 0
    assert json.loads(capsys.readouterr().out)["memory_bytes"] == 200_000_000 - RUNTIME_BYTES


def test_the_table_names_every_student_it_was_asked_for(
    twins: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--students", "0,7", "--seconds", "0.01", "--no-save"]
    assert main(["benchmark-device", str(twins.path), *options]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line[:6] for line in lines if line[:1].isdigit()] == ["0 fp32", "0 int8", "7 fp32"]
    assert lines[-1] == "not kept"


def test_nothing_is_measured_beside_a_running_device(
    twins: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with StateFolder(tmp_path, "busy"):
        assert main(["benchmark-device", str(twins.path), "--state", str(tmp_path)]) == 8
    assert "stop it first" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--students", "8"], "no student 8"),
        (["--threads", "0"], "no positive"),
        (["--seconds", "0"], "no posi"),
    ],
)
def test_options_that_make_no_sense(
    twins: Bundle, options: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["benchmark-device", str(twins.path), "--no-save", *options]) == 2
    assert said in capsys.readouterr().err


def test_int8_is_not_measured_where_there_is_none(bundle: Bundle, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["benchmark-device", str(bundle.path), "--no-save", "--precision", "int8"]) == 2
    assert "nonn quantize" in capsys.readouterr().err


def test_a_student_that_answers_wrongly_here_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = write_small_bundle(tmp_path / "broken", self_test_error=1.0)
    options = ["--students", "0", "--seconds", "0.01", "--state", str(tmp_path / "state")]
    assert main(["benchmark-device", str(broken.path), *options]) == 1
    assert "student 0 in fp32 was not measured: its self-test is off by 1" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (-signal.SIGILL, "instruction"),
        (-signal.SIGKILL, "memory"),
        (-signal.SIGSEGV, "SIGSEGV"),
        (3, "code 3"),
    ],
)
def test_a_process_that_dies_is_explained(code: int, said: str) -> None:
    assert said in benchmark._why(code, "some\nlines")


def test_a_cluster_shows_what_its_devices_measured(
    twins: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with LocalCluster(twins.path, 2, folder=tmp_path, device_options=["--precision", "int8"]) as cluster:
        with Client(cluster.address) as client:
            status = client.status()
            answer = client.predict(random_images(2, seed=1))
        assert main(["status", "--aggregator", cluster.address]) == 0
        shown = capsys.readouterr().out
    assert sorted(s for device in status.devices for s in device.int8) == list(range(STUDENTS - 1))
    for device in status.devices:
        assert set(device.milliseconds) == set(device.serving)
        assert all(0 < value < 1000 for value in device.milliseconds.values())
    expected = twins.expected_accuracy(range(STUDENTS), range(STUDENTS - 1))
    assert (
        answer.expected_accuracy
        == pytest.approx(expected)
        != pytest.approx(twins.expected_accuracy(range(8)))
    )
    assert "int8" in shown
    assert " ms" in shown


def test_devices_of_a_laboratory_answer_in_fp32(twins: Bundle, tmp_path: Path) -> None:
    with LocalCluster(twins.path, 2, folder=tmp_path) as cluster, Client(cluster.address) as client:
        assert [device.int8 for device in client.status().devices] == [(), ()]
