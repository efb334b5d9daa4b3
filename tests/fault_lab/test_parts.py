"""The parts of a simulation: time, ways and processes."""

import dataclasses
from random import Random
from typing import Any

import pytest

from aggregator import Settings, effects
from fault_lab.simulation import Scenario, Simulation
from fault_lab.simulation.clock import Clock
from fault_lab.simulation.network import Harshness, Stream, Way
from fault_lab.simulation.process import Process
from fault_lab.simulation.scenario import Ask, DeviceSpec
from fault_lab.simulation.sizes import OVERHEAD
from fault_lab.simulation.toy import Shape

STURDY = DeviceSpec(
    start=0.0,
    speed=10.0,
    told=True,
    memory_bytes=0,
    rate=1.0,
    delay=0.001,
    jitter=0.0,
    fetch=0.1,
    load=0.1,
    straggles=0.0,
    straggling=1.0,
)


@pytest.fixture
def clock() -> Clock:
    return Clock()


def make_stream(clock: Clock, harshness: Harshness | None = None) -> tuple[Way, Stream, list[Any]]:
    way = Way(clock, Random(0), delay=0.1, jitter=0.5)
    if harshness is not None:
        way.harshness = harshness
    arrived: list[Any] = []
    return way, Stream(way, arrived.append), arrived


def test_what_is_due_at_one_time_happens_in_the_order_of_the_calls(clock: Clock) -> None:
    done: list[str] = []
    clock.at(2.0, done.append, "third")
    clock.at(1.0, done.append, "first")
    clock.at(1.0, done.append, "second")
    clock.run_until(1.5)
    assert (done, clock.now) == (["first", "second"], 1.5)
    clock.at(0.0, lambda: done.append(str(clock.now)))
    clock.run_until(3.0)
    assert done == ["first", "second", "1.5", "third"]


def test_a_stream_keeps_its_order_whatever_the_jitter(clock: Clock) -> None:
    _, stream, arrived = make_stream(clock)
    for number in range(50):
        stream.send(number)
    clock.run_until(10.0)
    assert arrived == list(range(50))


def test_a_black_hole_keeps_messages_until_it_ends(clock: Clock) -> None:
    way, stream, arrived = make_stream(clock)
    way.close()
    way.close()
    stream.send(1)
    clock.run_until(5.0)
    way.reopen()
    clock.run_until(10.0)
    assert arrived == []
    way.reopen()
    stream.send(2)
    clock.run_until(15.0)
    assert arrived == [1, 2]


def test_what_is_on_its_way_is_lost_with_the_connection(clock: Clock) -> None:
    way, stream, arrived = make_stream(clock)
    stream.send(1)
    stream.cut()
    stream.send(2)
    way.close()
    stream.send(3)
    way.reopen()
    clock.run_until(5.0)
    assert arrived == []


@pytest.mark.parametrize(
    ("harshness", "expected"),
    [
        (Harshness(loss=1.0), []),
        (Harshness(double=1.0), [0, 0, 1, 1, 2, 2]),
        (Harshness(overtake=1.0), [0, 1, 2]),
    ],
)
def test_harsh_ways(clock: Clock, harshness: Harshness, expected: list[int]) -> None:
    way, stream, arrived = make_stream(clock, harshness)
    for number in range(3):
        stream.send(number)
    stream.send("end", faithful=True)
    clock.run_until(60.0)
    arrived.remove("end")
    assert sorted(arrived) == expected
    assert way.harmed


def test_overtaking_changes_the_order(clock: Clock) -> None:
    _, stream, arrived = make_stream(clock, Harshness(overtake=0.5))
    for number in range(50):
        stream.send(number)
    clock.run_until(60.0)
    assert sorted(arrived) == list(range(50)) != arrived


def test_a_stopped_process_does_everything_when_it_goes_on(clock: Clock) -> None:
    process, done = Process(clock, rate=1.0), list[str]()
    process.start()
    process.later(1.0, done.append, "timer")
    process.stop()
    process.do(done.append, "message")
    clock.run_until(3.0)
    assert done == []
    process.resume()
    assert done == ["message", "timer"]
    assert process.received() == 0.0, "as if it had been read when the process was stopped"
    assert process.received(sent=2.0) == 2.0, "or when it would have been read, were it not for that"
    clock.run_until(4.0)
    assert process.received() == 4.0


def test_what_a_life_has_begun_ends_with_it(clock: Clock) -> None:
    process, done = Process(clock, rate=1.0), list[str]()
    process.start()
    process.later(1.0, done.append, "old")
    process.end()
    process.start()
    process.later(2.0, done.append, "new")
    clock.run_until(3.0)
    assert done == ["new"]


def test_a_process_goes_by_its_own_clock(clock: Clock) -> None:
    process, done = Process(clock, rate=2.0), list[float]()
    process.start()
    process.later(1.0, lambda: done.append(clock.now))
    clock.run_until(1.0)
    assert (done, process.now) == ([0.5], 2.0)


