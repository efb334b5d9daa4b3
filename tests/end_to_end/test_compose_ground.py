"""Faults that are done to containers, and that nothing of a cluster stays behind, however it ends."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from bundle import Bundle
from fault_lab.containers import engine
from fault_lab.containers.engine import docker
from fault_lab.grounds.compose import Compose
from fault_lab.scenario import AGGREGATOR, FAULTS, Injection, Scenario
from nonn import Client
from nonn.errors import NonnError
from tests.containers import needs_engine
from tests.end_to_end.offline import Offline
from tests.end_to_end.small_bundle import STUDENTS, random_images

pytestmark = [pytest.mark.slow, pytest.mark.heavy, needs_engine]

IMAGES = random_images(2, seed=6)
DEVICES = 4
NUMBERS = count()


def scenario(devices: int, *faults: dict[str, Any]) -> Scenario:
    table = {
        "name": "test",
        "base": Path.cwd(),
        "summary": "Of a test.",
        "seconds": 60,
        "cluster": {"devices": devices, "heal_after": "never"},
        "load": {"rate": 1},
        "fault": faults,
    }
    return Scenario.model_validate(table)


def injection(device: int, **fault: Any) -> Injection:
    target = {} if device == AGGREGATOR else {"target": f"device-{device}"}
    made = FAULTS[fault["type"]].model_validate({**target, "at": 0, **fault})
    return Injection(next(NUMBERS), made, device, 0.0, 1.0)


@pytest.fixture(scope="module")
def ground(bundle: Bundle, lab_image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Compose]:
    """With links, and devices that can be told to misbehave."""
    faults: list[dict[str, Any]] = [
        {"type": "reset_peer", "target": "all", "at": 0},
        {"type": "slow", "target": "all", "at": 0, "factor": 2},
    ]
    folder = tmp_path_factory.mktemp("compose")
    with Compose(scenario(DEVICES, *faults), bundle.path, folder=folder, seed=1, image=lab_image) as ground:
        yield ground
    assert engine.remains(ground.project) == {}


@pytest.fixture
def client(ground: Compose) -> Iterator[Client]:
    with Client(ground.address) as client:
        wait_until_whole(client)
        yield client


@contextlib.contextmanager
def during(ground: Compose, device: int, **fault: Any) -> Iterator[None]:
    one = injection(device, **fault)
    ground.begin(one)
    try:
        yield
    finally:
        ground.end(one)


def wait_until(reached: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with contextlib.suppress(NonnError):
            if reached():
                return
        time.sleep(0.1)
    raise AssertionError(f"not reached within {seconds} s")


def served(client: Client) -> set[int]:
    return {student.student for student in client.status().students if student.device_ids}


def wait_until_whole(client: Client) -> None:
    wait_until(lambda: served(client) == set(range(STUDENTS)))


def students_of(client: Client, name: str) -> set[int]:
    """Which ones is a race: they are dealt out as devices join."""
    found = {device.name: set(device.serving) for device in client.status().devices}[name]
    assert found
    return found


@pytest.mark.parametrize("fault", ["kill", "pause", "down"])
def test_a_device_is_lost_and_comes_back(
    fault: str, ground: Compose, client: Client, offline: Offline
) -> None:
    lost = students_of(client, "device-1")
    with during(ground, 1, type=fault):
        wait_until(lambda: served(client) == offline.everyone - lost)
        answer = client.predict(IMAGES, deadline=10)
        assert set(answer.missing) == lost
        offline.check(answer, IMAGES)
    wait_until_whole(client)
    offline.check(client.predict(IMAGES, deadline=10, strict=True), IMAGES)


def test_a_device_without_a_network_reaches_nobody(ground: Compose, client: Client) -> None:
    container = f"{ground.project}-device-2-1"
    with during(ground, 2, type="down"):
        assert docker("exec", container, "ls", "/sys/class/net") == "lo"
    assert docker("exec", container, "ls", "/sys/class/net") != "lo"
    wait_until_whole(client)


def test_a_restart_and_a_damaged_cache_leave_a_device_who_it_was(ground: Compose, client: Client) -> None:
    def devices() -> set[tuple[str, str]]:
        return {(device.name, device.device_id) for device in client.status().devices}

    before = devices()
    held = students_of(client, "device-3")
    ground.begin(injection(0, type="restart"))
    ground.begin(injection(3, type="damaged_cache"))
    wait_until_whole(client)
    assert devices() == before
    files = docker(
        "exec", f"{ground.project}-device-3-1", "sh", "-c", "sha256sum $(find /state -name '*.onnx')"
    )
    names = [line.split() for line in files.splitlines()]
    assert len(names) == len(held)
    assert all(Path(path).stem == digest for digest, path in names)


def test_latency_on_a_link(ground: Compose, client: Client) -> None:
    """A device that is later than it used to be is waited for a while, and then skipped."""
    late = students_of(client, "device-0")

    def seconds() -> float:
        started = time.monotonic()
        assert set(client.predict(IMAGES, deadline=10).missing) <= late
        return time.monotonic() - started

    assert seconds() < 0.2
    with during(ground, 0, type="latency", latency=1.0):
        wait_until(lambda: seconds() > 0.2, 5)
    wait_until(lambda: not client.predict(IMAGES, deadline=10).missing)


def test_connections_are_reset(ground: Compose, client: Client) -> None:
    def joined() -> int:
        return ground.last_words(2).count(") joined")

    before = joined()
    ground.begin(injection(2, type="reset_peer"))
    wait_until(lambda: joined() > before)
    wait_until_whole(client)


def test_answers_that_are_no_numbers_are_dropped(ground: Compose, client: Client, offline: Offline) -> None:
    before = client.status().dropped_messages
    lying = students_of(client, "device-1")
    with during(ground, 1, type="nan"):
        wait_until(lambda: set(client.predict(IMAGES, deadline=10).missing) == lying, 5)
        assert client.status().dropped_messages > before
    wait_until(lambda: not client.predict(IMAGES, deadline=10).missing, 5)
    offline.check(client.predict(IMAGES, deadline=10), IMAGES)


def test_the_aggregator_comes_back_at_its_address(ground: Compose, client: Client, offline: Offline) -> None:
    with during(ground, AGGREGATOR, type="aggregator_restart"), pytest.raises(NonnError):
        client.status()
    wait_until_whole(client)
    with during(ground, AGGREGATOR, type="aggregator_pause"), pytest.raises(NonnError):
        client.status(deadline=0.5)
    wait_until_whole(client)
    offline.check(client.predict(IMAGES, deadline=10, strict=True), IMAGES)


def test_the_health_of_links_and_of_a_device_that_misbehaves(ground: Compose, client: Client) -> None:
    """Each is healthy as long as the aggregator is within its reach, and not paused."""

    def check(service: str) -> str:
        script = "python3 /opt/nonn/healthcheck.py || true"
        return docker("exec", f"{ground.project}-{service}-1", "sh", "-c", script, both=True)

    assert check("links") == ""
    assert check("device-0") == ""
    with during(ground, 0, type="down"):
        assert "no aggregator answers" in check("device-0")
    with during(ground, AGGREGATOR, type="aggregator_pause"):
        assert "no aggregator answers at 127.0.0.1:7561" in check("links")
    wait_until_whole(client)


# ---- nothing stays behind


class OfTheTest(Exception):
    pass


def test_nothing_is_left_after_an_exception(bundle: Bundle, lab_image: str, tmp_path: Path) -> None:
    """With a container that is paused, and one without a network."""
    ground = Compose(scenario(2), bundle.path, folder=tmp_path, seed=1, image=lab_image)

    def run() -> None:
        with ground:
            assert set(engine.remains(ground.project)) == {"container", "network", "volume"}
            ground.begin(injection(0, type="pause"))
            ground.begin(injection(1, type="down"))
            raise OfTheTest

    with pytest.raises(OfTheTest):
        run()
    assert engine.remains(ground.project) == {}
    assert "joined" in ground.last_words(0)
    assert (tmp_path / "aggregator.log").read_text() == ground.last_words(AGGREGATOR)


RUNNER = """
import sys, time
from pathlib import Path
from fault_lab.grounds.compose import Compose
from tests.end_to_end.test_compose_ground import scenario
bundle, folder, image = sys.argv[1:]
ground = Compose(scenario(2), Path(bundle), folder=Path(folder), seed=1, image=image)
print(ground.project, flush=True)
with ground:
    print("serves", flush=True)
    while True:
        time.sleep(0.1)  # a signal that comes just before a long sleep would be seen after it
"""


@pytest.mark.parametrize(
    ("number", "serving"),
    [(signal.SIGKILL, False), (signal.SIGKILL, True), (signal.SIGINT, True)],
    ids=["killed-while-it-starts", "killed-while-it-serves", "interrupted"],
)
def test_nothing_is_left_of_a_runner_that(
    number: signal.Signals, serving: bool, bundle: Bundle, lab_image: str, tmp_path: Path
) -> None:
    command = [sys.executable, "-c", RUNNER, str(bundle.path), str(tmp_path), lab_image]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        start_new_session=True,
    ) as runner:
        assert runner.stdout is not None
        try:
            project = runner.stdout.readline().strip()
            if serving:
                assert runner.stdout.readline() == "serves\n"
            else:
                wait_until(lambda: bool(engine.remains(project)))
            runner.send_signal(number)
            runner.wait(60)
        finally:
            runner.kill()
    wait_until(lambda: not engine.remains(project))
    time.sleep(0 if serving else 3)  # a `docker compose up` of its that went on would bring something back
    assert engine.remains(project) == {}
