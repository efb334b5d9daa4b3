"""Augmentation of whole batches in tensor code: every image of a batch gets its own crop, flip and hole."""

import torch
from torch import Tensor
from torch.nn import functional

from student_builder.experiment import Schedule


def augment(images: Tensor, schedule: Schedule, size: int | None, generator: torch.Generator) -> Tensor:
    """Random crops of `size` (whole images: None) after reflection padding, flips and cutout.

    images: float [N, C, H, W]; the result is [N, C, h, w] with h = w = size, or H and W. Cutout
    (arXiv 1708.04552) sets a square to 0, which is the mean of normalised images.
    """
    padding = schedule.crop_padding
    height, width = (size, size) if size else images.shape[2:]
    if padding:
        images = functional.pad(images, (padding,) * 4, mode="reflect")
    if images.shape[2:] != (height, width):
        images = _crop(images, height, width, generator)
    if schedule.flip:
        flipped = torch.rand(len(images), generator=generator) < 0.5
        images = torch.where(flipped[:, None, None, None], images.flip(3), images)
    if schedule.cutout:
        images = images.masked_fill(_holes(images, schedule.cutout, generator), 0)
    return images


def _crop(images: Tensor, height: int, width: int, generator: torch.Generator) -> Tensor:
    count, channels, padded_height, padded_width = images.shape
    top = torch.randint(padded_height - height + 1, (count, 1), generator=generator)
    left = torch.randint(padded_width - width + 1, (count, 1), generator=generator)
    rows = (top + torch.arange(height)).view(count, 1, height, 1)
    columns = (left + torch.arange(width)).view(count, 1, 1, width)
    image = torch.arange(count).view(count, 1, 1, 1)
    channel = torch.arange(channels).view(1, channels, 1, 1)
    return images[image, channel, rows, columns]


def _holes(images: Tensor, side: int, generator: torch.Generator) -> Tensor:
    count, _, height, width = images.shape
    top = torch.randint(height, (count, 1, 1, 1), generator=generator) - side // 2
    left = torch.randint(width, (count, 1, 1, 1), generator=generator) - side // 2
    rows = torch.arange(height).view(1, 1, height, 1) - top
    columns = torch.arange(width).view(1, 1, 1, width) - left
    return (rows >= 0) & (rows < side) & (columns >= 0) & (columns < side)