def test_a_clock_that_jumps_rings_early_and_shortens_no_task(clock: Clock) -> None:
    process, done = Process(clock, rate=1.0), list[tuple[str, float]]()
    process.start()
    process.later(2.0, lambda: done.append(("soon", clock.now)))
    process.later(20.0, lambda: done.append(("late", clock.now)))
    process.spend(3.0, lambda: done.append(("task", clock.now)))
    clock.run_until(1.0)
    process.jump(10.0)
    assert process.now == 11.0
    assert process.received() == 1.0, "a jump looks like a stall: what is read now may be as old as that"
    assert process.received(sent=1.0) == 1.0, "and is, as far as it knows"
    clock.run_until(30.0)
    assert done == [("soon", 1.0), ("task", 3.0), ("late", 10.0)]


def test_what_a_process_is_at_may_go_faster_from_now_on(clock: Clock) -> None:
    process, done = Process(clock, rate=1.0), list[float]()
    process.start()
    process.spend(9.0, lambda: done.append(clock.now))
    clock.run_until(1.0)
    process.hurry(4.0)
    clock.run_until(20.0)
    assert done == [3.0]


def test_a_narrow_line_takes_one_message_after_another(clock: Clock) -> None:
    way, stream, arrived = make_stream(clock)
    way.line.rate = 100.0
    stream.send(1)
    Stream(way, arrived.append).send(2)
    clock.run_until(OVERHEAD / 100.0)
    assert arrived == []
    clock.run_until(OVERHEAD / 100.0 + 0.6)
    assert arrived == [1]
    clock.run_until(2 * OVERHEAD / 100.0 + 0.6)
    assert arrived == [1, 2]


@pytest.mark.parametrize(("rate", "seconds"), [(float("inf"), 0.0), (100.0, 2 * OVERHEAD / 100.0)])
def test_what_waits_on_a_line_goes_on_at_its_new_rate(clock: Clock, rate: float, seconds: float) -> None:
    way, stream, arrived = make_stream(clock)
    way.line.rate = 1.0
    for number in range(3):
        stream.send(number)
    clock.run_until(OVERHEAD)  # the first is through
    way.line.rate = rate
    clock.run_until(OVERHEAD + max(seconds - 0.01, 0.0))
    assert 2 not in arrived
    clock.run_until(OVERHEAD + seconds + 0.61)
    assert arrived == [0, 1, 2]


def test_a_rate_that_changes_keeps_what_has_passed(clock: Clock) -> None:
    way, stream, arrived = make_stream(clock)
    way.line.rate = 10.0
    stream.send(1)
    clock.run_until(OVERHEAD / 20.0)
    way.line.rate = 1.0
    clock.run_until(OVERHEAD / 20.0 + OVERHEAD / 2.0 - 0.01)
    assert arrived == []
    clock.run_until(OVERHEAD / 20.0 + OVERHEAD / 2.0 + 0.61)
    assert arrived == [1]


def test_what_a_broken_connection_had_on_a_line_takes_no_time_of_others(clock: Clock) -> None:
    way, stream, arrived = make_stream(clock)
    way.line.rate = 1.0
    broken = Stream(way, arrived.append)
    stream.send(1)
    for number in range(2, 9):
        broken.send(number)
    stream.send(9)
    broken.cut()
    clock.run_until(2 * OVERHEAD + 0.61)
    assert arrived == [1, 9]


def test_added_latency_is_felt_from_then_on(clock: Clock) -> None:
    way, stream, arrived = make_stream(clock)
    way.added, way.wobble = 5.0, 1.0
    stream.send(1)
    clock.run_until(4.0)
    assert arrived == []
    clock.run_until(6.6)
    assert arrived == [1]
    way.added = 0.0
    stream.send(2)
    clock.run_until(7.2)
    assert arrived == [1, 2]


def quiet(devices: int) -> Scenario:
    """Nothing but these sturdy devices, and a request a second."""
    return Scenario(
        seed=0,
        seconds=10.0,
        settings=Settings(settle=0.5),
        bundles=(Shape(parts=2, replicas=2),),
        fill="mean",
        devices=(STURDY,) * devices,
        asks=tuple(Ask(float(second), 1, 0.001, timeout=1.0) for second in range(3, 10)),
    )


@pytest.mark.parametrize("devices", [1, 4, 9])
def test_without_faults_every_request_is_answered_by_all(devices: int) -> None:
    simulation = Simulation(quiet(devices))
    outcome = simulation.run()
    answers = [
        found for found in simulation.cluster.front.outcomes.values() if isinstance(found, effects.Answer)
    ]
    assert outcome.count["refused"] == 1, "the one after the end"
    assert outcome.count["answered"] == len(answers) >= 7
    assert all(answer.missing == () for answer in answers)


def test_a_device_that_gives_its_aggregator_up_comes_back_under_another_link() -> None:
    simulation = Simulation(quiet(1))
    simulation.cluster.clock.at(4.0, simulation.cluster.devices[0].down.close)
    simulation.cluster.clock.at(9.5, simulation.cluster.devices[0].down.reopen)
    simulation.run()
    lines = list(simulation.history.lines())
    assert sum("> Joined(" in line for line in lines) == 2
    assert any("> Gone(link=1" in line for line in lines)


def test_a_share_whose_time_is_over_is_dropped_unseen() -> None:
    slow = dataclasses.replace(STURDY, speed=0.05)  # four students take 1.6 s together
    simulation = Simulation(dataclasses.replace(quiet(1), devices=(slow,)))
    simulation.run()
    refusals = [line for line in simulation.history.lines() if "> Refusal(" in line]
    assert refusals
    assert all("BUDGET_PASSED" in line and "fault=False" in line for line in refusals)
