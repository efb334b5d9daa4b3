"""Images in one folder a class, below PATH itself or below PATH/train and PATH/test."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from student_builder.errors import DataError

SUFFIXES = {".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"}

Split = tuple[NDArray[np.uint8], NDArray[np.int64]]


def read_folder(path: Path) -> tuple[Split, Split | None, tuple[str, ...]]:
    """Training images and labels, those of the test folder where there is one, and the classes' names.

    Images are uint8 [N, height, width, 1 or 3], labels the places of the folders' names in sorted order.

    Raises:
        DataError: naming the file or folder that cannot be used.
    """
    if not path.is_dir():
        raise DataError(f"there is no folder {path}")
    train, test = path / "train", path / "test"
    if not (train.is_dir() and test.is_dir()):
        names = _class_names(path)
        return _read_classes(path, names), None, names
    names = _class_names(train)
    unknown = set(_class_names(test)) - set(names)
    if unknown:
        raise DataError(f"{test / min(unknown)} is a class that {train} does not have")
    return _read_classes(train, names), _read_classes(test, names), names


def _class_names(path: Path) -> tuple[str, ...]:
    names = tuple(sorted(entry.name for entry in path.iterdir() if entry.is_dir()))
    if len(names) < 2:
        raise DataError(
            f"{path} holds {len(names)} folders: one folder of images a class is needed, at least two"
        )
    return names


def _read_classes(path: Path, names: tuple[str, ...]) -> Split:
    images: list[NDArray[np.uint8]] = []
    labels: list[int] = []
    for label, name in enumerate(names):
        files = sorted(file for file in (path / name).glob("*") if file.suffix.lower() in SUFFIXES)
        if not files:
            raise DataError(f"{path / name} holds no images: every class needs some")
        for file in files:
            images.append(_read_image(file))
            labels.append(label)
            if images[-1].shape != images[0].shape:
                raise DataError(
                    f"{file} is {_size(images[-1])} and {path / names[0]} begins with {_size(images[0])}: "
                    "all images must have one size, and be grey or colour"
                )
    return np.stack(images), np.array(labels, np.int64)


def _read_image(file: Path) -> NDArray[np.uint8]:
    """uint8 [height, width, 1 or 3], upright as `nonn predict` turns it."""
    try:
        with Image.open(file) as image:
            if image.mode.startswith(("I", "F")):
                raise DataError(f"{file} has more than 8 bits a channel: convert it to 8 bits")
            upright = ImageOps.exif_transpose(image)
            pixels = np.asarray(upright.convert("L" if image.mode in ("1", "L") else "RGB"))
    except DataError:
        raise
    except Exception as error:  # Pillow's decoders raise many kinds for a damaged file
        raise DataError(f"{file} is not a readable image: {error}") from error
    return pixels if pixels.ndim == 3 else pixels[..., None]


def _size(image: NDArray[np.uint8]) -> str:
    height, width, channels = image.shape
    return f"{height}x{width}x{channels}"
