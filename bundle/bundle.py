"""A bundle that has been read and verified."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bundle.arrays import pack, take, unpack
from bundle.errors import BundleError, NonnError
from bundle.folder import read_folder
from bundle.manifest import MERGE, SELF_TEST, Manifest, StudentEntry, digest, read_manifest_json
from bundle.merge import Merger
from bundle.subsets import LossSummary, accuracy_by_lost, subset_mask

# Each further attempt needs a replacement that fell into the one before.
LOAD_ATTEMPTS: Final = 100
# Bytes at the most: of an .npz file's headers, and of the arrays for merging and of a self-test.
HEADERS: Final = 1 << 16
LARGEST_MERGE: Final = 1 << 30
LARGEST_SELF_TEST: Final = 1 << 28


@dataclass(frozen=True, slots=True, eq=False)
class SelfTest:
    """images uint8 [n, H, W, C], and partials float32 [S, n, K]: what each student must answer to them."""

    images: NDArray[np.uint8]
    partials: NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Bundle:
    """accuracy float32 [2**S] by subset mask (bit i = student i answered) on validation images; [0] is NaN.

    All content is in memory: a bundle that is loaded stays whole when its folder is replaced or deleted.
    """

    path: Path
    manifest: Manifest
    merger: Merger
    accuracy: NDArray[np.float32]
    self_test: SelfTest
    _models: tuple[bytes, ...] = field(repr=False)

    @classmethod
    def load(cls, path: Path | str) -> "Bundle":
        """Reads and verifies everything. Raises BundleError naming the offending file, or StorageError.

        Safe while `write_bundle` replaces the folder. After a crash in the middle of that, the bundle that it
        set aside is read.
        """
        path = Path(path).resolve()
        for attempt in range(1, LOAD_ATTEMPTS + 1):
            state = _identity(path), _identity(set_aside(path))
            folder = path if state[0] or not state[1] else set_aside(path)
            try:
                return read_bundle(folder, path)
            except NonnError:
                unchanged = state == (_identity(path), _identity(set_aside(path)))
                if unchanged or attempt == LOAD_ATTEMPTS:
                    raise
        raise AssertionError("unreachable")

    @classmethod
    def received(cls, manifest: bytes, files: Mapping[str, bytes]) -> "Bundle":
        """A bundle that is not on this machine's disk: its manifest.json, and its files by their sha256.

        Verified like one that is loaded. Raises BundleError.
        """
        try:
            entries = read_manifest_json(manifest)
            for sha256, data in files.items():
                if digest(data) != sha256:
                    raise ValueError(f"the file {sha256[:12]} is not what its digest says")
            named = {name: files[entry.sha256] for name, entry in entries.files.items()}
            return assemble(Path(entries.name), entries, named)
        except KeyError as error:
            raise BundleError(f"received bundle: the file {str(error)[1:13]} is missing") from error
        except ValueError as error:
            raise BundleError(f"received bundle: {error}") from error

    def student_bytes(self, student: int) -> bytes:
        """The student's ONNX file. Raises KeyError for an unknown student."""
        if not 0 <= student < len(self._models):
            raise KeyError(student)
        return self._models[student]

    def find_student(self, sha256: str) -> StudentEntry | None:
        """The (first) student whose ONNX file has this digest."""
        return next((entry for entry in self.manifest.students if entry.sha256 == sha256), None)

    def expected_accuracy(self, students: Iterable[int]) -> float:
        """Accuracy when exactly these students answer; NaN for nobody. Raises ValueError for unknown ones."""
        mask = subset_mask(students)
        if mask >= len(self.accuracy):
            raise ValueError(
                f"unknown student {mask.bit_length() - 1}: there are {len(self.manifest.students)}"
            )
        return float(self.accuracy[mask])

    def by_lost(self) -> tuple[LossSummary, ...]:
        """Mean, worst and best accuracy for each number of lost students."""
        return accuracy_by_lost(self.accuracy)


