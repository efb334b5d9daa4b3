"""Images and labels, from the sources that an experiment may name. Numpy only."""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from student_builder.errors import DataError

Images = NDArray[np.uint8]
Labels = NDArray[np.int64]

MOST_CLASSES = 65_536
TEST_SHARE = 0.2  # of a source that has no test split of its own


@dataclass(frozen=True)
class Dataset:
    """Images uint8 [N, height, width, channels], labels int64 [N] in 0..classes-1, one name a class."""

    train_images: Images
    train_labels: Labels
    test_images: Images
    test_labels: Labels
    label_names: tuple[str, ...]

    def __post_init__(self) -> None:
        for split in ("train", "test"):
            _check_split(
                split, getattr(self, f"{split}_images"), getattr(self, f"{split}_labels"), self.classes
            )
        if self.train_images.shape[1:] != self.test_images.shape[1:]:
            raise DataError(
                f"training images are {self.train_images.shape[1:]} and test images "
                f"{self.test_images.shape[1:]}: they must have one shape"
            )

    @property
    def classes(self) -> int:
        return len(self.label_names)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Height, width, channels."""
        height, width, channels = self.train_images.shape[1:]
        return height, width, channels

    @cached_property
    def digest(self) -> str:
        """sha256 over every array: two data sets with the same digest train alike."""
        digest = hashlib.sha256()
        for array in (self.train_images, self.train_labels, self.test_images, self.test_labels):
            digest.update(repr((array.shape, array.dtype)).encode())
            digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()


def _check_split(split: str, images: Images, labels: Labels, classes: int) -> None:
    if images.ndim != 4 or images.dtype != np.uint8 or images.shape[3] not in (1, 3):
        raise DataError(
            f"{split} images are {images.dtype} {list(images.shape)}: "
            "uint8 [N, height, width, channels] with 1 or 3 channels is needed"
        )
    if images.size == 0:
        raise DataError(f"there are no {split} images: their shape is {list(images.shape)}")
    if labels.shape != (len(images),):
        raise DataError(f"{len(images)} {split} images have labels of shape {list(labels.shape)}")
    if labels.min() < 0 or labels.max() >= classes:
        raise DataError(
            f"{split} labels run from {labels.min()} to {labels.max()}, out of range for {classes} classes: "
            f"they must lie in 0..{classes - 1}"
        )


def load_data(source: str, base: Path = Path()) -> Dataset:
    """The data set of a source such as `digits`, `npz:PATH`, `folder:PATH` or `torchvision:NAME`.

    Relative paths count from `base`. Raises DataError where the source cannot be used.
    """
    kind, _, argument = source.partition(":")
    if source == "digits":
        return _load_digits()
    if kind == "npz" and argument:
        return _load_npz(base / Path(argument).expanduser())
    if kind == "folder" and argument:
        return _load_folder(base / Path(argument).expanduser())
    if kind == "torchvision" and argument:
        return _load_torchvision(argument)
    raise DataError(f"unknown data source {source!r}: use digits, npz:PATH, folder:PATH or torchvision:NAME")


def split_validation(images: int, validation: int, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Indices of training and validation images within the training split, disjoint and fixed by the seed."""
    if not 0 < validation < images:
        raise DataError(f"{validation} validation images cannot be taken from {images} training images")
    order = np.random.RandomState(seed).permutation(images)
    return np.sort(order[validation:]), order[:validation]


def channel_moments(images: Images) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of pixels / 255, one a channel; no deviation is below 0.001.

    By histogram: exact, and without a copy of the images in floating point.
    """
    counts = np.zeros((images.shape[3], 256), np.int64)
    for start in range(0, len(images), 256):
        for channel, levels in enumerate(np.moveaxis(images[start : start + 256], 3, 0)):
            counts[channel] += np.bincount(levels.ravel(), minlength=256)
    shares, level = counts / counts.sum(1, keepdims=True), np.arange(256) / 255
    mean = shares @ level
    deviation = np.sqrt((shares * (level - mean[:, None]) ** 2).sum(1))
    return tuple(mean.tolist()), tuple(np.maximum(deviation, 1e-3).tolist())


def _load_digits() -> Dataset:
    """scikit-learn's 1,797 handwritten digits, 8x8; their 17 grey levels spread over 0..255."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    images = np.round(bunch.images[..., None] * (255 / 16)).astype(np.uint8)
    return _with_test_split(
        images, bunch.target.astype(np.int64), tuple(str(name) for name in bunch.target_names)
    )


