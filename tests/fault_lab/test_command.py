"""`nonn faults simulate`: what it prints, how it ends, and that a violation can be seen again."""

import functools
import json

import pytest

import fault_lab.simulation
from fault_lab.simulation import Simulation
from nonn.cli import main
from tests.fault_lab.saboteurs import SABOTEURS


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is simulated has a core that answers twice."""
    core, _ = SABOTEURS["answers come twice"]
    monkeypatch.setattr(fault_lab.simulation, "Simulation", functools.partial(Simulation, core=core))


def test_seeds_without_a_violation(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["faults", "simulate", "--seeds", "0:5"]) == 0
    out, error = capsys.readouterr()
    assert out.startswith("5 scenarios, ")
    assert "scenarios a minute" in out
    assert error == ""


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["faults", "simulate", "--seeds", "3:6", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["scenarios"] == 3
    assert result["violation"] is None
    assert result["answered"] + result["refused"] + result["cancelled"] >= result["requests"] > 0


def test_a_trace_shows_every_step(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["faults", "simulate", "--seed", "5", "--trace"]) == 0
    out, _ = capsys.readouterr()
    simulation = Simulation(fault_lab.simulation.draw(5))
    simulation.run()
    assert out.splitlines() == list(simulation.history.lines())


@pytest.mark.usefixtures("broken")
def test_a_violation_ends_with_14_and_the_command_that_replays_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["faults", "simulate", "--seeds", "0:100"]) == 14
    out, error = capsys.readouterr()
    assert out == ""
    *history, last = error.splitlines()
    assert any("Answer(request=" in line for line in history)
    assert last.startswith("nonn: seed ")
    command = last.partition("`nonn ")[2].rstrip("`").split()
    assert command[:3] == ["faults", "simulate", "--seed"]
    assert main(command) == 14
    replayed = capsys.readouterr()
    assert replayed.err.strip() == last
    assert [line for line in history if line in replayed.out.splitlines()] == history


@pytest.mark.usefixtures("broken")
def test_a_violation_in_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["faults", "simulate", "--seeds", "0:100", "--json"]) == 14
    found = json.loads(capsys.readouterr().out)["violation"]
    assert found["invariant"] == "ONCE"
    assert found["replay"].startswith("nonn faults simulate --seed ")


@pytest.mark.parametrize(
    "wrong",
    [
        ["--seeds", "5:5"],
        ["--seeds", "x"],
        ["--seed", "1", "--seeds", "1:2"],
        ["--trace"],
        ["--seed", "1", "--trace", "--json"],
    ],
)
def test_wrong_usage(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["faults", "simulate", *wrong]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_the_help_names_every_kind(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["faults", "--help"]) == 0
    assert "simulate" in capsys.readouterr().out
    assert main(["faults"]) == 2
