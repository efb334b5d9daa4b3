"""A scenario on real processes: what is sound passes, and what is not is found, whoever tries to hide it."""

import asyncio
import signal
from pathlib import Path
from typing import Any

import pytest

from bundle import Bundle
from fault_lab import control_file
from fault_lab.grounds.processes import Processes
from fault_lab.processes import ProcessEnded
from fault_lab.record import Run, summarise
from fault_lab.run.result import to_run
from fault_lab.run.session import Session
from fault_lab.run.truth import Truth
from fault_lab.scenario import Injection, Scenario
from student_builder.data import load_data

pytestmark = pytest.mark.slow
DIGITS = Path(__file__).parents[2] / "samples/digits"


def scenario(*faults: dict[str, Any], **changes: Any) -> Scenario:
    return Scenario.model_validate(
        {
            "name": "test",
            "base": Path(),
            "summary": "for a test",
            "seconds": 5.0,
            "cluster": {"devices": 3, "ping": 0.25, "heal_after": "never"},
            "load": {"clients": 3},
            "fault": faults,
            **changes,
        }
    )


@pytest.fixture(scope="module")
def truth() -> Truth:
    data = load_data("digits")
    return Truth(Bundle.load(DIGITS), data.test_images, data.test_labels)


def play(scenario: Scenario, folder: Path, truth: Truth, kind: type[Processes] = Processes) -> Run:
    with kind(scenario, DIGITS, folder=folder, seed=0, every_fault=True) as ground:
        session = Session(scenario, ground, truth, seed=0)
        asyncio.run(session.run())
    return to_run(session, (), {})


def test_a_sound_cluster_keeps_every_promise(tmp_path: Path, truth: Truth) -> None:
    faults = (
        {"type": "kill", "target": "device-1", "at": 1.0, "duration": 1.5},
        {"type": "nan", "target": "device-2", "at": 1.5, "duration": 1.0},
    )
    summary = summarise(play(scenario(*faults), tmp_path, truth))
    assert summary["problems"] == []
    assert summary["requests"] == summary["answered"] > 100
    assert 0 < summary["degraded"] < summary["answered"]
    assert abs(summary["accuracy"]["observed"] - summary["accuracy"]["expected"]) < 0.05
    killed = next(fall for fall in summary["faults"] if fall["type"] == "kill")
    assert (killed["target"], round(killed["begin"])) == ("device-1", 1)
    assert 0 < killed["recovered"] < 5
    assert min(sample["serving"] for sample in summary["samples"]) < 3


class Liar(Processes):
    """Whatever a device is said to suffer, it makes its answers up."""

    def begin(self, injection: Injection) -> None:
        told = {"answers": {"type": "corrupt"}}
        control_file.write(self._mischief_file(injection.device), told)

    def end(self, injection: Injection) -> None:
        control_file.write(self._mischief_file(injection.device), {})


def test_logits_that_are_not_the_merge_are_found(tmp_path: Path, truth: Truth) -> None:
    fault = {"type": "slow", "factor": 2, "target": "device-1", "at": 1.0, "duration": 2.0}
    run = play(scenario(fault), tmp_path, truth, Liar)
    assert {problem.invariant for problem in run.problems} >= {"MERGE"}
    problem = run.problems[0]
    assert 1.0 < problem.at < 4.0
    assert any("slow of device-1, until" in line for line in problem.history)
    assert any("is sent" in line for line in problem.history)
    assert "it is answered by" in problem.history[-1]


class Assassin(Processes):
    """Whatever a device is said to suffer, the aggregator is killed, and never comes back."""

    def begin(self, injection: Injection) -> None:
        self._cluster.aggregator.kill()

    def end(self, injection: Injection) -> None:
        pass


@pytest.mark.heavy
def test_requests_without_an_outcome_and_a_cluster_that_stays_broken_are_found(
    tmp_path: Path, truth: Truth
) -> None:
    fault = {"type": "slow", "factor": 2, "target": "device-1", "at": 1.0, "duration": 2.0}
    run = play(scenario(fault, recovery=1.0), tmp_path, truth, Assassin)
    summary = summarise(run)
    assert summary["lost"] > 0
    assert {problem.invariant for problem in run.problems} == {"ALIVE", "LOST", "WHOLE_AGAIN"}
    assert "the aggregator does not answer" in run.problems[-1].what
    assert any("device-0 said last" in line for line in run.problems[-1].history)


@pytest.mark.heavy
def test_nobody_is_blamed_while_the_scenario_has_the_aggregator_down(tmp_path: Path, truth: Truth) -> None:
    fault = {"type": "aggregator_restart", "at": 1.0, "duration": 1.0}
    summary = summarise(play(scenario(fault), tmp_path, truth))
    assert summary["problems"] == []
    assert summary["unreachable"] > 0
    assert summary["lost"] == 0
    assert summary["windows"][-1]["answered"] > 0


class Deserter(Processes):
    """Whatever a device is said to suffer, it ends by itself, and nobody starts it again."""

    def begin(self, injection: Injection) -> None:
        self._cluster.devices[injection.device].send(signal.SIGTERM)

    def end(self, injection: Injection) -> None:
        pass


def test_a_device_that_ends_by_itself_is_found(tmp_path: Path, truth: Truth) -> None:
    fault = {"type": "slow", "factor": 2, "target": "device-1", "at": 0.5, "duration": 1.0}
    run = play(scenario(fault, recovery=1.0), tmp_path, truth, Deserter)
    told = {problem.invariant: problem.what for problem in run.problems}
    assert told["ALIVE"].startswith("device-1 ended by itself, with exit code 0")
    assert "WHOLE_AGAIN" in told


class Vandal(Processes):
    """Whatever a device is said to suffer, the laboratory's own proxy is killed."""

    def begin(self, injection: Injection) -> None:
        assert self._cluster.proxy is not None
        self._cluster.proxy.send(signal.SIGKILL)


@pytest.mark.heavy
def test_what_breaks_in_the_laboratory_is_not_blamed_on_the_cluster(tmp_path: Path, truth: Truth) -> None:
    fault = {"type": "slow", "factor": 2, "target": "device-1", "at": 0.5, "duration": 3.0}
    with pytest.raises(ProcessEnded, match="proxy ended with exit code -9"):
        play(scenario(fault), tmp_path, truth, Vandal)


@pytest.mark.heavy
def test_a_view_that_fails_ends_the_run(tmp_path: Path, truth: Truth) -> None:
    def fail(session: Session) -> None:
        if session.now > 1.0 and session.phase == "running":
            raise OSError("the terminal is gone")

    made = scenario()
    with Processes(made, DIGITS, folder=tmp_path, seed=0) as ground:
        session = Session(made, ground, truth, seed=0, watch=fail)
        with pytest.raises(OSError, match="the terminal is gone"):
            asyncio.run(session.run())
