"""What a bundle says about itself: its manifest as typed values, and the names of its files."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from bundle.errors import InputError
from bundle.merge import Fill

Precision = Literal["fp32", "int8"]

MAX_STUDENTS: Final = 16  # the accuracy of every subset is stored: 2**16 values

MANIFEST: Final = "manifest.json"
MERGE: Final = "merge.npz"
SELF_TEST: Final = "self_test.npz"
TWINS: Final = "int8.npz"


def student_name(index: int) -> str:
    """The path of a student's ONNX file inside the bundle."""
    return f"students/student-{index}.onnx"


def twin_name(index: int) -> str:
    """The path of the ONNX file of a student's int8 twin."""
    return f"students/student-{index}.int8.onnx"


@dataclass(frozen=True, slots=True)
class InputSpec:
    """Images are uint8 [N, height, width, channels]."""

    height: int
    width: int
    channels: int

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.height, self.width, self.channels

    def check(self, images: NDArray[Any]) -> None:
        """Raises InputError with what was expected and found unless images are uint8 [N >= 1, H, W, C]."""
        if images.dtype == np.uint8 and images.ndim == 4 and images.shape[1:] == self.shape and len(images):
            return
        expected = f"uint8 [N, {self.height}, {self.width}, {self.channels}] with N at least 1"
        raise InputError(f"images must be {expected}; found {images.dtype} {list(images.shape)}")


@dataclass(frozen=True, slots=True)
class FileEntry:
    """sha256 (hexadecimal) and size of one file of the bundle."""

    sha256: str
    bytes: int


@dataclass(frozen=True, slots=True)
class TwinEntry:
    """A student's graph in int8. tolerance: by how much its answers to the self-test may be off."""

    file: str
    sha256: str
    bytes: int
    tolerance: float


@dataclass(frozen=True, slots=True)
class StudentEntry:
    index: int
    part: int
    file: str
    sha256: str
    bytes: int
    parameters: int
    multiply_adds: int
    int8: TwinEntry | None = None


@dataclass(frozen=True, slots=True)
class Manifest:
    """`id` is the sha256 of the canonical JSON of all the rest, and the rest holds the digest of every other
    file: two bundles with one id are the same, byte for byte.

    part_sizes: filters in each part. validation_images: how many the accuracies were measured on.
    experiment: where the bundle came from (the resolved experiment, versions); JSON values, for people.
    """

    id: str
    name: str
    input: InputSpec
    labels: tuple[str, ...]
    part_sizes: tuple[int, ...]
    students: tuple[StudentEntry, ...]
    fill: Fill
    validation_images: int
    teacher_accuracy: float | None
    experiment: Mapping[str, Any]
    files: Mapping[str, FileEntry]

    @property
    def classes(self) -> int:
        return len(self.labels)

    @property
    def parts(self) -> int:
        return len(self.part_sizes)

    @property
    def student_parts(self) -> tuple[int, ...]:
        return tuple(student.part for student in self.students)

    @property
    def twins(self) -> tuple[int, ...]:
        """The students that have an int8 twin, ascending."""
        return tuple(student.index for student in self.students if student.int8)


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
