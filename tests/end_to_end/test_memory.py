"""A device whose memory has become short while it served: nothing is loaded there, and others serve it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from fault_lab.local_cluster import LocalCluster, Status
from tests.end_to_end.small_bundle import STUDENTS, write_small_bundle

MEGABYTE = 1_000_000


def leave(box: Path, free: int) -> None:
    box.mkdir(exist_ok=True)
    (box / "memory.current").write_text("0\n")
    (box / "memory.max").write_text(f"{free}\n")


def serving(students: int) -> Callable[[Status], bool]:
    return lambda status: sum(bool(one.device_ids) for one in status.students) == students


@pytest.mark.slow
def test_what_does_not_fit_is_refused_told_and_served_elsewhere(tmp_path: Path) -> None:
    bundle = write_small_bundle(tmp_path / "bundle")
    (tmp_path / "cluster").mkdir()
    boxes = [tmp_path / f"box-{index}" for index in range(2)]
    for box in boxes:
        leave(box, 200 * MEGABYTE)
    cluster = LocalCluster(
        bundle.path,
        devices=2,
        folder=tmp_path / "cluster",
        aggregator_options=("--heal-after", "0.2"),
        device_command=lambda index: ("tests.end_to_end.boxed", str(boxes[index]), "device"),
    )
    with cluster:
        leave(boxes[0], MEGABYTE)
        own = {device.name: set(device.serving) for device in cluster.status().devices}["device-0"]
        cluster.kill(1)
        refused = cluster.wait_until(
            lambda status: any("MB are free here" in device.error for device in status.devices), 30
        )
        assert {one.name: set(one.serving) for one in refused.devices} == {"device-0": own}
        cluster.restart(1)
        cluster.wait_until(serving(STUDENTS), 30)
