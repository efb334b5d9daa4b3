"""One bundle judged: every subset of its students, with every fill."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bundle import Bundle, Merger, accuracy_by_lost, subset_accuracy
from bundle.merge import FILLS
from student_builder.data import Dataset, split_validation
from student_builder.onnx_export import run_students

Judged = dict[str, dict[str, dict[str, float]]]


def judge(bundle: Bundle, images: NDArray[np.uint8], labels: NDArray[np.int64]) -> Judged:
    """Of a bundle's exported students."""
    models = [bundle.student_bytes(index) for index in range(bundle.merger.students)]
    return judge_partials(bundle.merger, np.stack(list(run_students(models, images))), labels)


def judge_partials(merger: Merger, partials: NDArray[np.float32], labels: NDArray[np.int64]) -> Judged:
    """Top-1 accuracy by fill and by the number of lost students: mean, worst and best over all subsets.

    partials: [S, N, classes].
    """
    found: Judged = {}
    for fill in FILLS:
        summaries = accuracy_by_lost(subset_accuracy(merger.with_fill(fill), partials, labels))
        found[fill] = {
            str(s.lost): {"mean": s.mean, "worst": s.worst, "best": s.best, "subsets": s.subsets}
            for s in summaries
        }
    return found


def costs(bundle: Bundle) -> dict[str, Any]:
    """What a student takes at the most, and how wide the parts are."""
    students = bundle.manifest.students
    return {
        "parameters": max(student.parameters for student in students),
        "multiply_adds": max(student.multiply_adds for student in students),
        "part_sizes": list(bundle.manifest.part_sizes),
        "bytes": sum(student.bytes for student in students),
    }


def held_back(data: Dataset, count: int, seed: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """The validation images and labels."""
    _, index = split_validation(len(data.train_images), count, seed)
    return data.train_images[index], data.train_labels[index]
