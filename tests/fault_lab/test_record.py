"""From a run to its figures."""

import json

import pytest

from fault_lab.record import Ending, Fall, Outcome, Problem, Run, summarise
from fault_lab.record.summary import WINDOWS


def answered(number: int, sent: float, seconds: float = 0.01, **more: object) -> Outcome:
    return Outcome(number, sent, seconds, Ending.ANSWERED, **more)  # type: ignore[arg-type]


def run(*outcomes: Outcome, seconds: float = 10.0, **more: object) -> Run:
    return Run("test", "for a test", "processes", 0, 8, 8, 4, seconds, outcomes, **more)  # type: ignore[arg-type]


def test_each_request_is_counted_once() -> None:
    summary = summarise(
        run(
            answered(0, 0.5),
            answered(1, 1.5, missing=(3,)),
            Outcome(2, 2.5, 0.1, Ending.REFUSED, code="UNAVAILABLE"),
            Outcome(3, 2.6, 0.1, Ending.REFUSED, code="RESOURCE_EXHAUSTED"),
            Outcome(4, 3.5, 2.0, Ending.LOST, code="CANCELLED"),
            Outcome(5, 4.5, 0.1, Ending.UNREACHABLE, code="UNAVAILABLE"),
            problems=(Problem("LOST", "request 4", 5.5),),
        )
    )
    counts = {
        name: summary[name] for name in ("requests", "answered", "degraded", "refused", "unreachable", "lost")
    }
    assert counts == {
        "requests": 6, "answered": 2, "degraded": 1, "refused": 2, "unreachable": 1, "lost": 1,
    }  # fmt: skip
    assert summary["refusals"] == {"UNAVAILABLE": 1, "RESOURCE_EXHAUSTED": 1}
    assert (summary["violations"], summary["passed"]) == (1, False)
    assert sum(window["requests"] for window in summary["windows"]) == 6
    assert json.loads(json.dumps(summary, allow_nan=False))["problems"][0]["what"] == "request 4"


def test_latencies_are_those_of_answers() -> None:
    slow_refusal = Outcome(100, 1.0, 9.0, Ending.REFUSED, code="UNAVAILABLE")
    summary = summarise(run(*(answered(n, 1.0, n / 1000) for n in range(1, 101)), slow_refusal))
    assert summary["latency"]["p50"] == pytest.approx(0.0505)
    assert summary["latency"]["max"] == pytest.approx(0.1)


def test_accuracy_is_over_images_and_expected_of_who_answered() -> None:
    summary = summarise(
        run(
            answered(0, 0.5, images=4, right=4, expected_accuracy=0.9),
            answered(1, 0.6, images=1, right=0, expected_accuracy=0.4),
            answered(2, 0.7, expected_accuracy=0.1),
        )
    )
    assert summary["accuracy"] == {"images": 5, "observed": 0.8, "expected": 0.8}


def test_a_run_without_requests_has_no_figures_and_is_still_a_run() -> None:
    summary = summarise(run())
    assert summary["latency"] is summary["accuracy"] is summary["slowest_recovery"] is None
    assert summary["passed"]


def test_windows_are_a_second_or_more_and_not_too_many() -> None:
    short = summarise(run(answered(0, 9.99), answered(1, 10.0)))["windows"]
    assert (len(short), short[-1]["requests"]) == (10, 2)
    long = summarise(run(answered(0, 3599.0), seconds=3600.0))["windows"]
    assert (len(long), long[0]["seconds"]) == (WINDOWS, 60.0)


def test_the_slowest_recovery_is_told() -> None:
    falls = (
        Fall("kill", "device-1", 1, 2, 0.4),
        Fall("kill", "device-2", 1, 2, 3.5),
        Fall("slow", "device-3", 1, 2),
    )
    assert summarise(run(falls=falls))["slowest_recovery"] == 3.5
