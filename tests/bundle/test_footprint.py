"""The estimate of a student's memory against what was measured (see bundle/footprint.py)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundle.footprint import student_bytes

MEASURED = [  # bytes of the file, image, most bytes that loading and running it took
    (132_304, (8, 8, 1), 0.9e6),
    (765_031, (32, 32, 3), 7.2e6),
    (2_850_822, (32, 32, 3), 16.7e6),
    (11_118_362, (32, 32, 3), 47.9e6),
    (765_031, (64, 64, 3), 18.8e6),
    (765_031, (96, 96, 3), 48.7e6),
]


@pytest.mark.parametrize(("size", "image", "most"), MEASURED)
def test_it_is_enough_and_not_twice_as_much(size: int, image: tuple[int, int, int], most: float) -> None:
    assert most <= student_bytes(size, image) < 2 * most


@given(st.integers(0, 2**63), st.lists(st.integers(0, 2**32 - 1), max_size=5))
def test_it_takes_whatever_a_message_may_say(size: int, image: list[int]) -> None:
    assert student_bytes(size, image) > size
