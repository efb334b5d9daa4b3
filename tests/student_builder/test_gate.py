"""Which twins pass: on accuracies that are made up, so that every reason to fail has its case."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from student_builder.gate import choose, drops, passes

STUDENTS = 3
MASKS = 2**STUDENTS


def level(value: float) -> NDArray[np.float32]:
    accuracy = np.full(MASKS, value, np.float32)
    accuracy[0] = np.nan
    return accuracy


def lowered(masks: list[int], points: float) -> NDArray[np.float32]:
    accuracy = level(0.9)
    accuracy[masks] -= np.float32(points / 100)
    return accuracy


def test_drops_are_told_by_the_number_of_lost_students() -> None:
    rows = drops(level(0.9), lowered([0b001], 0.3))
    assert [row.lost for row in rows] == [0, 1, 2]
    assert [row.mean for row in rows] == pytest.approx([0, 0, 0.1], abs=1e-4)
    assert [row.largest for row in rows] == pytest.approx([0, 0, 0.3], abs=1e-4)


@pytest.mark.parametrize(
    ("masks", "points", "good"),
    [
        ([0b111], 0.5, True),  # nobody lost: one subset, whose drop is the mean
        ([0b111], 0.51, False),
        ([0b001], 1.0, True),  # a third of the subsets of one: the mean is 0.33
        ([0b001], 1.1, False),  # any single subset
        ([0b001, 0b010], 0.8, False),  # the mean is 0.53
        ([0b111], -3.0, True),  # int8 may be better
    ],
)
def test_mean_and_single_subset_are_limited(masks: list[int], points: float, good: bool) -> None:
    assert passes(level(0.9), lowered(masks, points), max_drop=0.5) is good


def test_a_gain_elsewhere_does_not_pay_for_a_loss() -> None:
    int8 = lowered([0b001, 0b010, 0b100], 0.6)
    int8[0b111] = 1.0
    assert not passes(level(0.9), int8, max_drop=0.5)


Measure = Callable[[frozenset[int]], NDArray[np.float32]]


def measured_with(bad: dict[int, float]) -> tuple[list[frozenset[int]], Measure]:
    """A bundle in which each of these students costs so many points wherever it answers in int8."""
    asked: list[frozenset[int]] = []

    def measure(kept: frozenset[int]) -> NDArray[np.float32]:
        asked.append(kept)
        accuracy = level(0.9)
        for student in kept & set(bad):
            accuracy[np.arange(MASKS) >> student & 1 == 1] -= np.float32(bad[student] / 100)
        return accuracy

    return asked, measure


@given(st.sets(st.integers(0, STUDENTS - 1)))
def test_exactly_the_bad_students_stay_without(bad: set[int]) -> None:
    asked, measure = measured_with({student: 2.0 + student for student in bad})
    kept, accuracy = choose(level(0.9), measure, 0.5)
    assert kept == frozenset(range(STUDENTS)) - bad
    assert len(asked) == min(len(bad) + 1, STUDENTS), "once more than students are left out"
    np.testing.assert_array_equal(accuracy, level(0.9))


@given(st.lists(st.floats(0, 2), min_size=STUDENTS, max_size=STUDENTS), st.floats(0, 3))
def test_whatever_is_kept_passes(costs: list[float], max_drop: float) -> None:
    _, measure = measured_with(dict(enumerate(costs)))
    kept, accuracy = choose(level(0.9), measure, max_drop)
    assert passes(level(0.9), accuracy, max_drop) or not kept
