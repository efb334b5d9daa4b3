"""Scenario files on virtual time: the same each time, each fault felt, the library passed."""

import pickle
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aggregator import Core, events
from aggregator.effects import Effect
from bundle import Bundle
from fault_lab.grounds.simulation import shortcomings, simulate
from fault_lab.record import Ending, Run, summarise
from fault_lab.scenario import FAULTS, Scenario, library
from tests.fault_lab.saboteurs import SABOTEURS, after, repeat_answers

DIGITS = Path(__file__).resolve().parents[2] / "samples" / "digits"
SEEDS = range(20)
BEGIN, END = 2.0, 6.0


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return Bundle.load(DIGITS)


def scenario(*faults: dict[str, Any], seconds: float = 9.0, **sections: Any) -> Scenario:
    """Eight devices, one student each; students stay where they are."""
    return Scenario.model_validate(
        {
            "name": "test",
            "base": Path.cwd(),
            "summary": "A test.",
            "seconds": seconds,
            "cluster": {"heal_after": "never", **sections.pop("cluster", {})},
            "load": sections.pop("load", {"rate": 30.0}),
            "fault": faults,
            **sections,
        }
    )


def lasting(kind: str, target: str = "device-[0-2]", **more: Any) -> dict[str, Any]:
    return {"type": kind, "target": target, "at": BEGIN, "duration": END - BEGIN, **more}


def instant(kind: str, target: str = "device-[0-2]", **more: Any) -> dict[str, Any]:
    return {"type": kind, "target": target, "at": BEGIN, **more}


def during(run: Run, begin: float = BEGIN, end: float = END) -> Counter[Ending]:
    return Counter(outcome.ending for outcome in run.outcomes if begin <= outcome.sent < end)


def degraded(run: Run, begin: float = BEGIN, end: float = END) -> float:
    """The share of answers that lack a student."""
    answers = [
        bool(outcome.missing)
        for outcome in run.outcomes
        if outcome.ending is Ending.ANSWERED and begin <= outcome.sent < end
    ]
    return sum(answers) / len(answers)


def slowest(run: Run, begin: float = BEGIN, end: float = END) -> float:
    return max(outcome.seconds for outcome in run.outcomes if begin <= outcome.sent < end)


def fewest_serving(run: Run) -> int:
    return min(sample.serving for sample in run.samples)


def test_a_seed_gives_the_same_run_byte_for_byte(bundle: Bundle) -> None:
    chosen = library()["cascading_loss"]
    first, second = (simulate(chosen, seed=5, bundle=bundle) for _ in range(2))
    assert first == second
    assert pickle.dumps(first) == pickle.dumps(second)
    assert simulate(chosen, seed=6, bundle=bundle) != first


def test_without_faults_every_request_is_answered_by_all(bundle: Bundle) -> None:
    run = simulate(scenario(), 1, bundle)
    assert (run.devices, run.students, run.parts, run.seconds) == (8, 8, 4, 9.0)
    assert 200 < len(run.outcomes) < 350, "30 a second, give or take"
    assert all(outcome.ending is Ending.ANSWERED and not outcome.missing for outcome in run.outcomes)
    assert all(outcome.expected_accuracy == bundle.accuracy[-1] for outcome in run.outcomes)
    assert {(s.serving, s.students, s.parts) for s in run.samples} == {(8, 8, 4)}
    assert [sample.at for sample in run.samples[:3]] == pytest.approx([0.0, 0.25, 0.5])
    assert (run.falls, run.problems) == ((), ())
    assert all(outcome.right is None for outcome in run.outcomes)


def test_callers_in_a_loop_wait_for_their_outcome(bundle: Bundle) -> None:
    run = simulate(scenario(load={"clients": 3, "pause": 0.1, "images": 4}), 1, bundle)
    ends = [(outcome.sent, outcome.sent + outcome.seconds) for outcome in run.outcomes]
    assert max(sum(a <= begin < b for a, b in ends) for begin, _ in ends) <= 3
    assert 3 * 9 / 0.15 < len(run.outcomes) <= 3 * 9 / 0.1 + 3
    assert {outcome.images for outcome in run.outcomes} == {4}


