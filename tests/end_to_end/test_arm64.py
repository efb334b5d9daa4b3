"""arm64 devices beside x86 ones: the same Dockerfile, real aarch64 wheels, a Raspberry Pi 4's instructions.

The processor is emulated. What it computes is what the board computes; how long it takes says nothing.
"""

import contextlib
import json
import os
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from aggregator import wire
from bundle import Bundle
from bundle.manifest import Precision, digest
from device_node.students import Student
from fault_lab.containers import engine
from fault_lab.containers.engine import docker
from nonn import Client
from nonn.cli import main
from nonn.cluster_status import ClusterStatus, DeviceStatus
from nonn.errors import NonnError
from protos import nonn_pb2, tensors
from student_builder.data import load_data
from tests.containers import ARM64_BASE_IMAGE, needs_arm64
from tests.device_node.scripted import Peer, ScriptedAggregator
from tests.end_to_end.offline import Offline

pytestmark = [pytest.mark.slow, pytest.mark.heavy, needs_arm64]

ROOT = Path(__file__).resolve().parents[2]
IMAGE, PROJECT = "nonn-arm64", "nonn-arm64-test"
PATIENCE = 300.0  # seconds, for anything that is emulated
BUILD_SECONDS = 1800.0
RUN = ("run", "--init", "--read-only", "--tmpfs", "/tmp", "--tmpfs", "/state:uid=10001")
STUDENTS, MEGABYTES = 8, 200
Images = NDArray[np.uint8]


@pytest.fixture(scope="module", autouse=True)
def arm64_image() -> None:
    docker(
        *("build", "--quiet", "--build-arg", f"BASE={ARM64_BASE_IMAGE}", "--tag", IMAGE, str(ROOT)),
        seconds=BUILD_SECONDS,
    )


@pytest.fixture(scope="module")
def digits() -> Bundle:
    return Bundle.load(ROOT / "samples/digits")


@pytest.fixture(scope="module")
def images() -> Images:
    """More than a device computes at once."""
    return load_data("digits").test_images[:40]


def test_a_device_is_installed_without_a_compiler_and_stays_small() -> None:
    script = "uname -m; command -v cc gcc c++ make; du -sm /opt/nonn; nonn --version"
    told = docker(*RUN, "--rm", "--entrypoint", "sh", IMAGE, "-c", script, seconds=PATIENCE).splitlines()
    assert told[0] == "aarch64"
    assert int(told[1].split()[0]) < MEGABYTES, "a compiler, or more than a device needs"
    assert told[2].startswith("nonn ")


# ---- partial logits


