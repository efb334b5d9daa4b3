"""How long something takes: runs one after another, until there are enough of them or time is up."""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

# Of a device that has just loaded and tested a student, and is to serve it soon.
BRIEF_SECONDS, BRIEF_RUNS = 0.2, 30


@dataclass(frozen=True, slots=True)
class Timing:
    """Milliseconds a run: the fastest, the median, and what 5 and 95 of 100 runs stay below."""

    runs: int
    best: float
    median: float
    low: float
    high: float


def summarise(seconds: Sequence[float]) -> Timing:
    """Of one run or more."""
    ordered = sorted(1000 * value for value in seconds)
    rank = (len(ordered) - 1) / 20
    return Timing(
        runs=len(ordered),
        best=ordered[0],
        median=statistics.median(ordered),
        low=ordered[round(rank)],
        high=ordered[round(19 * rank)],
    )


def time_runs(
    run: Callable[[], object],
    seconds: float,
    most: int,
    warm_up: int = 0,
    clock: Callable[[], float] = time.perf_counter,
) -> Timing:
    """Up to `most` runs within `seconds`, one at least, after `warm_up` others."""
    for _ in range(warm_up):
        run()
    spent: list[float] = []
    begun = clock()
    while not spent or (len(spent) < most and clock() - begun + min(spent) <= seconds):
        started = clock()
        run()
        spent.append(clock() - started)
    return summarise(spent)
