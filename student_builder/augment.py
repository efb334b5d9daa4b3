"""Augmentation of batches: every image gets its own crop, flip and hole."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from student_builder.experiment import Schedule

Images = NDArray[np.uint8]


@dataclass(frozen=True)
class Cut:
    """How each of N images is cut out of its padded self, and which ones are mirrored then.

    top, left: int64 [N], of the crop's corner. flipped: bool [N].
    """

    top: Tensor
    left: Tensor
    flipped: Tensor

    def of(self, indices: Tensor) -> Self:
        return type(self)(self.top[indices], self.left[indices], self.flipped[indices])

    def apply(self, images: Images, padding: int, size: tuple[int, int]) -> Images:
        """images [N, H, W, C], padded by reflection -> their crops [N, *size, C]."""
        if padding:
            images = np.pad(images, ((0, 0), (padding, padding), (padding, padding), (0, 0)), "reflect")
        height, width = size
        crops = np.empty((len(images), height, width, images.shape[3]), images.dtype)
        places = zip(self.top.tolist(), self.left.tolist(), self.flipped.tolist(), strict=True)
        for crop, image, (top, left, flipped) in zip(crops, images, places, strict=True):
            window = image[top : top + height, left : left + width]
            crop[:] = window[:, ::-1] if flipped else window
        return crops


def draw_cut(count: int, room: tuple[int, int], schedule: Schedule, generator: torch.Generator) -> Cut:
    """Random cuts for `count` images. room: how much higher and wider than a crop the padded images are."""
    top, left = (torch.randint(extra + 1, (count,), generator=generator) for extra in room)
    chances = torch.rand(count, generator=generator) if schedule.flip else torch.ones(count)
    return Cut(top, left, chances < 0.5)


def augment(images: Images, schedule: Schedule, size: int | None, generator: torch.Generator) -> Images:
    """Random crops of `size` (whole images: None) after reflection padding, and flips.

    images: uint8 [N, H, W, C]; the result is [N, h, w, C] with h = w = size, or H and W.
    """
    padding = schedule.crop_padding
    height, width = images.shape[1:3]
    cropped = (size, size) if size else (height, width)
    room = height + 2 * padding - cropped[0], width + 2 * padding - cropped[1]
    return draw_cut(len(images), room, schedule, generator).apply(images, padding, cropped)


def cut_holes(images: Tensor, side: int, generator: torch.Generator) -> Tensor:
    """A square of each image set to 0, the mean of normalised images (arXiv 1708.04552); side 0: none.

    images: normalised, [N, C, H, W].
    """
    return images.masked_fill(_holes(images, side, generator), 0) if side else images


def _holes(images: Tensor, side: int, generator: torch.Generator) -> Tensor:
    count, _, height, width = images.shape
    top = torch.randint(height, (count, 1, 1, 1), generator=generator) - side // 2
    left = torch.randint(width, (count, 1, 1, 1), generator=generator) - side // 2
    rows = torch.arange(height).view(1, 1, height, 1) - top
    columns = torch.arange(width).view(1, 1, 1, width) - left
    return (rows >= 0) & (rows < side) & (columns >= 0) & (columns < side)