def set_aside(path: Path) -> Path:
    """Where the old bundle is while a new one takes its place."""
    return path.with_name(f".{path.name}.previous")


def read_bundle(folder: Path, path: Path) -> Bundle:
    """The verified bundle in `folder`, to be known as `path`; errors as in `Bundle.load`."""
    manifest, files = read_folder(folder)
    try:
        return assemble(path, manifest, files)
    except ValueError as error:
        raise BundleError(f"bundle {folder}: {error}") from error


def assemble(path: Path, manifest: Manifest, files: Mapping[str, bytes]) -> Bundle:
    """Raises ValueError, naming the file, where the content of the files does not fit the manifest."""
    try:
        merger, accuracy = unpack_merge(manifest, files[MERGE])
    except ValueError as error:
        raise ValueError(f"{MERGE}: {error}") from error
    try:
        self_test = _unpack_self_test(manifest, files[SELF_TEST])
    except ValueError as error:
        raise ValueError(f"{SELF_TEST}: {error}") from error
    models = tuple(files[student.file] for student in manifest.students)
    return Bundle(path, manifest, merger, accuracy, self_test, models)


def pack_merge(merger: Merger, accuracy: NDArray[np.float32]) -> bytes:
    """merge.npz: of the covariance, the upper triangle row by row."""
    arrays: dict[str, NDArray[Any]] = {"bias": merger.bias, "means": merger.means, "accuracy": accuracy}
    if merger.covariance is not None:
        arrays["covariance"] = merger.covariance[np.triu_indices(len(merger.covariance))]
    return pack(arrays)


def unpack_merge(manifest: Manifest, data: bytes) -> tuple[Merger, NDArray[np.float32]]:
    """The inverse of `pack_merge`. Raises ValueError."""
    students, classes = len(manifest.students), manifest.classes
    size = students * classes
    largest = 4 * (classes + size + 2**students + size * (size + 1) // 2) + HEADERS
    arrays = unpack(data, min(largest, LARGEST_MERGE))
    _only(arrays, {"bias", "means", "accuracy", "covariance"})
    merger = Merger(
        manifest.student_parts,
        take(arrays, "bias", np.float32, (classes,)),
        take(arrays, "means", np.float32, (students, classes)),
        manifest.fill,
        _unpack_covariance(arrays, size) if "covariance" in arrays else None,
    )
    accuracy = take(arrays, "accuracy", np.float32, (2**students,))
    if not np.isnan(accuracy[0]) or not ((accuracy[1:] >= 0) & (accuracy[1:] <= 1)).all():
        raise ValueError("'accuracy' must be from 0 to 1, and NaN for nobody")
    return merger, accuracy


def _unpack_covariance(arrays: Mapping[str, NDArray[Any]], size: int) -> NDArray[np.float32]:
    covariance = np.zeros((size, size), np.float32)
    covariance[np.triu_indices(size)] = take(arrays, "covariance", np.float32, (size * (size + 1) // 2,))
    return covariance


def _unpack_self_test(manifest: Manifest, data: bytes) -> SelfTest:
    arrays = unpack(data, LARGEST_SELF_TEST)
    _only(arrays, {"images", "partials"})
    images = take(arrays, "images", np.uint8, (None, *manifest.input.shape))
    shape = (len(manifest.students), len(images), manifest.classes)
    partials = take(arrays, "partials", np.float32, shape)
    if not len(images) or not np.isfinite(partials).all():
        raise ValueError("it needs at least one image, and finite partial logits")
    return SelfTest(images, partials)


def _only(arrays: Mapping[str, NDArray[Any]], names: set[str]) -> None:
    for name in sorted(set(arrays) - names):
        raise ValueError(f"the array {name!r} does not belong there")


def _identity(path: Path) -> tuple[int, int, int] | None:
    """Changes when another folder takes the path: inode numbers are reused, but a rename sets ctime."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_ctime_ns
