"""What a bundle says about itself: manifest.json as typed values, checked while it is read."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from bundle.errors import InputError
from bundle.merge import FILLS, Fill

T = TypeVar("T")

FORMAT: Final = "nonn-bundle"
VERSION: Final = 1
NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")  # it may become part of a path
MAX_STUDENTS: Final = 16  # the accuracy of every subset is stored: 2**16 values

MANIFEST: Final = "manifest.json"
MERGE: Final = "merge.npz"
SELF_TEST: Final = "self_test.npz"


def student_name(index: int) -> str:
    """The path of a student's ONNX file inside the bundle."""
    return f"students/student-{index}.onnx"


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
class StudentEntry:
    index: int
    part: int
    file: str
    sha256: str
    bytes: int
    parameters: int
    multiply_adds: int


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


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def manifest_id(document: Mapping[str, Any]) -> str:
    """sha256 of the canonical JSON (sorted keys, no spaces, UTF-8) of the document without its "id".

    Raises ValueError for what such JSON cannot hold: NaN, infinities, broken Unicode.
    """
    rest = {key: value for key, value in document.items() if key != "id"}
    canonical = json.dumps(rest, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return digest(canonical.encode())


def read_manifest_json(data: bytes) -> Manifest:
    """The bytes of a manifest.json -> typed values. Raises ValueError for what is wrong."""
    document = manifest_document(data)
    version = document.get("version")
    if type(version) is not int or version < 1:
        raise ValueError(f"no bundle version: {version!r}")
    if version > VERSION:
        raise ValueError(
            f"written by a newer NoNN (bundle version {version}; this one reads up to {VERSION}): update NoNN"
        )
    try:
        if document.get("id") != manifest_id(document):
            raise ValueError("it was changed after it was written (its id does not match its content)")
        return parse_manifest(document)
    except RecursionError as error:
        raise ValueError(str(error)) from error


def manifest_document(data: bytes) -> Mapping[str, Any]:
    """The JSON of a manifest that says it is one of ours, of any version. Raises ValueError."""
    try:
        document = json.loads(data.decode())
    except (ValueError, RecursionError) as error:
        raise ValueError(f"not JSON, or truncated: {error}") from error
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise ValueError(f"its format is not {FORMAT!r}")
    return document


def parse_manifest(document: Mapping[str, Any]) -> Manifest:
    """The document of a manifest of this version -> typed values. Raises ValueError for what is wrong."""
    files = {name: _file(name, entry) for name, entry in _field(document, "files", dict).items()}
    students = _field(document, "students", list)
    if not 1 <= len(students) <= MAX_STUDENTS:
        raise ValueError(f"there must be 1 to {MAX_STUDENTS} students, not {len(students)}")
    _check_file_names(files, len(students))
    image = _field(document, "input", dict)
    manifest = Manifest(
        id=_field(document, "id", str),
        name=_field(document, "name", str),
        input=InputSpec(*(_count(image, key, 1) for key in ("height", "width", "channels"))),
        labels=_list_of(document, "labels", str),
        part_sizes=_list_of(document, "part_sizes", int),
        students=tuple(_student(index, student, files) for index, student in enumerate(students)),
        fill=_fill(document),
        validation_images=_count(document, "validation_images", 1),
        teacher_accuracy=_accuracy(document, "teacher_accuracy"),
        experiment=_field(document, "experiment", dict),
        files=files,
    )
    if not NAME.fullmatch(manifest.name):
        raise ValueError(f"'name' must be letters, digits, '.', '_' and '-', not {manifest.name[:80]!r}")
    if not manifest.labels or not all(label.isprintable() for label in manifest.labels):
        raise ValueError("'labels' must be at least one, of printable characters only")
    if min(manifest.part_sizes, default=0) < 1:
        raise ValueError("'part_sizes' must be positive, one for each part")
    if set(manifest.student_parts) != set(range(manifest.parts)):
        raise ValueError(f"each of the {manifest.parts} parts needs a student")
    return manifest


def _check_file_names(files: Mapping[str, FileEntry], students: int) -> None:
    """Names are compared, never used as they come: a manifest cannot point out of its folder."""
    expected = {MERGE, SELF_TEST, *(student_name(index) for index in range(students))}
    for name in sorted(expected ^ set(files)):
        raise ValueError(f"'files' {'lacks' if name in expected else 'has an unexpected'} {name!r}")


def _student(index: int, entry: Any, files: Mapping[str, FileEntry]) -> StudentEntry:
    if not isinstance(entry, dict) or entry.get("index") != index or entry.get("file") != student_name(index):
        raise ValueError(f"student {index} must have index {index} and file {student_name(index)!r}")
    file = files[student_name(index)]
    return StudentEntry(
        index=index,
        part=_count(entry, "part", 0),
        file=student_name(index),
        sha256=file.sha256,
        bytes=file.bytes,
        parameters=_count(entry, "parameters", 0),
        multiply_adds=_count(entry, "multiply_adds", 0),
    )


def _file(name: str, entry: Any) -> FileEntry:
    if not isinstance(entry, dict):
        raise ValueError(f"the entry of {name!r} must be an object")
    sha256 = _field(entry, "sha256", str)
    if len(sha256) != 64 or not set(sha256) <= set("0123456789abcdef"):
        raise ValueError(f"the sha256 of {name!r} is no digest")
    return FileEntry(sha256, _count(entry, "bytes", 0))


def _fill(document: Mapping[str, Any]) -> Fill:
    for fill in FILLS:
        if document.get("fill") == fill:
            return fill
    raise ValueError(f"'fill' must be one of {', '.join(FILLS)}")


def _accuracy(document: Mapping[str, Any], key: str) -> float | None:
    value = document.get(key)
    if value is None:
        return None
    if type(value) not in (int, float) or not 0 <= value <= 1:
        raise ValueError(f"{key!r} must be from 0 to 1, or null")
    return float(value)


def _count(document: Mapping[str, Any], key: str, least: int) -> int:
    value = _field(document, key, int)
    if value < least:
        raise ValueError(f"{key!r} must be at least {least}, not {value}")
    return value


def _list_of(document: Mapping[str, Any], key: str, kind: type[T]) -> tuple[T, ...]:
    values = _field(document, key, list)
    if any(type(value) is not kind for value in values):
        raise ValueError(f"{key!r} must hold values of type {kind.__name__} only")
    return tuple(values)


def _field(document: Mapping[str, Any], key: str, kind: type[T]) -> T:
    value = document.get(key)
    if type(value) is not kind:  # not isinstance: JSON's true is no count
        raise ValueError(f"{key!r} is missing or not of type {kind.__name__}")
    return value
