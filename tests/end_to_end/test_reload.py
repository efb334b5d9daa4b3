"""A running cluster of processes changes its bundle while clients ask, and keeps what it has when it must."""

import shutil
import threading
from pathlib import Path

import pytest

from bundle import Bundle, BundleError
from fault_lab.local_cluster import LocalCluster
from nonn import Answer, Client
from nonn.cli import main
from nonn.errors import RequestRefused
from tests.end_to_end.offline import Offline
from tests.end_to_end.small_bundle import random_images, write_small_bundle

pytestmark = pytest.mark.slow

IMAGES = random_images(5, seed=9)


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return write_small_bundle(tmp_path_factory.mktemp("other") / "small", seed=1)


def test_clients_are_answered_all_along_by_one_bundle_or_the_other(
    cluster: LocalCluster, offline: Offline, other: Bundle, capsys: pytest.CaptureFixture[str]
) -> None:
    stop = threading.Event()
    answers: list[Answer] = []
    refusals: list[RequestRefused] = []

    def ask() -> None:
        with Client(cluster.address) as client:
            while not stop.is_set():
                try:
                    answers.append(client.predict(IMAGES, deadline=10))
                except RequestRefused as refusal:  # the bundle changed between request and answer
                    refusals.append(refusal)
            answers.append(client.predict(IMAGES, deadline=10))

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        assert main(["reload", str(other.path), "--aggregator", cluster.address]) == 0
    finally:
        stop.set()
        asking.join(timeout=30)
    expected = (
        f"8 devices serve bundle {other.manifest.id[:12]}, instead of {offline.bundle.manifest.id[:12]}\n"
    )
    assert capsys.readouterr().out == expected
    judges = {judge.bundle.manifest.id: judge for judge in (offline, Offline(other))}
    for answer in answers:
        judges[answer.bundle].check(answer, IMAGES)
        assert not answer.missing
    assert answers[0].bundle == offline.bundle.manifest.id
    assert answers[-1].bundle == other.manifest.id
    assert {refusal.code for refusal in refusals} <= {"ABORTED"}
    with Client(cluster.address) as client:
        assert client.status().staged_bundle == ""


def test_devices_that_cannot_run_it_keep_the_cluster_as_it_was(
    cluster: LocalCluster, offline: Offline, tmp_path: Path
) -> None:
    broken = write_small_bundle(tmp_path / "broken", seed=2, self_test_error=1.0)
    with Client(cluster.address) as client:
        with pytest.raises(RequestRefused, match="self-test is off by") as refusal:
            client.reload(broken.path)
        assert refusal.value.code == "FAILED_PRECONDITION"
        answer = client.predict(IMAGES, deadline=10)
        offline.check(answer, IMAGES)
        assert not answer.missing


def test_a_damaged_bundle_is_not_even_sent(other: Bundle, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged"
    shutil.copytree(other.path, damaged)
    (damaged / "merge.npz").write_bytes(b"no")
    with Client("127.0.0.1:1") as client, pytest.raises(BundleError, match=r"merge\.npz"):
        client.reload(damaged)
