"""From a run to the figures of its report: one JSON object."""

import dataclasses
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from fault_lab.record.outcome import Ending, Outcome
from fault_lab.record.run import Run

WINDOWS = 60  # at the most, of at least a second each


def summarise(run: Run) -> dict[str, Any]:
    """requests, answered, refused, lost and violations are numbers; what is behind them follows by name."""
    count = Counter(outcome.ending for outcome in run.outcomes)
    return {
        "scenario": run.scenario,
        "summary": run.summary,
        "ground": run.ground,
        "seed": run.seed,
        "passed": not run.problems,
        "requests": len(run.outcomes),
        "answered": count[Ending.ANSWERED],
        "degraded": sum(bool(outcome.missing) for outcome in run.outcomes),
        "refused": count[Ending.REFUSED],
        "unreachable": count[Ending.UNREACHABLE],
        "lost": count[Ending.LOST],
        "violations": len(run.problems),
        "refusals": dict(Counter(o.code for o in run.outcomes if o.ending is Ending.REFUSED)),
        "seconds": round(run.seconds, 3),
        "devices": run.devices,
        "students": run.students,
        "parts": run.parts,
        "latency": latency(run.outcomes),
        "accuracy": accuracy(run.outcomes),
        "faults": [dataclasses.asdict(fall) for fall in run.falls],
        "slowest_recovery": max((f.recovered for f in run.falls if f.recovered is not None), default=None),
        "problems": [dataclasses.asdict(problem) for problem in run.problems],
        "notes": list(run.notes),
        "windows": windows(run),
        "samples": [dataclasses.asdict(sample) for sample in run.samples],
        **run.facts,
    }


def latency(outcomes: Iterable[Outcome]) -> dict[str, float] | None:
    """Of answers, in seconds; None when there are none."""
    seconds = [outcome.seconds for outcome in outcomes if outcome.ending is Ending.ANSWERED]
    if not seconds:
        return None
    p50, p95, p99 = np.percentile(seconds, (50, 95, 99))
    return {
        name: round(float(value), 6)
        for name, value in (("p50", p50), ("p95", p95), ("p99", p99), ("max", max(seconds)))
    }


def accuracy(outcomes: Iterable[Outcome]) -> dict[str, float | int] | None:
    """Observed over all answered images, and expected of whoever answered each; None without labels."""
    known = [outcome for outcome in outcomes if outcome.right is not None]
    images = sum(outcome.images for outcome in known)
    if not images:
        return None
    right = sum(outcome.right or 0 for outcome in known)
    expected = sum(outcome.images * (outcome.expected_accuracy or 0.0) for outcome in known)
    return {"images": images, "observed": round(right / images, 4), "expected": round(expected / images, 4)}


def windows(run: Run) -> list[dict[str, Any]]:
    """The run in pieces of equal length, by when requests were sent."""
    seconds = max(1.0, run.seconds / WINDOWS)
    pieces: list[list[Outcome]] = [[] for _ in range(max(1, math.ceil(run.seconds / seconds)))]
    for outcome in run.outcomes:
        pieces[min(int(outcome.sent / seconds), len(pieces) - 1)].append(outcome)
    return [_window(index * seconds, seconds, piece) for index, piece in enumerate(pieces)]


def _window(at: float, seconds: float, outcomes: Sequence[Outcome]) -> dict[str, Any]:
    count = Counter(outcome.ending for outcome in outcomes)
    return {
        "at": round(at, 3),
        "seconds": round(seconds, 3),
        "requests": len(outcomes),
        **{ending.value: count[ending] for ending in Ending},
        "degraded": sum(bool(outcome.missing) for outcome in outcomes),
        "latency": latency(outcomes),
        "accuracy": accuracy(outcomes),
    }
