"""A bundle that has been read and verified."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bundle.arrays import only, pack, take, unpack
from bundle.document import read_manifest_json
from bundle.errors import BundleError
from bundle.folder import read_folder, settled
from bundle.manifest import MERGE, SELF_TEST, TWINS, Manifest, Precision, digest
from bundle.merge import Merger
from bundle.subsets import LossSummary, accuracy_by_lost, subset_mask
from bundle.twins import Twins, take_accuracy, unpack_twins

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
    twins: None where no student has an int8 twin; `accuracy` and `self_test` are of fp32 in any case.

    All content is in memory: a bundle that is loaded stays whole when its folder is replaced or deleted.
    """

    path: Path
    manifest: Manifest
    merger: Merger
    accuracy: NDArray[np.float32]
    self_test: SelfTest
    twins: Twins | None
    _models: Mapping[tuple[int, Precision], bytes] = field(repr=False)

    @classmethod
    def load(cls, path: Path | str) -> "Bundle":
        """Reads and verifies everything. Raises BundleError naming the offending file, or StorageError.

        Safe while `write_bundle` replaces the folder. After a crash in the middle of that, the bundle that it
        set aside is read.
        """
        path = Path(path).resolve()
        return settled(path, lambda folder: read_bundle(folder, path))

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

    def student_bytes(self, student: int, precision: Precision = "fp32") -> bytes:
        """The student's ONNX file. Raises KeyError for an unknown student, or one without an int8 twin."""
        return self._models[student, precision]

    def find_model(self, sha256: str) -> bytes | None:
        """The ONNX file, of any student and precision, that has this digest."""
        for entry in self.manifest.students:
            if entry.sha256 == sha256:
                return self._models[entry.index, "fp32"]
            if entry.int8 and entry.int8.sha256 == sha256:
                return self._models[entry.index, "int8"]
        return None

    def expected_accuracy(self, students: Iterable[int], int8: Iterable[int] = ()) -> float:
        """Accuracy when exactly these students answer, those in `int8` by their twins; NaN for nobody.

        Measured for all in fp32 and for all twins in int8. For a mix it is the lower of the two: an estimate.
        Raises ValueError for unknown students, and for ones in `int8` without a twin.
        """
        mask, quantised = subset_mask(students), subset_mask(int8)
        if mask >= len(self.accuracy):
            raise ValueError(
                f"unknown student {mask.bit_length() - 1}: there are {len(self.manifest.students)}"
            )
        exact = float(self.accuracy[mask])
        twins = subset_mask(self.manifest.twins) & mask
        if quantised & ~twins:
            raise ValueError(f"no int8 twin of student {(quantised & ~twins).bit_length() - 1} answers")
        if self.twins is None or not quantised:
            return exact
        rounded = float(self.twins.accuracy[mask])
        return rounded if quantised == twins else min(exact, rounded)

    def by_lost(self) -> tuple[LossSummary, ...]:
        """Mean, worst and best accuracy for each number of lost students."""
        return accuracy_by_lost(self.accuracy)


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
    try:
        twins = _unpack_twins(manifest, len(self_test.images), files[TWINS]) if manifest.twins else None
    except ValueError as error:
        raise ValueError(f"{TWINS}: {error}") from error
    return Bundle(path, manifest, merger, accuracy, self_test, twins, _models(manifest, files))


def _models(manifest: Manifest, files: Mapping[str, bytes]) -> Mapping[tuple[int, Precision], bytes]:
    models: dict[tuple[int, Precision], bytes] = {}
    for student in manifest.students:
        models[student.index, "fp32"] = files[student.file]
        if student.int8:
            models[student.index, "int8"] = files[student.int8.file]
    return models


def _unpack_twins(manifest: Manifest, images: int, data: bytes) -> Twins:
    return unpack_twins(manifest, images, data, LARGEST_SELF_TEST)


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
    only(arrays, {"bias", "means", "accuracy", "covariance"})
    merger = Merger(
        manifest.student_parts,
        take(arrays, "bias", np.float32, (classes,)),
        take(arrays, "means", np.float32, (students, classes)),
        manifest.fill,
        _unpack_covariance(arrays, size) if "covariance" in arrays else None,
    )
    return merger, take_accuracy(arrays, students)


def _unpack_covariance(arrays: Mapping[str, NDArray[Any]], size: int) -> NDArray[np.float32]:
    covariance = np.zeros((size, size), np.float32)
    covariance[np.triu_indices(size)] = take(arrays, "covariance", np.float32, (size * (size + 1) // 2,))
    return covariance


def _unpack_self_test(manifest: Manifest, data: bytes) -> SelfTest:
    arrays = unpack(data, LARGEST_SELF_TEST)
    only(arrays, {"images", "partials"})
    images = take(arrays, "images", np.uint8, (None, *manifest.input.shape))
    shape = (len(manifest.students), len(images), manifest.classes)
    partials = take(arrays, "partials", np.float32, shape)
    if not len(images) or not np.isfinite(partials).all():
        raise ValueError("it needs at least one image, and finite partial logits")
    return SelfTest(images, partials)
