"""When a device counts as at work: what its aggregator says of it."""

import asyncio
import time
from pathlib import Path

import pytest

from nonn.cluster_status import DeviceStatus
from nonn.deploy.inventory import Host, Inventory
from nonn.deploy.ready import NotReady, is_ready, wait_ready
from tests.end_to_end.secured import WAIT, SecuredCluster
from tests.end_to_end.small_bundle import write_small_bundle

HOST = Host("kitchen", "kitchen.local")


def seen(
    state: str, assigned: tuple[int, ...] = (), serving: tuple[int, ...] = (), error: str = ""
) -> DeviceStatus:
    return DeviceStatus(
        device_id="kitchen",
        name="kitchen",
        architecture="aarch64",
        state=state,
        assigned=assigned,
        serving=serving,
        last_seen_seconds=0.1,
        latency_seconds=0.0,
        completed=0,
        error=error,
        memory_bytes=0,
        cores=1,
        speed=0.0,
        milliseconds={},
        int8=(),
    )


@pytest.mark.parametrize(
    ("status", "ready"),
    [
        (seen("serving", (1, 2), (1, 2)), True),
        (seen("serving", (1, 2), (1, 2), error="a download failed once"), True),
        (seen("serving", (1, 2), (1,)), False),
        (seen("loading", (1,)), False),
        (seen("idle"), False),
        (seen("idle", error="its self-test is off by 3.2"), False),
        (seen("suspect", (1,), ()), False),
        (seen("stalled", (1,), (1,)), False),
        (seen("leaving", (1,), (1,)), False),
    ],
)
def test_ready_is_who_serves_all_that_it_has(status: DeviceStatus, ready: bool) -> None:
    assert is_ready(status, 2.0, 1.0) == ready
    assert not is_ready(status, 1.0, 2.0), "what was heard is the process before"


def wait(cluster: SecuredCluster, seconds: float) -> DeviceStatus:
    inventory = Inventory(Path("boards.toml"), cluster.address, cluster.certificates.folder, (HOST,))
    return asyncio.run(wait_ready(inventory, HOST, time.monotonic(), seconds))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("off", "options", "said"),
    [
        (1.0, (), r"sees it idle \(.*self-test"),
        (0.0, ("--memory", "1"), r"sees it idle \(no student fits"),
    ],
)
def test_a_device_that_can_serve_nothing_is_not_ready(
    tmp_path: Path, off: float, options: tuple[str, ...], said: str
) -> None:
    bundle = write_small_bundle(tmp_path / "bundle", self_test_error=off)
    with SecuredCluster(bundle, tmp_path) as cluster:
        cluster.device(cluster.certificates.device("kitchen"), *options)
        cluster.wait_until(lambda status: [one.state for one in status.devices] == ["idle"])
        with pytest.raises(NotReady, match=said):
            wait(cluster, 3.0)


@pytest.mark.slow
def test_a_device_that_serves_is_ready(tmp_path: Path) -> None:
    with SecuredCluster(write_small_bundle(tmp_path / "bundle"), tmp_path) as cluster:
        cluster.device(cluster.certificates.device("kitchen"))
        assert wait(cluster, WAIT).state == "serving"
