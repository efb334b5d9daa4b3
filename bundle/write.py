"""What a builder hands over -> a bundle on disk."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from bundle.arrays import pack
from bundle.bundle import Bundle, SelfTest, pack_merge
from bundle.document import FORMAT, PLAIN_VERSION, manifest_id
from bundle.manifest import MERGE, SELF_TEST, InputSpec, digest, student_name
from bundle.merge import Fill, Merger
from bundle.place import publish


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
    files = _files(contents)
    return publish(Path(path).resolve(), _document(contents, files), files)


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
        "version": PLAIN_VERSION,
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
