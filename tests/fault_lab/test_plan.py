"""From a scenario to who suffers what and when."""

import itertools
import time
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bundle import Bundle
from fault_lab.run.events import timeline
from fault_lab.scenario import AGGREGATOR, Injection, Scenario, make_plan, students_of_parts
from fault_lab.scenario.check import check_plan
from fault_lab.scenario.errors import ScenarioError
from tests.fault_lab.laboratory import DIGITS

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


def test_a_long_plan_takes_no_minutes() -> None:
    restarts = {"type": "restart", "target": "device-*", "at": 1, "every": 2, "times": 140}
    drawn = {
        "type": "slow",
        "target": "random 1",
        "at": 1,
        "duration": 1,
        "every": 2,
        "times": 999,
        "factor": 2,
    }
    long = scenario(restarts, drawn, seconds=3600.0, devices=64)
    started = time.process_time()
    check_plan(long, [2, 2, 2, 2])
    assert len(make_plan(long, 0, HOSTS)) == 140 * 64 + 999
    assert time.process_time() - started < 10.0, "comparing each with each took minutes"


def test_there_is_an_end_to_how_much_one_scenario_does() -> None:
    restarts = {"type": "restart", "target": "all", "at": 1, "every": 2, "times": 200}
    excessive = scenario(restarts, seconds=3600.0, devices=64)
    for refuse in (check_plan, lambda scenario: make_plan(scenario, 0, HOSTS)):
        with pytest.raises(ScenarioError, match=r"more than 10,000 times .* fewer times") as caught:
            refuse(excessive)
        assert caught.value.fault == 0


KINDS = {
    "kill": {"duration": 2},
    "pause": {"duration": 5},
    "restart": {},
    "latency": {"latency": 1, "duration": 3},
    "aggregator_pause": {"duration": 3},
}
TARGETS = [
    "all",
    "device-1",
    "device-[2-4]",
    "part 0",
    "part 1",
    "part 3",
    "random 1",
    "random 2",
    "random 5",
]


@st.composite
def any_fault(draw: st.DrawFn) -> dict[str, Any]:
    kind = draw(st.sampled_from(sorted(KINDS)))
    fault: dict[str, Any] = {"type": kind, "at": draw(st.integers(0, 12)), **KINDS[kind]}
    if not kind.startswith("aggregator"):
        fault["target"] = draw(st.lists(st.sampled_from(TARGETS), min_size=1, max_size=2))
        fault["stagger"] = draw(st.sampled_from([0, 0, 1]))
    if draw(st.booleans()):
        fault |= {"every": draw(st.integers(6, 8)), "times": 2}
    return fault


def naive(injections: Sequence[Injection]) -> bool:
    """Whether any two of them contradict each other."""
    return any(
        one.device == other.device
        and one.fault.group is other.fault.group
        and one.begin <= other.end
        and other.begin <= one.end
        for one, other in itertools.combinations(injections, 2)
    )


@given(
    st.lists(any_fault(), min_size=1, max_size=4),
    st.integers(0, 2**32 - 1),
    st.permutations(range(8)),
    st.lists(st.integers(1, 2), min_size=4, max_size=4),
)
@settings(max_examples=400)
def test_what_passes_the_check_fails_on_no_cluster(
    faults: list[dict[str, Any]], seed: int, devices: list[int], hosting: list[int]
) -> None:
    """Each part has two students, anywhere, on one device or on two."""
    chosen = scenario(*faults)
    hosts = {part: devices[2 * part : 2 * part + many] for part, many in enumerate(hosting)}
    try:
        check_plan(chosen, [2, 2, 2, 2])
    except ScenarioError:
        return
    found = make_plan(chosen, seed, hosts)
    assert not naive(found)
    assert found


@pytest.mark.parametrize(
    ("parts", "count", "words"),
    [
        (None, 7, None),
        (None, 8, "random 8 of 7 .*part 0 may take 1"),
        (4, 7, None),
        ([2, 2, 2, 2], 6, None),
        ([2, 2, 2, 2], 7, "random 7 of 6 .*part 0 may take 2"),
        ([12, 2, 1, 1], 1, "random 1 of 0 .*part 0 may take 8"),
    ],
)
def test_what_is_drawn_leaves_room_for_a_part(parts: Any, count: int, words: str | None) -> None:
    faults = (
        {"type": "kill", "target": "part 0", "at": 1, "duration": 5},
        {"type": "pause", "target": f"random {count}", "at": 3, "duration": 5},
    )
    if words is None:
        check_plan(scenario(*faults), parts)
        return
    with pytest.raises(ScenarioError, match=words) as caught:
        check_plan(scenario(*faults), parts)
    assert caught.value.fault == 1


@pytest.mark.parametrize(("devices", "refused"), [(8, False), (7, True)])
def test_parts_may_be_on_one_device_where_there_are_fewer_devices_than_students(
    devices: int, refused: bool
) -> None:
    faults = (
        {"type": "kill", "target": "part 0", "at": 1, "duration": 5},
        {"type": "pause", "target": "part 1", "at": 3, "duration": 5},
    )
    with pytest.raises(ScenarioError, match="contradicts") if refused else nullcontext():
        check_plan(scenario(*faults, devices=devices), [2, 2, 2, 2])


def test_a_bundle_knows_how_many_students_each_part_has() -> None:
    assert students_of_parts(Bundle.load(DIGITS).manifest) == (2, 2, 2, 2)


def test_a_part_is_so_many_targets_one_after_another() -> None:
    fault = {"type": "kill", "target": "part 0", "at": 17, "duration": 2, "stagger": 1.5}
    check_plan(scenario(fault), [1, 1])
    with pytest.raises(ScenarioError, match="not over when the load ends"):
        check_plan(scenario(fault), [2, 2])


def test_a_device_may_be_of_a_part_that_is_named_with_it() -> None:
    fault = {"type": "kill", "target": ["device-0", "part 0"], "at": 1, "duration": 1}
    check_plan(scenario(fault), [2, 2, 2, 2])
    assert plan(fault) == [("device-0", 1, 2), ("device-4", 1, 2)]
