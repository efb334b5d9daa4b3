"""From a scenario to who suffers what and when."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fault_lab.run.events import timeline
from fault_lab.scenario import AGGREGATOR, Injection, Scenario, make_plan
from fault_lab.scenario.errors import ScenarioError

HOSTS = {0: (0, 4), 1: (1, 5), 2: (2, 6), 3: (3, 7)}


def scenario(*faults: dict[str, Any], seconds: float = 20.0, devices: int = 8) -> Scenario:
    return Scenario.model_validate(
        {
            "name": "test",
            "base": Path(),
            "summary": "for a test",
            "seconds": seconds,
            "cluster": {"devices": devices},
            "load": {"rate": 1},
            "fault": faults,
        }
    )


def plan(*faults: dict[str, Any], seed: int = 0) -> list[tuple[str, float, float]]:
    found = make_plan(scenario(*faults), seed, HOSTS)
    return [(injection.target, injection.begin, injection.end) for injection in found]


def test_a_fault_lasts_as_long_as_it_says_or_to_the_end() -> None:
    assert plan({"type": "kill", "target": "device-3", "at": 1, "duration": 2}) == [("device-3", 1, 3)]
    assert plan({"type": "pause", "target": "device-3", "at": 1}) == [("device-3", 1, 20)]
    assert plan({"type": "restart", "target": "device-3", "at": 1}) == [("device-3", 1, 1)]


def test_targets_come_one_after_another_if_they_are_staggered() -> None:
    fault = {"type": "kill", "target": "device-[2-4]", "at": 1, "duration": 2, "stagger": 0.5}
    assert plan(fault) == [("device-2", 1, 3), ("device-3", 1.5, 3.5), ("device-4", 2, 4)]


def test_a_fault_comes_again_as_often_as_it_says() -> None:
    fault = {"type": "pause", "target": "device-1", "at": 1, "duration": 1, "every": 5, "times": 3}
    assert plan(fault) == [("device-1", 1, 2), ("device-1", 6, 7), ("device-1", 11, 12)]


def test_a_part_is_the_devices_that_serve_it() -> None:
    fault = {"type": "kill", "target": "part 2", "at": 1, "duration": 1}
    assert [target for target, *_ in plan(fault)] == ["device-2", "device-6"]


def test_a_list_of_targets_names_each_device_once() -> None:
    fault = {"type": "kill", "target": ["part 2", "device-[5-6]"], "at": 1, "duration": 1}
    assert [target for target, *_ in plan(fault)] == ["device-2", "device-6", "device-5"]


def test_the_aggregator_is_a_target_of_its_own() -> None:
    (found,) = make_plan(scenario({"type": "aggregator_restart", "at": 1, "duration": 1}), 0, HOSTS)
    assert (found.device, found.target) == (AGGREGATOR, "aggregator")


@given(st.integers(0, 2**32 - 1))
def test_random_targets_come_from_the_seed_and_keep_away_from_contradictions(seed: int) -> None:
    killed = {"type": "kill", "target": "part 1", "at": 1, "duration": 10}
    drawn = {"type": "pause", "target": "random 3", "at": 5, "duration": 3}
    found = plan(drawn, killed, seed=seed)
    assert found == plan(drawn, killed, seed=seed)
    paused = [target for target, begin, _ in found if begin == 5]
    assert len(set(paused)) == 3
    assert not {"device-1", "device-5"} & set(paused)


def test_seeds_draw_different_devices() -> None:
    fault = {"type": "kill", "target": "random 3", "at": 1, "duration": 1}
    assert len({tuple(plan(fault, seed=seed)) for seed in range(20)}) > 5


def test_a_part_on_a_device_that_something_else_happens_to_is_refused() -> None:
    faults = (
        {"type": "kill", "target": "part 1", "at": 1, "duration": 5},
        {"type": "pause", "target": "device-5", "at": 3, "duration": 5},
    )
    with pytest.raises(ScenarioError, match=r"pause of device-5 .* contradicts its kill") as caught:
        plan(*faults)
    assert caught.value.fault == 1


def test_what_ends_at_one_time_ends_before_anything_begins() -> None:
    found = make_plan(
        scenario(
            {"type": "kill", "target": "device-0", "at": 1, "duration": 2},
            {"type": "slow", "target": "device-1", "at": 3, "duration": 2, "factor": 3},
            {"type": "restart", "target": "device-2", "at": 3},
        ),
        0,
        HOSTS,
    )

    def shown(event: tuple[float, bool, Injection]) -> tuple[float, str, str]:
        at, ends, injection = event
        return at, "end" if ends else "begin", injection.fault.type

    assert [shown(event) for event in timeline(found)] == [
        (1, "begin", "kill"),
        (3, "end", "kill"),
        (3, "begin", "slow"),
        (3, "begin", "restart"),
        (5, "end", "slow"),
    ]
