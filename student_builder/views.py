"""Augmented views of the training images, each of which the teacher looks at once; students share them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from student_builder.augment import Cut, cut_holes, draw_cut
from student_builder.experiment import Schedule
from student_builder.files import make_folder, write_file
from student_builder.progress import Progress
from student_builder.teacher import Teacher
from student_builder.training import Batch, Indices, Pixels, Source

TEACHER_BATCH = 250


def prepare_views(
    teacher: Teacher, pixels: Pixels, schedule: Schedule, count: int, folder: Path, progress: Progress
) -> Source:
    """The teacher's pooled features of `count` views of every image, from `folder` where they are there.

    A view is one crop and one flip of each image, drawn from the view's number alone: it is a part of the
    data and the same for every seed. Training takes the views in turn, one an epoch. Where an epoch is of
    small images, students see the view shrunk, since the teacher's answer is to the whole of it. Cutout comes
    on top, and the teacher has not seen the hole. On disk, 2 bytes a filter, image and view.

    Raises:
        StorageError: where the folder cannot be written.
    """
    make_folder(folder)
    cuts = [_draw(number, pixels, schedule) for number in range(count)]
    pooled = []
    batches = -(-len(pixels) // TEACHER_BATCH)
    with progress.task("let the teacher look", count * batches) as task:
        for number, cut in enumerate(cuts):
            path = folder / f"view-{number:03}.npy"
            features = _read(path, len(pixels), teacher.filters)
            if features is None:
                features = np.empty((len(pixels), teacher.filters), np.float16)
                for start in range(0, len(pixels), TEACHER_BATCH):
                    indices = np.arange(start, min(start + TEACHER_BATCH, len(pixels)))
                    images = _cut_out(pixels, indices, cut, schedule).images
                    features[indices] = teacher(images.contiguous(memory_format=torch.channels_last))[0]
                    task.advance(1)
                write_file(path, lambda temporary, array=features: np.save(temporary, array))  # type: ignore[misc]
            else:
                task.advance(batches)
            pooled.append(features)
    return _source(pixels, schedule, cuts, pooled)


def _source(
    pixels: Pixels, schedule: Schedule, cuts: Sequence[Cut], pooled: Sequence[NDArray[np.float16]]
) -> Source:
    def source(indices: Indices, epoch: int, size: int | None, generator: torch.Generator) -> Batch:
        view = epoch % len(cuts)
        batch = _cut_out(pixels, indices, cuts[view], schedule)
        known = torch.from_numpy(pooled[view][indices].astype(np.float32))
        images = batch.images if size is None else _shrunk(batch.images, size)
        return Batch(cut_holes(images, schedule.cutout, generator), batch.labels, known)

    return source


def _shrunk(images: Tensor, size: int) -> Tensor:
    return functional.interpolate(images, size=(size, size), mode="bilinear", antialias=True)


def _draw(number: int, pixels: Pixels, schedule: Schedule) -> Cut:
    room = 2 * schedule.crop_padding
    return draw_cut(len(pixels), (room, room), schedule, torch.Generator().manual_seed(number))


def _cut_out(pixels: Pixels, indices: Indices, cut: Cut, schedule: Schedule) -> Batch:
    images = pixels.images[indices]
    height, width = images.shape[1:3]
    cropped = cut.of(torch.from_numpy(indices)).apply(images, schedule.crop_padding, (height, width))
    return Batch(pixels.normalise(cropped), torch.from_numpy(pixels.labels[indices]))


def _read(path: Path, images: int, filters: int) -> NDArray[np.float16] | None:
    """None where there is no whole one."""
    try:
        features = np.load(path, mmap_mode="r")
    except (OSError, ValueError, EOFError):
        return None
    return features if features.shape == (images, filters) and features.dtype == np.float16 else None