Felt = Callable[[Run], bool]
EFFECTS: dict[str, tuple[dict[str, Any], Felt]] = {
    "kill": (lasting("kill"), lambda run: fewest_serving(run) == 5 and degraded(run) > 0.9),
    "restart": (
        instant("restart"),
        lambda run: fewest_serving(run) == 5 and 0 < degraded(run, end=4.0) < 0.5,
    ),
    "pause": (lasting("pause"), lambda run: fewest_serving(run) == 5 and degraded(run) > 0.9),
    "latency": (lasting("latency", latency=0.1, jitter=0.02), lambda run: 0.15 < slowest(run) < 0.5),
    "bandwidth": (lasting("bandwidth", rate=5000.0), lambda run: slowest(run) > 0.02),
    "timeout": (lasting("timeout"), lambda run: fewest_serving(run) == 5 and degraded(run) > 0.9),
    "down": (lasting("down"), lambda run: fewest_serving(run) == 5 and degraded(run) > 0.9),
    "reset_peer": (instant("reset_peer"), lambda run: fewest_serving(run) < 8 and 0 < degraded(run) < 0.5),
    "flapping": (lasting("flapping", up=1.5, down=0.5), lambda run: fewest_serving(run) == 5),
    "slow": (lasting("slow", factor=20.0), lambda run: slowest(run) > 0.03),
    "refuse": (lasting("refuse"), lambda run: 0.1 < degraded(run) < 0.9 and slowest(run) < 0.1),
    "corrupt": (lasting("corrupt"), lambda run: degraded(run) == 0),
    "nan": (lasting("nan"), lambda run: 0.1 < degraded(run) < 0.9 and slowest(run) < 0.1),
    "wrong_shape": (lasting("wrong_shape", toxicity=0.2), lambda run: 0.1 < degraded(run) < 0.99),
    "late": (lasting("late", delay=0.1), lambda run: 0.1 < slowest(run) < 0.5),
    "duplicate": (lasting("duplicate"), lambda run: degraded(run) == 0),
    "mute": (lasting("mute"), lambda run: degraded(run) > 0.9),
    "damaged_cache": (
        instant("damaged_cache"),
        lambda run: fewest_serving(run) == 5 and 0 < degraded(run, end=4.0) < 0.5,
    ),
    "clock_jump": (instant("clock_jump", "all", seconds=60.0), lambda run: during(run)[Ending.REFUSED] > 0),
    "aggregator_restart": (
        {"type": "aggregator_restart", "at": BEGIN, "duration": END - BEGIN},
        lambda run: set(during(run)) == {Ending.UNREACHABLE} and fewest_serving(run) == 0,
    ),
    "aggregator_pause": (
        {"type": "aggregator_pause", "at": BEGIN, "duration": 1.5},
        lambda run: 1.0 < slowest(run) < 2.0 and set(during(run)) == {Ending.ANSWERED},
    ),
}


@pytest.mark.parametrize("stream", ["upstream", "downstream", "both"])
@pytest.mark.parametrize("rate", [1.0, 300.0])
def test_a_narrow_bandwidth_is_over_when_it_is_over(bundle: Bundle, stream: str, rate: float) -> None:
    """At a byte a second no message comes through; at 300 those do, and a student takes over a minute."""
    narrow = lasting("bandwidth", rate=rate, stream=stream)
    run = simulate(scenario(narrow, instant("damaged_cache"), recovery=8.0), 1, bundle)
    assert run.problems == ()
    assert degraded(run) > 0.5
    assert run.samples[-1].students == 8


@pytest.mark.parametrize("kind", EFFECTS)
def test_a_fault_is_felt_and_over_when_it_is_over(kind: str, bundle: Bundle) -> None:
    fault, felt = EFFECTS[kind]
    run = simulate(scenario(fault), 3, bundle)
    assert run.problems == ()
    assert felt(run), summarise(run)
    assert {fall.type for fall in run.falls} == {kind}
    assert during(run, 0.0, BEGIN - 0.1).keys() == {Ending.ANSWERED}
    assert degraded(run, 0.0, BEGIN - 0.1) == 0


def test_every_fault_has_its_effect_or_its_reason() -> None:
    impossible = {kind for kind in FAULTS if kind not in EFFECTS}
    assert impossible == {"disk_full"}
    lines = shortcomings(scenario(*(lasting(kind, f"device-{i}") for i, kind in enumerate(impossible))))
    assert [line for line in lines if line.startswith("disk_full: ")]


