"""The commands as a user runs them: output, one line for each failure, exit codes."""

import json
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bundle import Bundle
from fault_lab.local_cluster import LocalCluster
from tests.end_to_end.offline import Offline
from tests.end_to_end.small_bundle import random_images

pytestmark = pytest.mark.slow


def nonn(*arguments: str | Path, state: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = None if state is None else {"XDG_STATE_HOME": str(state), "PATH": ""}
    return subprocess.run(
        [sys.executable, "-m", "nonn", *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        env=environment,
        check=False,
    )


def last_line(result: subprocess.CompletedProcess[str]) -> str:
    assert "Traceback" not in result.stderr
    return result.stderr.strip().splitlines()[-1]


@pytest.fixture(scope="module")
def small_cluster(bundle: Bundle) -> Iterator[LocalCluster]:
    with LocalCluster(bundle.path, 3) as cluster:
        yield cluster


@pytest.fixture
def nobody() -> Iterator[str]:
    """An address at which nobody listens, and nobody can start to."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{held.getsockname()[1]}"


def test_a_port_in_use(small_cluster: LocalCluster, bundle: Bundle) -> None:
    result = nonn("aggregator", "--bundle", bundle.path, "--listen", small_cluster.address)
    assert result.returncode == 9
    assert small_cluster.address in last_line(result)
    assert result.stderr.count("\n") == 1


def test_a_damaged_bundle(bundle: Bundle, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged"
    shutil.copytree(bundle.path, damaged)
    student = damaged / "students" / "student-3.onnx"
    student.write_bytes(student.read_bytes()[:-1])
    result = nonn("aggregator", "--bundle", damaged, "--listen", "127.0.0.1:0")
    assert result.returncode == 6
    assert "student-3.onnx" in last_line(result)
    assert result.stderr.count("\n") == 1
    assert result.stdout == ""


def test_a_device_gives_up_when_told_to(nobody: str, tmp_path: Path) -> None:
    result = nonn("device", "--aggregator", nobody, "--give-up", "0.5", state=tmp_path)
    assert result.returncode == 10
    assert nobody in last_line(result)


def test_a_device_name_in_use(small_cluster: LocalCluster) -> None:
    arguments = ["device", "--aggregator", small_cluster.address, "--name", "device-0"]
    result = nonn(*arguments, state=small_cluster.folder / "state")
    assert result.returncode == 8
    assert result.stderr.count("\n") == 1


def test_another_machine_without_insecure(bundle: Bundle, tmp_path: Path) -> None:
    listen = nonn("aggregator", "--bundle", bundle.path, "--listen", "0.0.0.0:0")
    dial = nonn("device", "--aggregator", "192.0.2.1:7560", state=tmp_path)
    for result in (listen, dial):
        assert result.returncode == 2
        assert "--insecure" in last_line(result)


@pytest.mark.parametrize("command", [["status"], ["predict", "PICTURE"]])
def test_a_client_whom_nobody_answers(command: list[str], nobody: str, tmp_path: Path) -> None:
    picture = tmp_path / "picture.png"
    Image.fromarray(random_images(1, 0)[0, :, :, 0]).save(picture)
    result = nonn(*[word.replace("PICTURE", str(picture)) for word in command], "--aggregator", nobody)
    assert result.returncode == 10
    assert result.stderr.count("\n") == 1
    assert nobody in last_line(result)


def test_predict_names_the_class(small_cluster: LocalCluster, offline: Offline, tmp_path: Path) -> None:
    images = random_images(3, seed=4)
    paths = []
    for index, image in enumerate(images):
        paths.append(tmp_path / f"{index}.png")
        Image.fromarray(image[:, :, 0]).save(paths[-1])
    result = nonn("predict", "--aggregator", small_cluster.address, *paths)
    assert result.returncode == 0, result.stderr
    for label in np.array(offline.bundle.manifest.labels)[offline.logits(images, offline.everyone).argmax(1)]:
        assert label in result.stdout


def test_an_image_that_is_none(small_cluster: LocalCluster, tmp_path: Path) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"\x89PNG nothing")
    result = nonn("predict", "--aggregator", small_cluster.address, broken)
    assert result.returncode == 4
    assert "broken.png" in last_line(result)


def test_status_names_everyone(small_cluster: LocalCluster) -> None:
    result = nonn("status", "--aggregator", small_cluster.address)
    assert result.returncode == 0, result.stderr
    for index in range(3):
        assert f"device-{index}" in result.stdout
    assert "small" in result.stdout


def test_status_for_programs(small_cluster: LocalCluster) -> None:
    result = nonn("status", "--aggregator", small_cluster.address, "--json")
    assert result.returncode == 0, result.stderr
    assert len(json.loads(result.stdout)["devices"]) == 3
