from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from bundle import BundleContents, InputSpec, Merger, SelfTest, subset_accuracy

PARTS = (0, 1, 2, 0, 1)
CLASSES = 3
IMAGES = 40


@pytest.fixture
def make_contents() -> Callable[..., BundleContents]:
    """Contents of 5 students, 3 parts and 3 classes; any bytes stand for a student's model."""

    def make(seed: int = 0, **changes: Any) -> BundleContents:
        random = np.random.default_rng(seed)
        students = len(PARTS)
        partials = random.normal(size=(students, IMAGES, CLASSES)).astype(np.float32)
        stacked = partials.transpose(1, 0, 2).reshape(IMAGES, -1)
        bias, means, covariance = np.ones(CLASSES), partials.mean(axis=1), np.cov(stacked, rowvar=False)
        merger = Merger(PARTS, bias, means, "ridge", covariance)
        fields: dict[str, Any] = {
            "name": "toy",
            "input": InputSpec(4, 5, 1),
            "labels": ["ä", "b", "c"],
            "part_sizes": [4, 4, 3],
            "student_parts": PARTS,
            "student_models": [random.bytes(100 + index) for index in range(students)],
            "parameters": [10 + index for index in range(students)],
            "multiply_adds": [20] * students,
            "bias": bias,
            "means": means,
            "fill": "ridge",
            "covariance": covariance,
            "accuracy": subset_accuracy(merger, partials, random.integers(0, CLASSES, IMAGES)),
            "validation_images": IMAGES,
            "self_test": SelfTest(random.integers(0, 256, (2, 4, 5, 1), dtype=np.uint8), partials[:, :2]),
            "teacher_accuracy": 0.75,
            "experiment": {"seed": seed, "sizes": (1, 2)},
        }
        return BundleContents(**{**fields, **changes})

    return make
