"""What the core needs to know of a bundle: no files, no ONNX."""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bundle import Bundle, InputSpec, Merger, subset_mask
from bundle.footprint import student_bytes


@dataclass(frozen=True, slots=True)
class Student:
    """memory_bytes: an estimate of what it takes on a device. cost: multiply-adds for one image."""

    index: int
    part: int
    sha256: str
    memory_bytes: int
    cost: int


@dataclass(frozen=True, slots=True)
class Model:
    """One bundle as the core sees it. accuracy: float32 [2**S] by subset mask."""

    bundle_id: str
    input: InputSpec
    students: tuple[Student, ...]
    merger: Merger
    accuracy: NDArray[np.float32]

    @classmethod
    def of(cls, bundle: Bundle) -> "Model":
        manifest = bundle.manifest
        students = tuple(
            Student(
                index=entry.index,
                part=entry.part,
                sha256=entry.sha256,
                memory_bytes=student_bytes(entry.bytes, manifest.input.shape),
                cost=entry.multiply_adds,
            )
            for entry in manifest.students
        )
        return cls(manifest.id, manifest.input, students, bundle.merger, bundle.accuracy)

    def expected_accuracy(self, students: Collection[int]) -> float:
        """On the bundle's validation images, when exactly these answer; 0 when nobody does."""
        return float(self.accuracy[subset_mask(students)]) if students else 0.0
