"""Partial logits -> logits: the one merge that building, serving and checking share."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

Fill = Literal["zero", "mean", "ridge"]
FILLS: Final[tuple[Fill, ...]] = get_args(Fill)

RIDGE: Final = 1e-3
# An estimator takes up to 4 * S * K^2 bytes: 320 KB for 8 students and 100 classes.
CACHED_ESTIMATORS: Final = 32
# Far beyond any real logit, and far enough below float32's end that no sum of students overflows.
LARGEST_LOGIT: Final = 1e12
FLOAT32: Final = np.dtype(np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class Estimator:
    """logits = offset [K] + z [N, n K] @ weights [n K, K], with n answers side by side in z, ascending."""

    offset: NDArray[np.float32]
    weights: NDArray[np.float32]

    def logits(self, partials: Mapping[int, NDArray[np.float32]]) -> NDArray[np.float32]:
        """[N, K]; `partials` are of exactly the students that the estimator is for."""
        answers = [partials[student] for student in sorted(partials)]
        logits: NDArray[np.float32] = np.concatenate(answers, axis=1) @ self.weights
        logits += self.offset
        return logits


class Merger:
    """Merges the partial logits of whichever students answered. S students, K classes, M parts.

    student_parts: the part of each student, S entries; parts 0..M-1 all occur.
    bias [K]: of the teacher's last layer. means [S, K]: each student's mean partial logits.
    covariance [S*K, S*K] of the students' stacked partial logits (upper triangle read); `ridge` needs it.
    Raises ValueError when these do not fit together. May be used by several threads at once.
    """

    def __init__(
        self,
        student_parts: Sequence[int],
        bias: ArrayLike,
        means: ArrayLike,
        fill: Fill,
        covariance: ArrayLike | None = None,
    ) -> None:
        self.student_parts = tuple(int(part) for part in student_parts)
        self.students = len(self.student_parts)
        self.replicas = _replicas(self.student_parts)
        self.parts = len(self.replicas)
        self.bias = _constant("bias", bias)
        self.classes = self.bias.size
        if self.bias.shape != (self.classes,) or self.classes == 0:
            raise ValueError(f"bias must be [classes], not {list(self.bias.shape)}")
        self.means = _constant("means", means, (self.students, self.classes))
        if fill not in FILLS:
            raise ValueError(f"fill must be one of {', '.join(FILLS)}, not {fill!r}")
        if fill == "ridge" and covariance is None:
            raise ValueError("fill 'ridge' needs the covariance of the partial logits")
        self.fill: Fill = fill
        self.covariance = None if covariance is None else self._symmetric(covariance)
        self._part_means = [self.means[list(members)].mean(axis=0) for members in self.replicas]
        self._cached_estimator = lru_cache(CACHED_ESTIMATORS)(self.estimator)

    def with_fill(self, fill: Fill) -> "Merger":
        """The same merge with another rule for lost parts. ValueError: `ridge` without a covariance."""
        if fill == self.fill:
            return self
        return Merger(self.student_parts, self.bias, self.means, fill, self.covariance)

    def merge(self, partials: Mapping[int, NDArray[np.float32]]) -> NDArray[np.float32]:
        """Partial logits {student: [N, K]} of at least one student -> logits [N, K].

        logits = b + sum over parts of the mean over the part's answering replicas. A part without an answer
        adds nothing (`zero`) or its mean partial logits (`mean`); with `ridge` and any student missing, all
        logits are estimated from the answering students: see `estimator`. Sums are float32 in a fixed order,
        in whatever order the answers came. Raises ValueError for unknown students, wrong shapes or dtypes,
        and values that are not finite.
        """
        self._check_all(partials)
        return self.merge_checked(partials)

    def merge_checked(self, partials: Mapping[int, NDArray[np.float32]]) -> NDArray[np.float32]:
        """`merge` of what has passed `check` one by one, all for the same number of images."""
        if self.fill == "ridge" and len(partials) < self.students:
            return self._cached_estimator(tuple(sorted(partials))).logits(partials)
        logits = _rows(self.bias, len(next(iter(partials.values()))))
        for part in range(self.parts):
            logits += self.share(part, partials)
        return logits

    def prepare(self, students: Sequence[int]) -> None:
        """Have at hand what `merge` needs for these students (ascending, at least one) and for all but one.

        That is work for `ridge` alone, which otherwise is done by the first merge of such a set.
        """
        for absent in (None, *students):
            answering = tuple(student for student in students if student != absent)
            if self.fill == "ridge" and 0 < len(answering) < self.students:
                self._cached_estimator(answering)

    def check(self, student: int, partial: NDArray[np.float32]) -> None:
        """Raises ValueError unless `partial` is what this student may answer: float32 [N, K], finite."""
        if not 0 <= student < self.students:
            raise ValueError(f"student {student} is unknown: there are {self.students}")
        if partial.dtype != FLOAT32 or partial.ndim != 2 or partial.shape[1] != self.classes:
            found = f"{partial.dtype} {list(partial.shape)}"
            raise ValueError(f"student {student}: expected float32 [N, {self.classes}], found {found}")
        # Where the sum of squares is small, so is every logit; that is quick to see, and nearly always so.
        # (`vdot`, unlike `dot`, does not warn of an overflow.)
        squares = np.vdot(partial, partial)
        if not squares <= LARGEST_LOGIT and not (np.abs(partial) <= LARGEST_LOGIT).all():
            raise ValueError(
                f"student {student}: partial logits that are not finite, or beyond {LARGEST_LOGIT:g}"
            )

    def share(self, part: int, partials: Mapping[int, NDArray[np.float32]]) -> NDArray[np.float32]:
        """What one part adds to the logits under `zero` and `mean`: [N, K], or [K] if no replica answered.

        Not to be changed: it may be one of the partial logits.
        """
        answers = [partials[student] for student in self.replicas[part] if student in partials]
        if not answers:
            return np.zeros_like(self.bias) if self.fill == "zero" else self._part_means[part]
        if len(answers) == 1:
            return answers[0]
        total = answers[0] + answers[1]
        for answer in answers[2:]:
            total += answer
        total /= len(answers)
        return total

    def estimator(self, answering: Sequence[int]) -> Estimator:
        """The ridge regression of the full merge on the answering students (ascending), from stored moments.

        B [K, S*K] is the full merge without its bias, z the stacked partial logits with mean mu and
        covariance C, U the coordinates of those who answered:

            A_U = B C[:, U] (C[U, U] + lambda mean(diag C[U, U]) I)^-1
            logits = b + B mu + A_U (z_U - mu_U)

        (Ridge regression: Hoerl and Kennard, 1970. With lambda -> 0 it is the best linear estimate.)
        """
        if self.covariance is None:
            raise ValueError("there is no covariance to estimate from")
        students, classes = self.students, self.classes
        blocks = self.covariance.reshape(students, classes, students, classes)
        replica_shares = [1.0 / len(self.replicas[part]) for part in self.student_parts]
        chosen, size = list(answering), len(answering) * classes
        means = self.means.astype(np.float64)

        cross = np.tensordot(replica_shares, blocks[:, :, chosen], axes=1).reshape(classes, size)
        within = blocks[chosen][:, :, chosen].reshape(size, size).astype(np.float64)
        # Constant partial logits have no variance: any positive scale then gives A_U = 0.
        within[np.diag_indices(size)] += RIDGE * (within.trace() / size or 1.0)
        solution = np.linalg.solve(within, cross.T)
        offset = self.bias + np.dot(replica_shares, means) - means[chosen].reshape(size) @ solution
        return Estimator(offset.astype(np.float32), solution.astype(np.float32))

    def _check_all(self, partials: Mapping[int, NDArray[np.float32]]) -> None:
        if not partials:
            raise ValueError("nothing to merge: no student answered")
        for student, partial in partials.items():
            self.check(student, partial)
        lengths = {len(partial) for partial in partials.values()}
        if len(lengths) > 1:
            raise ValueError(f"students answered for different numbers of images: {sorted(lengths)}")

    def _symmetric(self, covariance: ArrayLike) -> NDArray[np.float32]:
        size = self.students * self.classes
        upper = np.triu(_constant("covariance", covariance, (size, size)))
        if (upper.diagonal() < 0).any():
            raise ValueError("covariance has a negative variance on its diagonal")
        return upper + np.triu(upper, 1).T


def _rows(row: NDArray[np.float32], count: int) -> NDArray[np.float32]:
    """[count, K]: the row so many times."""
    rows = np.empty((count, len(row)), np.float32)
    rows[:] = row
    return rows


def _replicas(student_parts: tuple[int, ...]) -> tuple[tuple[int, ...], ...]:
    parts = sorted(set(student_parts))
    if not parts or parts != list(range(len(parts))):
        raise ValueError(f"every part from 0 on needs a student; found parts {parts}")
    return tuple(tuple(student for student, own in enumerate(student_parts) if own == part) for part in parts)


def _constant(name: str, values: ArrayLike, shape: tuple[int, ...] | None = None) -> NDArray[np.float32]:
    array = np.asarray(values, dtype=np.float64)
    if shape is not None and array.shape != shape:
        raise ValueError(f"{name} must be {list(shape)}, not {list(array.shape)}")
    # Squared, since a covariance is of logits times logits.
    if not (np.abs(array) <= LARGEST_LOGIT**2).all():
        raise ValueError(f"{name} has values that are not finite, or absurdly large")
    return array.astype(np.float32)
