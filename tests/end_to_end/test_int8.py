"""From `nonn quantize` to a cluster that answers in int8: real twins, real processes."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from bundle import Bundle
from fault_lab.local_cluster import LocalCluster
from nonn import Client
from nonn.cli import main
from nonn.faults.laboratory import sample
from tests.end_to_end.offline import Offline

pytestmark = pytest.mark.slow

IMAGES = 64
SAME_CLASS = 0.95  # of the images; the bundle's int8 accuracy is within 3 points of fp32 (--max-drop)


@pytest.fixture(scope="module")
def quantized(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    folder = tmp_path_factory.mktemp("quantized") / "digits"
    assert main(["quantize", str(sample()), "--output", str(folder), "--max-drop", "3"]) == 0
    return Bundle.load(folder)


@pytest.fixture(scope="module")
def images() -> NDArray[np.uint8]:
    """Real digits, as the bundle takes them."""
    from student_builder.data import load_data

    test = load_data("digits").test_images[:IMAGES]
    assert len(test) == IMAGES
    return np.asarray(test)


def served(bundle: Bundle, folder: Path, precision: str) -> LocalCluster:
    return LocalCluster(bundle.path, 2, folder=folder, device_options=["--precision", precision])


def test_a_cluster_told_to_answers_in_int8(
    quantized: Bundle, images: NDArray[np.uint8], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    twins = quantized.manifest.twins
    assert twins
    with served(quantized, tmp_path, "int8") as cluster, Client(cluster.address) as client:
        answer = client.predict(images, 30.0, policy="all")
        status = client.status()
        assert main(["status", "--aggregator", cluster.address]) == 0
    assert sorted(student for device in status.devices for student in device.int8) == sorted(twins)
    assert "int8" in capsys.readouterr().out
    offline = Offline(quantized)
    exact = offline.logits(images, offline.everyone)
    tolerance = sum(student.int8.tolerance for student in quantized.manifest.students if student.int8)
    assert 0 < np.abs(answer.logits - exact).max() <= tolerance, "int8, and as near as the self-tests ask for"
    assert (answer.logits.argmax(axis=1) == exact.argmax(axis=1)).mean() >= SAME_CLASS
    assert answer.expected_accuracy == pytest.approx(quantized.expected_accuracy(offline.everyone, twins))


def test_left_to_itself_each_student_is_in_the_precision_that_status_tells(
    quantized: Bundle, images: NDArray[np.uint8], tmp_path: Path
) -> None:
    with served(quantized, tmp_path, "auto") as cluster, Client(cluster.address) as client:
        answer = client.predict(images, 30.0, policy="all")
        status = client.status()
    offline = Offline(quantized)
    exact = offline.logits(images, offline.everyone)
    chosen = {student for device in status.devices for student in device.int8}
    assert chosen <= set(quantized.manifest.twins)
    entries = (quantized.manifest.students[student].int8 for student in chosen)
    tolerance = 1e-4 + sum(twin.tolerance for twin in entries if twin)
    assert np.abs(answer.logits - exact).max() <= tolerance
    assert (answer.logits.argmax(axis=1) == exact.argmax(axis=1)).mean() >= SAME_CLASS
