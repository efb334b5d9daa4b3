import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bundle import Fill, LossSummary, Merger, accuracy_by_lost, subset_accuracy, subset_mask, subset_members
from bundle.merge import FILLS


@settings(deadline=None)
@given(st.sets(st.integers(0, 20)))
def test_mask_and_members_are_inverse(students: set[int]) -> None:
    mask = subset_mask(students)
    assert mask == sum(2**student for student in students)
    assert subset_members(mask) == tuple(sorted(students))


@settings(deadline=None)
@given(
    st.sampled_from(FILLS),
    st.lists(st.integers(0, 2), max_size=3),
    st.integers(1, 3),
    st.integers(0, 2**32 - 1),
)
def test_every_subset_is_as_merged_one_by_one(fill: Fill, extra: list[int], parts: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    student_parts = [*range(parts), *(part % parts for part in extra)]
    students, images, classes = len(student_parts), 25, 4
    partials = random.normal(size=(students, images, classes)).astype(np.float32)
    labels = random.integers(0, classes, images)
    covariance = np.cov(partials.transpose(1, 0, 2).reshape(images, -1), rowvar=False)
    merger = Merger(student_parts, random.normal(size=classes), partials.mean(axis=1), fill, covariance)
    calls: list[None] = []
    accuracy = subset_accuracy(merger, partials, labels, progress=lambda: calls.append(None))

    assert accuracy.shape == (2**students,)
    assert accuracy.dtype == np.float32
    assert np.isnan(accuracy[0])
    assert len(calls) == 2**students - 1
    for mask in range(1, 2**students):
        answers = {student: partials[student] for student in range(students) if mask >> student & 1}
        hits = merger.merge(answers).argmax(axis=1) == labels
        assert accuracy[mask] == np.float32(hits.mean())


def test_summary_by_number_lost() -> None:
    accuracy = np.array([np.nan, 0.25, 0.5, 1.0], np.float32)
    assert accuracy_by_lost(accuracy) == (
        LossSummary(lost=0, subsets=1, mean=1.0, worst=1.0, best=1.0),
        LossSummary(lost=1, subsets=2, mean=0.375, worst=0.25, best=0.5),
    )


@pytest.mark.parametrize(
    ("partials", "labels", "message"),
    [
        (np.zeros((3, 5, 3), np.float32), np.zeros(5, int), "expected partial logits"),
        (np.zeros((2, 5, 3), np.float32), np.zeros(4, int), "expected 5 labels"),
        (np.zeros((2, 0, 3), np.float32), np.zeros(0, int), "at least one"),
        (np.zeros((2, 5, 3), np.float32), np.full(5, 3), "labels must be"),
        (np.zeros((2, 5, 3), np.float32), np.full(5, -1), "labels must be"),
        (np.zeros((2, 5, 3), np.float32), np.zeros(5), "labels must be"),
        (np.full((2, 5, 3), np.nan, np.float32), np.zeros(5, int), "not finite"),
    ],
)
def test_what_cannot_be_measured_is_refused(partials: np.ndarray, labels: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        subset_accuracy(Merger([0, 1], np.zeros(3), np.zeros((2, 3)), "zero"), partials, labels)
