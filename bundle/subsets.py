"""Which students answered, as a bit mask, and the accuracy to expect from each such subset."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bundle.merge import Merger

Partials = Mapping[int, NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class LossSummary:
    """Accuracy over all `subsets` in which exactly `lost` students are missing."""

    lost: int
    subsets: int
    mean: float
    worst: float
    best: float


def subset_mask(students: Iterable[int]) -> int:
    """Bit i is set when student i answered. Raises ValueError for a negative index."""
    mask = 0
    for student in students:
        mask |= 1 << student
    return mask


def subset_members(mask: int) -> tuple[int, ...]:
    """The students of a mask, ascending: the inverse of `subset_mask`."""
    return tuple(student for student in range(mask.bit_length()) if mask >> student & 1)


def subset_accuracy(
    merger: Merger,
    partials: NDArray[np.float32],
    labels: NDArray[np.integer[Any]],
    progress: Callable[[], object] | None = None,
) -> NDArray[np.float32]:
    """Top-1 accuracy of every subset of students: partials [S, N, K], labels [N] -> float32 [2**S] by mask.

    Index 0, nobody answered, is NaN. `progress` is called once for each of the 2**S - 1 subsets.
    A subset costs about a sum and an argmax over [N, K]; with `ridge`, a solve of up to S*K unknowns besides.
    Raises ValueError when shapes do not fit, labels are out of range or partial logits are not finite.
    """
    answers = _checked(merger, partials, labels)
    accuracy = np.full(2**merger.students, np.nan, dtype=np.float32)
    for mask, logits in _merged_subsets(merger, answers):
        accuracy[mask] = np.mean(logits.argmax(axis=1) == labels)
        if progress is not None:
            progress()
    return accuracy


def accuracy_by_lost(accuracy: NDArray[np.float32]) -> tuple[LossSummary, ...]:
    """float32 [2**S] by mask -> one summary for each number of lost students, 0 to S - 1."""
    students = len(accuracy).bit_length() - 1
    answered = np.array([mask.bit_count() for mask in range(len(accuracy))])
    summaries = []
    for lost in range(students):
        values = accuracy[answered == students - lost].astype(np.float64)
        summaries.append(
            LossSummary(lost, len(values), float(values.mean()), float(values.min()), float(values.max()))
        )
    return tuple(summaries)


def _merged_subsets(merger: Merger, answers: Partials) -> Iterator[tuple[int, NDArray[np.float32]]]:
    if merger.fill != "ridge":
        yield from _plain_subsets(merger, answers)
        return
    for mask in range(1, 2**merger.students - 1):
        members = subset_members(mask)
        # Not through `merge`: its cache is for the few subsets that a cluster meets.
        yield mask, merger.estimator(members).logits({member: answers[member] for member in members})
    yield 2**merger.students - 1, merger.merge(answers)


def _plain_subsets(merger: Merger, answers: Partials) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Walks the tree whose level j chooses the answering replicas of part j, so that sums are shared.

    The order of additions is that of `Merger.merge`, hence so is every bit of the result.
    """
    images = len(answers[0])

    def walk(part: int, mask: int, logits: NDArray[np.float32]) -> Iterator[tuple[int, NDArray[np.float32]]]:
        if part == merger.parts:
            if mask:
                yield mask, logits
            return
        replicas = merger.replicas[part]
        for members in (
            chosen for count in range(len(replicas) + 1) for chosen in combinations(replicas, count)
        ):
            share = merger.share(part, {member: answers[member] for member in members})
            yield from walk(part + 1, mask | subset_mask(members), logits + share)

    yield from walk(0, 0, np.tile(merger.bias, (images, 1)))


def _checked(
    merger: Merger, partials: NDArray[np.float32], labels: NDArray[np.integer[Any]]
) -> dict[int, NDArray[np.float32]]:
    if partials.ndim != 3 or len(partials) != merger.students:
        raise ValueError(f"expected partial logits [{merger.students}, N, K], found {list(partials.shape)}")
    if labels.shape != partials.shape[1:2] or labels.size == 0:
        raise ValueError(f"expected {partials.shape[1]} labels, and at least one, found {list(labels.shape)}")
    if not np.issubdtype(labels.dtype, np.integer) or labels.min() < 0 or labels.max() >= merger.classes:
        raise ValueError(f"labels must be integers from 0 to {merger.classes - 1}")
    for student, partial in enumerate(partials):
        merger.check(student, partial)
    return dict(enumerate(partials))