def test_what_is_impossible_is_left_out_and_told(bundle: Bundle) -> None:
    run = simulate(scenario(lasting("disk_full"), lasting("kill", "device-4")), 1, bundle)
    assert [fall.type for fall in run.falls] == ["kill"]
    assert len(run.notes) == 2
    assert shortcomings(scenario(lasting("kill"))) == list(run.notes[1:]), "there are never labels"


@pytest.mark.parametrize("stream", ["upstream", "downstream"])
def test_a_link_that_works_one_way_is_as_good_as_none(stream: str, bundle: Bundle) -> None:
    run = simulate(scenario(lasting("timeout", stream=stream)), 1, bundle)
    assert fewest_serving(run) == 5
    assert run.problems == ()


def test_recovery_is_told_where_it_can_be(bundle: Bundle) -> None:
    first, second, other = (
        {"type": "kill", "target": f"device-{index}", "at": at, "duration": 2.0}
        for index, at in ((0, 1.0), (1, 2.0), (2, 6.0))
    )
    run = simulate(scenario(first, second, other, seconds=10.0), 1, bundle)
    overlapped, *alone = (fall.recovered for fall in run.falls)
    assert overlapped is None, "when it ended, another device was down"
    assert all(recovered is not None and 0.3 < recovered < 1.0 for recovered in alone)


def test_a_cluster_that_does_not_recover_in_time_is_a_problem(bundle: Bundle) -> None:
    run = simulate(scenario(lasting("kill", duration=7.0), recovery=0.2), 1, bundle)
    (problem,) = run.problems
    assert problem.invariant == "WHOLE_AGAIN"
    assert 9.2 < problem.at < 10.0


def test_a_narrow_line_takes_as_long_for_a_student_as_its_file_is_large(bundle: Bundle) -> None:
    narrow = lasting("bandwidth", "device-1", rate=14_000.0)
    run = simulate(scenario(narrow, instant("damaged_cache", "device-1")), 1, bundle)
    away = [sample.at for sample in run.samples if sample.serving < 8]
    size = bundle.manifest.students[0].bytes
    assert max(away) - min(away) == pytest.approx(size / 14_000.0, abs=0.75)


def test_two_lives_of_the_aggregator_make_one_run(bundle: Bundle) -> None:
    run = simulate(library()["aggregator_restart"], 2, bundle)
    summary = summarise(run)
    assert summary["unreachable"] > 30
    assert summary["lost"] == summary["violations"] == 0
    (fall,) = run.falls
    assert fall.target == "aggregator"
    assert fall.recovered is not None


@pytest.mark.parametrize(
    "sabotage", ["answers come twice", "logits are a little off", "answers never come", "it raises"]
)
def test_a_violation_ends_the_run_and_is_in_its_record(sabotage: str, bundle: Bundle) -> None:
    core, invariant = SABOTEURS[sabotage]
    run = simulate(library()["half_lost"], 1, bundle, core)
    (problem,) = run.problems
    assert problem.invariant == invariant
    assert problem.history
    assert "promised: " in problem.what


def test_a_violation_under_load_tells_its_time_and_history(bundle: Bundle) -> None:
    def late(core: Core, now: float, event: events.Event, found: list[Effect]) -> list[Effect]:
        return repeat_answers(core, now, event, found) if now > 8.0 else found

    run = simulate(library()["half_lost"], 1, bundle, after(late))
    (problem,) = run.problems
    assert 5.0 <= problem.at < 7.0
    assert run.seconds == pytest.approx(problem.at)
    assert problem.history[0].startswith("(on this clock the load began at ")
    assert any("Answer(request=" in line for line in problem.history)
    assert max(outcome.sent for outcome in run.outcomes) <= problem.at


@pytest.mark.slow
@pytest.mark.heavy
@pytest.mark.parametrize("name", library())
def test_the_library_passes(name: str, bundle: Bundle) -> None:
    chosen = library()[name]
    assert chosen.cluster.devices == 8
    for seed in SEEDS:
        run = simulate(chosen, seed, bundle)
        assert run.problems == (), f"seed {seed}: {run.problems[0].what}"
        assert Counter(o.ending for o in run.outcomes)[Ending.LOST] == 0
