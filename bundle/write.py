"""What a builder hands over -> a bundle on disk, in place of the old one only when it is complete.

A folder cannot be exchanged for another in one portable step, so replacing takes two renames: the old bundle
is set aside under a name that `Bundle.load` knows, then the new one takes its place. A crash between the two
leaves both whole; until the next write puts the old one back, loading reads it where it is.
"""

import contextlib
import fcntl
import json
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from bundle.arrays import pack
from bundle.bundle import Bundle, SelfTest, assemble, pack_merge, read_bundle, set_aside
from bundle.errors import BundleError, StorageError
from bundle.folder import foreign_names, read_document
from bundle.manifest import (
    FORMAT,
    MANIFEST,
    MERGE,
    SELF_TEST,
    VERSION,
    InputSpec,
    digest,
    manifest_id,
    parse_manifest,
    student_name,
)
from bundle.merge import Fill, Merger


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class BundleContents:
    """S students, K classes, M parts; the arrays as in `Merger`, `subset_accuracy` and `SelfTest`.

    student_models: S ONNX files; student_parts, parameters, multiply_adds: S entries each.
    labels: K names; part_sizes: the filters in each of the M parts.
    validation_images: how many `accuracy` was measured on. experiment: JSON values.
    """

    name: str
    input: InputSpec
    labels: Sequence[str]
    part_sizes: Sequence[int]
    student_parts: Sequence[int]
    student_models: Sequence[bytes]
    parameters: Sequence[int]
    multiply_adds: Sequence[int]
    bias: ArrayLike
    means: ArrayLike
    fill: Fill
    covariance: ArrayLike | None = None
    accuracy: ArrayLike
    validation_images: int
    self_test: SelfTest
    teacher_accuracy: float | None = None
    experiment: Mapping[str, Any] = field(default_factory=dict)


def write_bundle(path: Path | str, contents: BundleContents) -> Bundle:
    """Writes the bundle and reads it back. A bundle at `path` is replaced; anything else there is refused.

    Raises ValueError where the contents do not fit together, StorageError when it cannot be written.
    """
    path = Path(path).resolve()
    files = _files(contents)
    document = _document(contents, files)
    assemble(path, parse_manifest(document), files)
    files[MANIFEST] = (json.dumps(document, indent=2, ensure_ascii=False) + "\n").encode()
    new = path.with_name(f".{path.name}.new-{secrets.token_hex(4)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _write_files(new, files)
        bundle = read_bundle(new, path)
        with _locked(path.parent):
            check_target(path)
            _put_in_place(new, path)
    except OSError as error:
        raise StorageError(f"cannot write the bundle {path}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(new, ignore_errors=True)
    return bundle


def check_target(path: Path | str) -> None:
    """Raises StorageError unless a bundle can be written there: worth knowing before hours of training."""
    path = Path(path).resolve()
    if os.path.lexists(path):
        try:
            read_document(path)
            foreign = foreign_names(path)
        except BundleError as error:
            raise StorageError(
                f"{path} exists and is not a bundle: remove it or name another folder"
            ) from error
        if foreign:
            name = min(foreign)
            raise StorageError(f"{path} holds {name!r}, which is no part of a bundle: move it away first")
    folder = next(parent for parent in path.parents if os.path.lexists(parent))
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        raise StorageError(f"cannot write the bundle {path}: {folder} is not a folder that you may write to")


def _files(contents: BundleContents) -> dict[str, bytes]:
    merger = Merger(contents.student_parts, contents.bias, contents.means, contents.fill, contents.covariance)
    files = {student_name(index): bytes(model) for index, model in enumerate(contents.student_models)}
    files[MERGE] = pack_merge(merger, np.asarray(contents.accuracy, np.float32))
    files[SELF_TEST] = pack({"images": contents.self_test.images, "partials": contents.self_test.partials})
    return files


def _document(contents: BundleContents, files: Mapping[str, bytes]) -> dict[str, Any]:
    columns = contents.student_parts, contents.parameters, contents.multiply_adds, contents.student_models
    accuracy = contents.teacher_accuracy
    try:
        experiment = json.loads(json.dumps(dict(contents.experiment), allow_nan=False))
    except TypeError as error:
        raise ValueError(f"experiment holds what JSON cannot: {error}") from error
    document: dict[str, Any] = {
        "format": FORMAT,
        "version": VERSION,
        "name": contents.name,
        "input": {
            "height": contents.input.height,
            "width": contents.input.width,
            "channels": contents.input.channels,
        },
        "fill": contents.fill,
        "teacher_accuracy": None if accuracy is None else float(accuracy),
        "validation_images": int(contents.validation_images),
        "part_sizes": [int(size) for size in contents.part_sizes],
        "students": [
            {
                "index": index,
                "part": int(part),
                "file": student_name(index),
                "parameters": int(parameters),
                "multiply_adds": int(multiply_adds),
            }
            for index, (part, parameters, multiply_adds, _) in enumerate(zip(*columns, strict=True))
        ],
        "files": {name: {"sha256": digest(data), "bytes": len(data)} for name, data in files.items()},
        "experiment": experiment,
        "labels": list(contents.labels),
    }
    return {"id": manifest_id(document), **document}


def _write_files(folder: Path, files: Mapping[str, bytes]) -> None:
    (folder / "students").mkdir(parents=True)
    for name, data in files.items():
        with (folder / name).open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    _sync(folder / "students")
    _sync(folder)


def _put_in_place(new: Path, path: Path) -> None:
    """At every moment either `path` or, once it is set aside, the old bundle is whole."""
    old = set_aside(path)
    if os.path.lexists(old):  # an earlier write was cut off
        if path.exists():
            _discard(old)
        else:
            old.rename(path)
    if path.exists():
        path.rename(old)
        _sync(path.parent)
    try:
        new.rename(path)
    except OSError:
        if old.exists():
            old.rename(path)
        raise
    _sync(path.parent)
    _discard(old)


def _discard(old: Path) -> None:
    """Under another name first: what is called set aside must never be half deleted."""
    if os.path.lexists(old):
        waste = old.with_name(f"{old.name}-{secrets.token_hex(4)}")
        old.rename(waste)
        shutil.rmtree(waste, ignore_errors=True)


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Keeps other writers out for the few renames, where the file system has locks."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
