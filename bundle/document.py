"""manifest.json: from JSON to a `Manifest`, every value checked on the way, and the id that seals it."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeVar

from bundle.manifest import (
    MAX_STUDENTS,
    MERGE,
    SELF_TEST,
    TWINS,
    FileEntry,
    InputSpec,
    Manifest,
    StudentEntry,
    TwinEntry,
    digest,
    student_name,
    twin_name,
)
from bundle.merge import FILLS, LARGEST_LOGIT, Fill

T = TypeVar("T")

FORMAT: Final = "nonn-bundle"
# Written is the lowest version that can say what the bundle holds: an older NoNN reads all that it can.
PLAIN_VERSION: Final = 1
VERSION: Final = 2  # some student has an int8 twin
NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")  # it may become part of a path


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
    _check_file_names(files, students)
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


def _check_file_names(files: Mapping[str, FileEntry], students: Sequence[Any]) -> None:
    """Names are compared, never used as they come: a manifest cannot point out of its folder."""
    twins = [index for index, entry in enumerate(students) if isinstance(entry, dict) and "int8" in entry]
    expected = {MERGE, SELF_TEST, *map(student_name, range(len(students))), *map(twin_name, twins)}
    if twins:
        expected.add(TWINS)
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
        int8=_twin(index, _field(entry, "int8", dict), files) if "int8" in entry else None,
    )


def _twin(index: int, entry: Mapping[str, Any], files: Mapping[str, FileEntry]) -> TwinEntry:
    name = twin_name(index)
    if entry.get("file") != name:
        raise ValueError(f"the int8 twin of student {index} must have file {name!r}")
    tolerance = _field(entry, "tolerance", float)
    if not 0 < tolerance <= LARGEST_LOGIT:
        raise ValueError(f"'tolerance' of {name!r} must be a positive number")
    return TwinEntry(name, files[name].sha256, files[name].bytes, tolerance)


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
