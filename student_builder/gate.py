"""Which int8 twins may be used: those that cost no more accuracy than allowed, whoever answers.

Accuracies are float32 [2**S] by subset mask, [0] is NaN; drops are in points, positive where int8 is worse.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Accuracy = NDArray[np.float32]

# A single subset may lose this much more than the mean over all subsets of its size: of some hundred subsets
# that are measured on the same images, some are worse by chance.
SINGLE_SUBSET = 2.0


@dataclass(frozen=True, slots=True)
class Drop:
    """Points lost to int8 over all subsets in which exactly `lost` students are missing."""

    lost: int
    mean: float
    largest: float


def drops(fp32: Accuracy, int8: Accuracy) -> tuple[Drop, ...]:
    """One for each number of lost students, 0 to S - 1."""
    points, answered = _points(fp32, int8), _answered(len(fp32))
    students = len(fp32).bit_length() - 1
    rows = ((lost, points[answered == students - lost]) for lost in range(students))
    return tuple(Drop(lost, float(values.mean()), float(values.max())) for lost, values in rows)


def passes(fp32: Accuracy, int8: Accuracy, max_drop: float) -> bool:
    """Whether, for every number of lost students, the mean drop is at most `max_drop`, and every subset's at
    most SINGLE_SUBSET times that."""
    return all(row.mean <= max_drop and row.largest <= SINGLE_SUBSET * max_drop for row in drops(fp32, int8))


def choose(
    fp32: Accuracy, measure: Callable[[frozenset[int]], Accuracy], max_drop: float
) -> tuple[frozenset[int], Accuracy]:
    """The students whose twins may be used together, and the accuracy with these in int8.

    measure: the accuracy with such students in int8. Starts with all, and leaves out the one whose subsets
    lose most, until what remains passes; the costly `measure` is called once where all twins are good. When
    none remains, the accuracy is that of fp32.
    """
    students = len(fp32).bit_length() - 1
    kept = frozenset(range(students))
    while kept:
        int8 = measure(kept)
        if passes(fp32, int8, max_drop):
            return kept, int8
        kept -= {max(sorted(kept), key=lambda student: _blame(fp32, int8, student))}
    return kept, fp32


def _blame(fp32: Accuracy, int8: Accuracy, student: int) -> float:
    """The mean drop over all subsets in which the student answers."""
    members = np.arange(len(fp32)) >> student & 1 == 1
    return float(_points(fp32, int8)[members].mean())


def _points(fp32: Accuracy, int8: Accuracy) -> NDArray[np.float64]:
    # Rounded, since a drop of exactly the limit must not fail by the last bit of a float32.
    points: NDArray[np.float64] = np.round(100 * (fp32.astype(np.float64) - int8), 4)
    return points


def _answered(masks: int) -> NDArray[np.int64]:
    return np.array([mask.bit_count() for mask in range(masks)])
