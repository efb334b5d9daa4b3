"""Scenarios of the library on real processes, through the command that people use."""

import json
from pathlib import Path

import pytest

from fault_lab.scenario import library
from nonn.cli import main

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


@pytest.mark.parametrize("name", ON_PROCESSES)
def test_a_scenario_keeps_every_promise_on_processes(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        main(["faults", "run", name, "--on", "processes", "--output", str(tmp_path / "run"), "--json"]) == 0
    )
    result = json.loads(capsys.readouterr().out)
    assert (result["lost"], result["violations"], result["problems"]) == (0, 0, [])
    assert result["requests"] == result["answered"] + result["refused"] + result["unreachable"] > 200
    assert result["degraded"] > 0
    assert result["accuracy"]["images"] > 100
    planned = {fault.type for fault in library()[name].fault}
    assert {fault["type"] for fault in result["faults"]} == planned
    assert "Every promise was kept" in (tmp_path / "run/report.html").read_text()
