"""The containers of docker-compose.yml, on a real engine."""

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bundle import Bundle
from nonn import Client
from nonn.cluster_status import ClusterStatus
from nonn.errors import NonnError
from tests.containers import needs_engine
from tests.end_to_end.offline import Offline
from tests.end_to_end.small_bundle import random_images

ROOT = Path(__file__).resolve().parents[2]
IMAGES = random_images(3, seed=2)
HEALTHCHECK = ("python3", "/opt/nonn/healthcheck.py")


def docker(*arguments: str, seconds: float = 60, check: bool = True, **environment: str) -> str:
    result = subprocess.run(
        ["docker", *arguments],
        cwd=ROOT,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
    if check:
        assert result.returncode == 0, result.stderr
    return result.stdout.strip()


pytestmark = [pytest.mark.slow, pytest.mark.heavy, needs_engine]


@pytest.fixture(scope="module")
def compose(bundle: Bundle, lab_image: str) -> Iterator[Callable[..., str]]:
    """`docker compose` for a cluster that serves the small bundle at a port of its own."""
    settings = {"BUNDLE": str(bundle.path), "LISTEN": "127.0.0.1:0", "IMAGE": lab_image}

    def run(*arguments: str, **options: object) -> str:
        return docker("compose", "-p", "nonn-test", *arguments, **settings, **options)  # type: ignore[arg-type]

    try:
        run("up", "-d", "--no-build")
        yield run
    finally:
        run("down", "-t", "1", "--volumes", check=False)


def wait_for(client: Client, reached: Callable[[ClusterStatus], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if reached(client.status()):
                return
        except NonnError:
            pass
        time.sleep(0.2)
    raise AssertionError(f"not reached within {seconds} s")


def serving(count: int) -> Callable[[ClusterStatus], bool]:
    return lambda status: [device.state for device in status.devices] == ["serving"] * count


def test_compose_serves_loses_half_and_recovers(compose: Callable[..., str], offline: Offline) -> None:
    with Client(compose("port", "aggregator", "7560")) as client:
        wait_for(client, serving(8), 60)
        assert len({device.device_id for device in client.status().devices}) == 8
        offline.check(client.predict(IMAGES, deadline=10, strict=True), IMAGES)

        docker("kill", *[f"nonn-test-device-{number}" for number in (1, 3, 5, 8)])
        wait_for(client, serving(4), 30)
        answer = client.predict(IMAGES, deadline=10)
        assert len(answer.missing) == 4
        offline.check(answer, IMAGES)

        compose("up", "-d", "--no-recreate")
        wait_for(client, serving(8), 60)
        offline.check(client.predict(IMAGES, deadline=10, strict=True), IMAGES)


def test_the_health_check_tells_the_truth(compose: Callable[..., str]) -> None:
    compose("up", "-d", "--no-recreate")
    with Client(compose("port", "aggregator", "7560")) as client:
        wait_for(client, serving(8), 60)
    assert "ok" in compose("exec", "-T", "aggregator", "sh", "-c", f"{' '.join(HEALTHCHECK)} && echo ok")
    assert "ok" in compose("exec", "-T", "device", "sh", "-c", f"{' '.join(HEALTHCHECK)} && echo ok")
    compose("stop", "-t", "2", "aggregator")
    assert "ill" in compose("exec", "-T", "device", "sh", "-c", f"{' '.join(HEALTHCHECK)} || echo ill")


def test_a_container_may_write_nowhere_but_in_memory(compose: Callable[..., str]) -> None:
    compose("up", "-d", "--no-recreate")
    script = (
        "id -u; touch /opt/nonn/x 2>/dev/null || echo read-only; python3 -c 'import torch' 2>&1 | tail -1"
    )
    words = compose("exec", "-T", "device", "sh", "-c", script)
    assert words.splitlines() == ["10001", "read-only", "ModuleNotFoundError: No module named 'torch'"]
