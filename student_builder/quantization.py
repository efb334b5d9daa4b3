"""int8 twins for a bundle: made, measured with every subset of students, and kept where they are good."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bundle import (
    Bundle,
    TwinContents,
    accuracy_by_lost,
    subset_accuracy,
    subset_members,
    write_twins,
)
from student_builder.errors import AccuracyError
from student_builder.evaluation import load_matching, select_split
from student_builder.gate import SINGLE_SUBSET, choose, drops, passes
from student_builder.int8_graph import quantise
from student_builder.onnx_export import answers
from student_builder.progress import Progress, Silent

CALIBRATION_IMAGES: Final = 256
CALIBRATION_SEED: Final = 0
MAX_DROP: Final = 0.5
# The tolerance of fp32 students.
LEAST_TOLERANCE: Final = 1e-3


@dataclass(frozen=True)
class Quantization:
    """Of a bundle: the twins of all students, measured, and which of them are good enough.

    first: accuracy float32 [2**S] with all twins in int8; accuracy: with those in `kept`. Both by subset
    mask, on the validation images on which the bundle's own accuracy was measured.
    """

    bundle: Bundle
    source: str
    max_drop: float
    models: Sequence[bytes]
    first: NDArray[np.float32]
    kept: frozenset[int]
    accuracy: NDArray[np.float32]

    def write(self, path: Path | None = None) -> Bundle:
        """Writes the bundle with the twins that are kept, in its own place unless `path` is given.

        Raises:
            AccuracyError: where none is kept; nothing is written.
            StorageError: where it cannot be written, or was replaced meanwhile.
        """
        if not self.kept:
            raise AccuracyError(self._refusal())
        return write_twins(self.bundle, _contents(self), path)

    def _refusal(self) -> str:
        rows = drops(self.bundle.accuracy, self.first)
        mean, largest = max(row.mean for row in rows), max(row.largest for row in rows)
        return (
            "no int8 twin is good enough, so nothing is written: they cost up to "
            f"{mean:.2f} points on average and {largest:.2f} at worst, where --max-drop allows "
            f"{self.max_drop:g} and {SINGLE_SUBSET * self.max_drop:g} "
            f"(one validation image is {100 / self.bundle.manifest.validation_images:.2f} points)"
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON values; drops in points, accuracies from 0 to 1; with no twin kept, they are of all twins."""
        fp32, int8 = self.bundle.accuracy, self.accuracy if self.kept else self.first
        rows = zip(drops(fp32, int8), accuracy_by_lost(fp32), accuracy_by_lost(int8), strict=True)
        return {
            "bundle": self.bundle.manifest.id,
            "name": self.bundle.manifest.name,
            "data": self.source,
            "validation_images": self.bundle.manifest.validation_images,
            "calibration_images": CALIBRATION_IMAGES,
            "max_drop": self.max_drop,
            "passed_with_all": passes(fp32, self.first, self.max_drop),
            "kept": sorted(self.kept),
            "students": [self._student(index) for index in range(len(self.models))],
            "by_lost": {
                str(drop.lost): {
                    "subsets": exact.subsets,
                    "fp32": {"mean": exact.mean, "worst": exact.worst, "best": exact.best},
                    "int8": {"mean": rounded.mean, "worst": rounded.worst, "best": rounded.best},
                    "mean_drop": drop.mean,
                    "largest_drop": drop.largest,
                }
                for drop, exact, rounded in rows
            },
            "every_subset": [
                {
                    "answering": list(subset_members(mask)),
                    "fp32": float(fp32[mask]),
                    "int8": float(int8[mask]),
                }
                for mask in range(1, len(fp32))
            ],
        }

    def _student(self, index: int) -> dict[str, Any]:
        return {
            "student": index,
            "bytes": self.bundle.manifest.students[index].bytes,
            "int8_bytes": len(self.models[index]),
            "alone": float(self.bundle.accuracy[1 << index]),
            "int8_alone": float(self.first[1 << index]),
            "kept": index in self.kept,
        }


def quantize(
    bundle: Bundle, source: str, max_drop: float = MAX_DROP, progress: Progress | None = None
) -> Quantization:
    """Make an int8 twin of every student, calibrated on training images, and measure it on validation images.

    source: the data that the bundle was built from. max_drop: in points, see `gate.passes`.

    Raises:
        DataError: where the data cannot be read or is not what the bundle was built from.
    """
    progress = progress or Silent()
    data = load_matching(bundle, source)
    training, _ = select_split(bundle, data, "train")
    images, labels = select_split(bundle, data, "validation")
    chosen = np.random.RandomState(CALIBRATION_SEED).permutation(len(training))[:CALIBRATION_IMAGES]
    fp32 = [bundle.student_bytes(index) for index in range(len(bundle.manifest.students))]
    int8 = []
    with progress.task("quantise the students", len(fp32)) as task:
        for model in fp32:
            int8.append(quantise(model, training[chosen]))
            task.advance()
    exact = answers(fp32, images, "run the students", progress)
    rounded = answers(int8, images, "run their int8 twins", progress)
    measured: list[NDArray[np.float32]] = []

    def measure(kept: frozenset[int]) -> NDArray[np.float32]:
        partials = np.stack([(rounded if index in kept else exact)[index] for index in range(len(fp32))])
        with progress.task(f"merge every subset, {len(kept)} in int8", 2 ** len(fp32) - 1) as task:
            measured.append(subset_accuracy(bundle.merger, partials, labels, task.advance))
        return measured[-1]

    kept, accuracy = choose(bundle.accuracy, measure, max_drop)
    return Quantization(bundle, source, max_drop, int8, measured[0], kept, accuracy)


def _contents(quantization: Quantization) -> TwinContents:
    """The self-test of a twin: its answers here, from which another processor's may be as far as int8 is from
    fp32. That is above what rounding the other way does (samples/: 0.02 against 0.1 to 0.3 of cifar100, 0.003
    against 0.03 to 0.06 of digits), and below what a graph gives that is computed wrongly.
    """
    bundle, kept = quantization.bundle, sorted(quantization.kept)
    models = {index: quantization.models[index] for index in kept}
    partials = answers(list(models.values()), bundle.self_test.images, "self-test", Silent())
    off = np.abs(partials - bundle.self_test.partials[kept]).max(axis=(1, 2))
    return TwinContents(
        models=models,
        tolerances={
            index: max(float(worst), LEAST_TOLERANCE) for index, worst in zip(kept, off, strict=True)
        },
        partials=dict(zip(kept, partials, strict=True)),
        accuracy=quantization.accuracy,
        origin=_origin(quantization),
    )


def _origin(quantization: Quantization) -> Mapping[str, Any]:
    return {
        "calibration_images": CALIBRATION_IMAGES,
        "calibration_seed": CALIBRATION_SEED,
        "max_drop": quantization.max_drop,
        "versions": {name: version(name) for name in ("nonn", "onnx", "onnxruntime")},
    }