@pytest.fixture(scope="module")
def twins(digits: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    path = tmp_path_factory.mktemp("int8") / "digits"
    assert main(["quantize", str(digits.path), "--output", str(path), "--max-drop", "3"]) == 0
    return Bundle.load(path)


@pytest.fixture
def board() -> Iterator[tuple[ScriptedAggregator, Peer]]:
    """A device in an arm64 container, as its aggregator hears it. It takes int8 where there is int8."""
    aggregator = ScriptedAggregator(patience=PATIENCE)
    options = ("device", "--aggregator", aggregator.address, "--precision", "int8")
    container = docker(*RUN, "--detach", "--network", "host", IMAGE, *options)
    try:
        yield aggregator, aggregator.accept()
    finally:
        docker("rm", "--force", container)
        aggregator.close()


def partials_of(peer: Peer, bundle: Bundle, images: Images) -> dict[int, NDArray[np.float32]]:
    """What the device answers, student by student."""
    peer.work(images, bundle=bundle.manifest.id, budget=PATIENCE)
    received = [peer.expect("partial") for _ in bundle.manifest.students]
    return {one.student: tensors.decode(one.logits, nonn_pb2.FLOAT32, 2) for one in received}


def computed_here(bundle: Bundle, precision: Precision, images: Images) -> dict[int, NDArray[np.float32]]:
    students = range(len(bundle.manifest.students))
    return {
        index: Student(bundle.student_bytes(index, precision), 1, precision).compute(images)
        for index in students
    }


def test_partial_logits_are_those_of_x86(
    board: tuple[ScriptedAggregator, Peer], digits: Bundle, twins: Bundle, images: Images
) -> None:
    aggregator, peer = board
    assert peer.hello.architecture == "aarch64"
    assert twins.manifest.twins == tuple(range(STUDENTS))
    fp32 = [(digits, index) for index in range(STUDENTS)]
    int8 = [(twins, index) for index in range(STUDENTS)]
    for bundle, precision in ((digits, "fp32"), (twins, "int8")):
        for index in range(STUDENTS):
            model = bundle.student_bytes(index, precision)
            aggregator.offer_model(digest(model), model)
    peer.serve(ping_seconds=PATIENCE)
    peer.forward(nonn_pb2.AggregatorMessage.FromString(wire.assignment(1, fp32 + int8, 0.0)))
    ready = [peer.expect("ready") for _ in fp32 + int8]
    assert {one.error for one in ready} == {""}
    precisions = {(one.bundle_id, one.precision) for one in ready}
    assert precisions == {(digits.manifest.id, nonn_pb2.FP32), (twins.manifest.id, nonn_pb2.INT8)}

    there, here = partials_of(peer, digits, images), computed_here(digits, "fp32", images)
    assert there.keys() == here.keys()
    for index, logits in here.items():
        np.testing.assert_allclose(there[index], logits, rtol=0, atol=1e-5)

    there, here = partials_of(peer, twins, images), computed_here(twins, "int8", images)
    for index, logits in here.items():
        np.testing.assert_array_equal(there[index].argmax(axis=1), logits.argmax(axis=1))
    merged = [twins.merger.merge(partials).argmax(axis=1) for partials in (there, here)]
    np.testing.assert_array_equal(*merged)


# ---- one cluster of both


@pytest.fixture(scope="module")
def cluster(digits: Bundle, lab_image: str) -> Iterator[Client]:
    """Two x86 devices and two arm64 ones, which serve two students each."""
    files = ("-f", str(ROOT / "docker-compose.yml"), "-f", str(Path(__file__).with_name("arm64.yml")))
    settings = {"BUNDLE": str(digits.path), "LISTEN": "127.0.0.1:0", "IMAGE": lab_image}

    def compose(*arguments: str) -> str:
        return docker("compose", *files, "-p", PROJECT, *arguments, seconds=PATIENCE, environment=settings)

    engine.remove(PROJECT)
    try:
        compose("up", "--detach", "--no-build")
        with Client(compose("port", "aggregator", "7560")) as client:
            yield client
    finally:
        engine.remove(PROJECT)


def wait_until(reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        with contextlib.suppress(NonnError):
            if reached():
                return
        time.sleep(0.5)
    raise AssertionError(f"not reached within {PATIENCE:g} s")


def served(status: ClusterStatus) -> set[int]:
    return {student.student for student in status.students if student.device_ids}


def boards(status: ClusterStatus) -> list[DeviceStatus]:
    """Those that serve. Each one's name begins the id of its container."""
    devices = (device for device in status.devices if device.state == "serving")
    return [device for device in devices if device.architecture == "aarch64"]


def wait_until_whole(client: Client) -> None:
    wait_until(lambda: len(served(client.status())) == STUDENTS)


def test_a_board_is_lost_and_comes_back(cluster: Client, digits: Bundle, images: Images) -> None:
    offline = Offline(digits)
    wait_until_whole(cluster)
    status = cluster.status()
    assert sorted(device.architecture for device in status.devices) == ["aarch64"] * 2 + ["x86_64"] * 2
    offline.check(cluster.predict(images, deadline=PATIENCE, strict=True), images)

    lost = boards(status)[0]
    docker("kill", lost.name)
    wait_until(lambda: served(cluster.status()) == offline.everyone - set(lost.serving))
    answer = cluster.predict(images, deadline=PATIENCE)
    assert set(answer.missing) == set(lost.serving)
    offline.check(answer, images)

    docker("start", lost.name)
    wait_until_whole(cluster)
    back = {device.device_id: set(device.serving) for device in boards(cluster.status())}
    assert back[lost.device_id] == set(lost.serving)
    offline.check(cluster.predict(images, deadline=PATIENCE, strict=True), images)


# ---- the doctor


def test_the_doctor_finds_a_board_fit(cluster: Client) -> None:
    wait_until_whole(cluster)
    options = ("--aggregator", "aggregator:7560", "--insecure", "--bundle", "/bundle", "--json")
    container = boards(cluster.status())[0].name
    # docker() raises unless the exit code is 0.
    document = json.loads(docker("exec", container, "nonn", "doctor", *options, seconds=PATIENCE))
    found = {finding["kind"]: finding for finding in document["findings"]}
    problems = [finding for finding in document["findings"] if finding["verdict"] == "problem"]
    assert (document["exit_code"], problems) == (0, [])
    assert "64-bit aarch64" in found["system"]["text"]
    for word in ("Cortex-A72", "asimd", "no dot products"):
        assert word in found["processor"]["text"]
    assert f"passes the self-test of {STUDENTS} students" in found["runtime"]["text"]
    assert f"{STUDENTS} of {STUDENTS} fit" in found["memory"]["text"]
    for kind in ("python", "memory", "disk", "network"):
        assert found[kind]["verdict"] == "ok"


def test_the_doctor_survives_a_runtime_that_the_processor_cannot_run(tmp_path: Path) -> None:
    """ONNX Runtime 1.21.0 dies of an illegal instruction on a Raspberry Pi 4, and does so here."""
    platform = ("--platform", "manylinux_2_28_aarch64", "--python-version", "3.11")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
    wheel = [*command, *platform, "--dest", str(tmp_path), "onnxruntime==1.21.0"]
    subprocess.run(wheel, check=True, timeout=PATIENCE)
    older = tmp_path / "older"
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as archive:
        archive.extractall(older)
    environment = ("--env", "PYTHONPATH=/older", "--volume", f"{older}:/older:ro")
    done = subprocess.run(
        ["docker", *RUN, "--rm", *environment, IMAGE, "doctor", "--json"],
        env=os.environ,
        capture_output=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 33, done.stderr
    (found,) = (one for one in json.loads(done.stdout)["findings"] if one["kind"] == "runtime")
    assert "1.21.0 died of SIGILL" in found["text"]
