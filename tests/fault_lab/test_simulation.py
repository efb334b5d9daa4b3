"""Scenarios are drawn, run and replayed from a seed, and are as varied as they claim to be."""

import hashlib
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from fault_lab.simulation import Simulation, draw
from fault_lab.simulation.network import GENTLE
from fault_lab.simulation.scenario import Kind

ROOT = Path(__file__).resolve().parents[2]
QUICK = 200
MANY = 1200

DIGEST = """
import hashlib
from fault_lab.simulation import Simulation, draw
digest = hashlib.sha256()
for seed in range(20):
    simulation = Simulation(draw(seed))
    simulation.run()
    for line in simulation.history.lines():
        digest.update(line.encode())
print(digest.hexdigest())
"""


def test_a_seed_gives_the_same_trace_in_every_process() -> None:
    def run(hash_seed: str) -> str:
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(
            [sys.executable, "-c", DIGEST], env=environment, capture_output=True, text=True, check=True
        )
        return done.stdout

    first, second = run("1"), run("2")
    assert len(first.strip()) == hashlib.sha256().digest_size * 2
    assert first == second


def test_seeds_differ() -> None:
    assert draw(1) == draw(1)
    assert draw(1) != draw(2)


@pytest.fixture(scope="module")
def count() -> Counter[str]:
    """What happened in the first seeds, none of which violates anything."""
    total: Counter[str] = Counter()
    for seed in range(QUICK):
        total += Simulation(draw(seed)).run().count
    return total


def test_every_kind_of_fault_occurs(count: Counter[str]) -> None:
    assert not [kind for kind in Kind if not count[kind.name]]


@pytest.mark.parametrize(
    "what",
    [
        "answered",
        "degraded",
        "cancelled",
        "reloaded",
        "reloads failed",
        "INVALID_ARGUMENT",
        "FAILED_PRECONDITION",
        "RESOURCE_EXHAUSTED",
        "UNAVAILABLE",
        "DEADLINE_EXCEEDED",
    ],
)
def test_every_outcome_occurs(count: Counter[str], what: str) -> None:
    assert count[what]


def test_most_requests_are_answered(count: Counter[str]) -> None:
    """A cluster that refuses everything would keep most promises."""
    assert count["answered"] > 0.4 * count["requests"]
    assert count["degraded"] < 0.6 * count["answered"]
    assert count["answered"] + count["refused"] + count["cancelled"] >= count["requests"]


def test_scenarios_cover_what_they_should() -> None:
    scenarios = [draw(seed) for seed in range(QUICK)]
    assert {len(scenario.devices) for scenario in scenarios} == {1, 2, 3, 4, 5, 6, 8, 12}
    assert all(10.0 <= scenario.seconds <= 30.0 for scenario in scenarios)
    assert all(
        fault.at + fault.seconds <= scenario.seconds + 1e-9
        for scenario in scenarios
        for fault in scenario.faults
    )
    assert {policy.kind for scenario in scenarios for policy in [scenario.settings.policy]} == {
        "all",
        "covered",
        "quorum",
    }
    harsh = [scenario for scenario in scenarios if scenario.harshness != GENTLE]
    assert 0.1 < len(harsh) / len(scenarios) < 0.3
    assert any(scenario.settings.heal is None for scenario in scenarios)
    assert any(scenario.drain is not None for scenario in scenarios)


@pytest.mark.slow
@pytest.mark.heavy
@pytest.mark.parametrize("start", range(10_000, 10_000 + MANY, MANY // 4))
def test_many_more_seeds_violate_nothing(start: int) -> None:
    for seed in range(start, start + MANY // 4):
        Simulation(draw(seed)).run()