def _load_npz(path: Path) -> Dataset:
    arrays = _read_archive(path)
    missing = {"train_images", "train_labels", "test_images", "test_labels"} - arrays.keys()
    if missing:
        held = ", ".join(sorted(arrays)) or "nothing"
        raise DataError(f"{path} lacks {', '.join(sorted(missing))}; it holds {held}")
    labels = {
        split: _integers(arrays[f"{split}_labels"], f"{split}_labels in {path}")
        for split in ("train", "test")
    }
    if "label_names" in arrays:
        label_names = _names(arrays["label_names"], path)
    else:
        label_names = _numbered(labels["train"])
    return Dataset(
        _with_channels(arrays["train_images"]),
        labels["train"],
        _with_channels(arrays["test_images"]),
        labels["test"],
        label_names,
    )


def _read_archive(path: Path) -> dict[str, NDArray[Any]]:
    wanted = {"train_images", "train_labels", "test_images", "test_labels", "label_names"}
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files if name in wanted}
    except FileNotFoundError:
        raise DataError(f"there is no data file {path}") from None
    except Exception as error:  # zipfile, zlib and numpy each raise their own for a damaged archive
        raise DataError(f"{path} is not a readable .npz archive of plain arrays: {error}") from error


def _numbered(labels: Labels) -> tuple[str, ...]:
    """Names for classes that have none: their numbers."""
    largest = int(labels.max(initial=-1))
    if largest >= MOST_CLASSES:
        raise DataError(
            f"a label is {largest}, and there are no label_names: that many classes are not likely"
        )
    return tuple(str(k) for k in range(largest + 1))


def _names(names: NDArray[Any], path: Path) -> tuple[str, ...]:
    if names.ndim != 1 or names.dtype.kind not in "USiu":
        raise DataError(f"label_names in {path} are {names.dtype} {list(names.shape)}: give one text a class")
    try:
        return tuple(names.astype(str).tolist())
    except UnicodeDecodeError:
        raise DataError(f"label_names in {path} are bytes and not ASCII: save them as text") from None


def _integers(labels: NDArray[Any], what: str) -> Labels:
    if not np.issubdtype(labels.dtype, np.integer):
        raise DataError(f"{what} are {labels.dtype}: whole class numbers are needed")
    return labels.astype(np.int64)


def _with_channels(images: NDArray[Any]) -> NDArray[Any]:
    return images[..., None] if images.ndim == 3 else images


def _load_folder(path: Path) -> Dataset:
    from student_builder.image_folder import read_folder

    train, test, names = read_folder(path)
    return _with_test_split(*train, names) if test is None else Dataset(*train, *test, names)


def _load_torchvision(name: str) -> Dataset:
    try:
        from torchvision import datasets
    except ModuleNotFoundError:
        raise DataError(
            f"torchvision:{name} needs torchvision: install it beside the torch that is here"
        ) from None
    factory = getattr(datasets, name, None)
    if factory is None:
        raise DataError(f"torchvision has no data set {name!r}")
    root = Path.home() / ".cache" / "nonn" / "torchvision"
    try:
        train, test = (factory(root, train=train, download=True) for train in (True, False))
    except TypeError:
        raise DataError(
            f"torchvision's {name} has no train and test split: save it as .npz or a folder"
        ) from None
    except (OSError, RuntimeError) as error:
        raise DataError(f"torchvision could not provide {name}: {error}") from error
    names = tuple(str(label) for label in getattr(train, "classes", ()))
    train_arrays, test_arrays = _read_pairs(train), _read_pairs(test)
    return Dataset(*train_arrays, *test_arrays, names or _numbered(train_arrays[1]))


def _read_pairs(pairs: Any) -> tuple[Images, Labels]:
    images, labels = zip(*((np.asarray(image), int(label)) for image, label in pairs), strict=True)
    return _with_channels(np.stack(images)), np.array(labels, np.int64)


def _with_test_split(images: Images, labels: Labels, names: tuple[str, ...]) -> Dataset:
    order = np.random.RandomState(0).permutation(len(images))
    test, train = np.split(order, [round(len(images) * TEST_SHARE)])
    return Dataset(images[train], labels[train], images[test], labels[test], names)
