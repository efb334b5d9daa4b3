"""What can be known to be wrong before anything long starts."""

import torch
from torch import Tensor

from partitioner.sizes import checked_sizes, equal_sizes
from student_builder.errors import ExperimentError
from student_builder.experiment import Experiment, Schedule
from student_builder.networks import parse_architecture
from student_builder.teacher import Teacher

# The covariance of all partial logits grows with (students x classes)^2.
LARGEST_COVARIANCE = 4096


def check_plan(experiment: Experiment, teacher: Teacher, probe: Tensor) -> None:
    """Hold the experiment against its teacher and images; probe: some of them, [N, C, H, W].

    Raises:
        ExperimentError: naming the key.
        PartitionError: where the teacher's filters cannot be split so.
    """
    section = experiment.partition
    if section.sizes is not None:
        checked_sizes(teacher.filters, section.sizes)
    elif section.parts is not None:
        equal_sizes(teacher.filters, section.parts)
    try:
        for part in range(experiment.partition.part_count):
            parse_architecture(experiment.students.architecture_of(part), probe.shape[1])
    except ExperimentError as error:
        raise ExperimentError(f"students.architecture: {error}") from None
    if experiment.teacher.train is not None:
        _check_schedule("teacher.train", experiment.teacher.train, teacher, probe)
    _check_schedule("students", experiment.students, teacher, probe)
    _check_fill(experiment, teacher.classes)


def _check_schedule(name: str, schedule: Schedule, teacher: Teacher, probe: Tensor) -> None:
    height, width = probe.shape[2:]
    if schedule.crop_padding >= min(height, width):
        raise ExperimentError(
            f"{name}.crop_padding is {schedule.crop_padding}: "
            f"it must be below the images' own {height}x{width}"
        )
    size = schedule.small_size
    if size is None:
        return
    if size > min(height, width):
        raise ExperimentError(f"{name}.small_size is {size}, above the images' own {height}x{width}")
    try:
        with torch.no_grad():
            teacher.network(probe[:, :, :size, :size])
    except Exception as error:
        reason = " ".join(str(error).split())
        raise ExperimentError(
            f"{name}.small_size is {size}: the teacher does not take images so small ({reason})"
        ) from error


def _check_fill(experiment: Experiment, classes: int) -> None:
    size = experiment.students.count * classes
    if experiment.merge.fill == "ridge" and size > LARGEST_COVARIANCE:
        raise ExperimentError(
            f"merge.fill = 'ridge' needs a {size} x {size} covariance, above the limit of "
            f"{LARGEST_COVARIANCE}: use 'mean' or fewer students"
        )
