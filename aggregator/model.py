"""What the core needs to know of a bundle: no files, no ONNX."""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bundle import Bundle, InputSpec, Merger, subset_mask
from bundle.footprint import student_bytes


@dataclass(frozen=True, slots=True)
class Student:
    """memory_bytes: an estimate of what it takes on a device. cost: multiply-adds for one image.

    twin: digest of its int8 twin, which a device may serve in its place; empty without one.
    """

    index: int
    part: int
    sha256: str
    memory_bytes: int
    cost: int
    twin: str = ""

    def digest(self, *, int8: bool) -> str:
        return self.twin if int8 else self.sha256


@dataclass(frozen=True, slots=True)
class Model:
    """One bundle as the core sees it. accuracy: float32 [2**S] by subset mask; twin_accuracy: in int8."""

    bundle_id: str
    input: InputSpec
    students: tuple[Student, ...]
    merger: Merger
    accuracy: NDArray[np.float32]
    twin_accuracy: NDArray[np.float32] | None = None

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
                twin=entry.int8.sha256 if entry.int8 else "",
            )
            for entry in manifest.students
        )
        twin_accuracy = bundle.twins.accuracy if bundle.twins else None
        return cls(manifest.id, manifest.input, students, bundle.merger, bundle.accuracy, twin_accuracy)

    def expected_accuracy(self, students: Collection[int], int8: Collection[int] = ()) -> float:
        """On the bundle's validation images, when exactly these answer; 0 when nobody does.

        int8: those that answer by their twins. Where only some do that could, it is an estimate: the lower of
        what was measured with all of them and with none.
        """
        if not students:
            return 0.0
        mask = subset_mask(students)
        exact = float(self.accuracy[mask])
        if not int8 or self.twin_accuracy is None:
            return exact
        rounded = float(self.twin_accuracy[mask])
        return rounded if all(s in int8 for s in students if self.students[s].twin) else min(exact, rounded)
