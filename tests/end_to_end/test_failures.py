"""Real processes are killed, stopped and started again while requests come in."""

import os
import select
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bundle import Bundle
from fault_lab.local_cluster import LocalCluster, Status
from nonn import Answer, Client
from nonn.errors import RequestRefused
from protos import nonn_pb2
from tests.end_to_end.offline import Offline, students_of
from tests.end_to_end.small_bundle import random_images

pytestmark = pytest.mark.slow

KILLED = (1, 2, 4, 7)
IMAGES = random_images(5, seed=9)


def all_serve(status: Status) -> bool:
    return [device.state for device in status.devices] == [nonn_pb2.SERVING] * 8


def state_of(status: Status, name: str) -> int:
    return next((device.state for device in status.devices if device.name == name), 0)


def test_half_of_the_devices_die_in_mid_stream(cluster: LocalCluster, offline: Offline) -> None:
    before = cluster.status()
    gone = set().union(*(students_of(before, f"device-{index}") for index in KILLED))
    assert len(gone) == 4
    stop = threading.Event()

    def ask() -> list[Answer]:
        answers = []
        with Client(cluster.address) as client:
            while not stop.is_set():
                answers.append(client.predict(IMAGES, deadline=10))
            answers.append(client.predict(IMAGES, deadline=10))
        return answers

    with ThreadPoolExecutor(4) as pool:
        streams = [pool.submit(ask) for _ in range(4)]
        try:
            for index in KILLED:
                cluster.kill(index)
            names = {f"device-{index}" for index in range(8) if index not in KILLED}
            cluster.wait_until(lambda status: {device.name for device in status.devices} == names, 20)
        finally:
            stop.set()
        answers = [stream.result(timeout=30) for stream in streams]

    for stream in answers:
        for answer in stream:
            offline.check(answer, IMAGES)
        assert set(stream[-1].missing) == gone
    after = cluster.status()
    assert after.answered == sum(len(stream) for stream in answers)
    assert after.refused == 0
    assert after.expected_accuracy == pytest.approx(
        offline.bundle.expected_accuracy(offline.everyone - gone), abs=1e-6
    )


def test_a_whole_answer_is_the_merge_of_all_students(cluster: LocalCluster, offline: Offline) -> None:
    with Client(cluster.address) as client:
        answer = client.predict(IMAGES, deadline=10)
    assert not answer.degraded
    offline.check(answer, IMAGES)


def test_strict_requests_are_refused_while_a_device_is_lost_and_served_when_it_is_back(
    cluster: LocalCluster, offline: Offline
) -> None:
    lost = students_of(cluster.status(), "device-3")
    cluster.kill(3)
    cluster.wait_until(lambda status: len(status.devices) == 7, 20)
    with Client(cluster.address) as client:
        assert set(client.predict(IMAGES, deadline=10).missing) == lost
        with pytest.raises(RequestRefused) as refusal:
            client.predict(IMAGES, deadline=10, strict=True)
        assert refusal.value.code == "FAILED_PRECONDITION"

        cluster.restart(3)
        status = cluster.wait_until(all_serve, 30)
        assert students_of(status, "device-3") == lost
        answer = client.predict(IMAGES, deadline=10, strict=True)
    assert not answer.degraded
    offline.check(answer, IMAGES)


def test_a_device_that_hangs_is_not_waited_for_and_comes_back(
    cluster: LocalCluster, offline: Offline
) -> None:
    hung = students_of(cluster.status(), "device-5")
    cluster.pause(5)
    cluster.wait_until(lambda status: state_of(status, "device-5") == nonn_pb2.SUSPECT, 30)
    with Client(cluster.address) as client:
        # Twenty answers within one minute's deadline each: nobody waits for the hung device any more.
        for _ in range(20):
            answer = client.predict(IMAGES, deadline=60)
            assert set(answer.missing) == hung
            offline.check(answer, IMAGES)
        cluster.resume(5)
        cluster.wait_until(all_serve, 30)
        answer = client.predict(IMAGES, deadline=10)
    assert not answer.degraded
    offline.check(answer, IMAGES)


def test_an_aggregator_that_was_stopped_for_a_while_blames_nobody(
    cluster: LocalCluster, offline: Offline
) -> None:
    with Client(cluster.address) as client, ThreadPoolExecutor(4) as pool:
        client.predict(IMAGES, deadline=10)
        answers = [pool.submit(client.predict, IMAGES, 60) for _ in range(40)]
        cluster.aggregator.send(signal.SIGSTOP)
        try:
            assert not threading.Event().wait(4), "longer than devices may be silent"
        finally:
            cluster.aggregator.send(signal.SIGCONT)
        for future in answers:
            answer = future.result(timeout=60)
            assert not answer.degraded
            offline.check(answer, IMAGES)
    assert all_serve(cluster.status())


def test_devices_rejoin_an_aggregator_that_was_restarted(cluster: LocalCluster, offline: Offline) -> None:
    identities = {device.name: device.device_id for device in cluster.status().devices}
    cluster.restart_aggregator()
    status = cluster.wait_until(all_serve, 40)
    assert {device.name: device.device_id for device in status.devices} == identities
    with Client(cluster.address) as client:
        answer = client.predict(IMAGES, deadline=10, strict=True)
    offline.check(answer, IMAGES)


def test_two_devices_carry_all_students(bundle: Bundle, offline: Offline) -> None:
    with LocalCluster(bundle.path, 2) as cluster, Client(cluster.address) as client:
        answer = client.predict(IMAGES, deadline=10, strict=True)
        offline.check(answer, IMAGES)
        hosted = [len(device.serving) for device in cluster.status().devices]
    assert sum(hosted) == 8
    assert min(hosted) >= 1, "how many each has depends on the speeds that they measured"


def test_asked_to_stop_everyone_ends_in_good_order(cluster: LocalCluster) -> None:
    device = cluster.devices[0]
    device.send(signal.SIGTERM)
    assert device.wait(20) == 0
    cluster.wait_until(lambda status: len(status.devices) == 7, 20)
    cluster.aggregator.send(signal.SIGTERM)
    assert cluster.aggregator.wait(20) == 0


@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGINT])
def test_no_process_outlives_its_starter(ending: signal.Signals, bundle: Bundle, tmp_path: Path) -> None:
    program = f"""
import sys
from pathlib import Path
from fault_lab.local_cluster import LocalCluster
with LocalCluster(Path({str(bundle.path)!r}), 2, folder=Path({str(tmp_path)!r})) as cluster:
    print(*(process.pid for process in (cluster.aggregator, *cluster.devices)), flush=True)
    sys.stdin.read()
"""
    starter = subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with starter:
        assert starter.stdout is not None
        pids = [int(word) for word in starter.stdout.readline().split()]
        assert len(pids) == 3
        handles = [os.pidfd_open(pid) for pid in pids]
        starter.send_signal(ending)
    for handle in handles:
        assert ended(handle, 20)
        os.close(handle)


def ended(handle: int, seconds: float) -> bool:
    """A process's descriptor becomes readable when the process ends."""
    return bool(select.select([handle], [], [], seconds)[0])
