"""Scenarios of the library on real grounds, through the command that people use."""

import json
from pathlib import Path
from typing import Any

import pytest

from fault_lab.scenario import library
from nonn.cli import main
from tests.containers import needs_engine

pytestmark = [pytest.mark.slow, pytest.mark.heavy]
ON_PROCESSES = (
    "half_lost",
    "part_lost",
    "hung_device",
    "poisoned_device",
    "rolling_restart",
    "aggregator_restart",
    "flapping_wifi",
    "power_return",
)
ON_COMPOSE = ("half_lost", "split_network", "aggregator_restart")


def run(name: str, ground: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """Of a scenario that kept every promise."""
    assert main(["faults", "run", name, "--on", ground, "--output", str(folder), "--json"]) == 0
    result: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert (result["lost"], result["violations"], result["problems"]) == (0, 0, [])
    assert result["requests"] == result["answered"] + result["refused"] + result["unreachable"] > 200
    assert result["degraded"] > 0
    assert result["accuracy"]["images"] > 100
    assert {fault["type"] for fault in result["faults"]} == {fault.type for fault in library()[name].fault}
    assert "Every promise was kept" in (folder / "report.html").read_text()
    return result


@pytest.mark.parametrize("name", ON_PROCESSES)
def test_a_scenario_on_processes(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(name, "processes", tmp_path / "run", capsys)


@needs_engine
@pytest.mark.parametrize("name", ON_COMPOSE)
def test_a_scenario_on_containers(
    name: str, lab_image: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(name, "compose", tmp_path / "run", capsys)
