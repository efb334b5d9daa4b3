from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from device_node import DeviceSettings
from tests.device_node.scripted import RunningDevice, ScriptedAggregator


@pytest.fixture
def aggregator() -> Iterator[ScriptedAggregator]:
    scripted = ScriptedAggregator()
    yield scripted
    scripted.close()


@pytest.fixture
def device(aggregator: ScriptedAggregator, tmp_path: Path) -> Iterator[Callable[..., RunningDevice]]:
    """Starts a device that joins the scripted aggregator; it is stopped after the test."""
    running: list[RunningDevice] = []

    def start(**settings: Any) -> RunningDevice:
        defaults = {"aggregator": aggregator.address, "name": "test", "state": tmp_path / "state"}
        running.append(RunningDevice(DeviceSettings(**defaults | settings)))
        return running[-1]

    yield start
    for one in running:
        one.stop()
        one.join()
