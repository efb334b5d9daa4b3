"""int8 twins of the students: what they answer to the self-test, and the accuracy of every subset of them."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bundle.arrays import only, pack, take, unpack
from bundle.manifest import Manifest


@dataclass(frozen=True, slots=True, eq=False)
class Twins:
    """accuracy float32 [2**S] by subset mask, on the same validation images as the bundle's own: of the
    answering students, all that have a twin answer in int8, the others in fp32; [0] is NaN.

    partials: of each student that has a twin, the twin's answers to the self-test images, float32 [n, K].
    """

    accuracy: NDArray[np.float32]
    partials: Mapping[int, NDArray[np.float32]]


def pack_twins(twins: Twins) -> bytes:
    """int8.npz: the partial logits in ascending order of the students, [T, n, K]."""
    partials = np.stack([twins.partials[student] for student in sorted(twins.partials)])
    return pack({"accuracy": twins.accuracy, "partials": partials})


def unpack_twins(manifest: Manifest, self_test_images: int, data: bytes, largest: int) -> Twins:
    """The inverse of `pack_twins`; largest: bytes of all arrays. Raises ValueError."""
    arrays = unpack(data, largest)
    only(arrays, {"accuracy", "partials"})
    shape = (len(manifest.twins), self_test_images, manifest.classes)
    partials = take(arrays, "partials", np.float32, shape)
    if not np.isfinite(partials).all():
        raise ValueError("'partials' must be finite")
    accuracy = take_accuracy(arrays, len(manifest.students))
    return Twins(accuracy, dict(zip(manifest.twins, partials, strict=True)))


def take_accuracy(arrays: Mapping[str, NDArray[np.generic]], students: int) -> NDArray[np.float32]:
    """The array 'accuracy' float32 [2**students]. Raises ValueError."""
    accuracy: NDArray[np.float32] = take(arrays, "accuracy", np.float32, (2**students,))
    if not np.isnan(accuracy[0]) or not ((accuracy[1:] >= 0) & (accuracy[1:] <= 1)).all():
        raise ValueError("'accuracy' must be from 0 to 1, and NaN for nobody")
    return accuracy
