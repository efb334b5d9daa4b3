"""The folder of one experiment's build: what each step leaves for the next, and whether it still holds.

runs/NAME/
    teacher/    report.json, weights.safetensors (trained here only)
    graphs/     graph.npz, report.json: how the teacher's filters fire together
    partition/  partition.json, picture.png
    trunks/     of the same kind, where the experiment has a trunk
    views/      what the teacher said of the augmented images, where they are kept
    students/   report.json, students.safetensors; state.safetensors while they train
    bundle/     the result

Graphs, trunks and views are in folders named by what they depend on, and may be shared by many experiments.

Each step's report carries a fingerprint of all that the step depends on; a step whose report has the right
one is not run again, and one whose inputs have changed is.
"""

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

from bundle.errors import StorageError
from student_builder.data import Dataset, channel_moments, load_data, split_validation
from student_builder.errors import DataError, ExperimentError
from student_builder.experiment import Experiment, Schedule
from student_builder.files import read_json, write_json
from student_builder.training import Pixels

VALIDATION_SHARE = 0.1


class TrainingFiles:
    """What a training leaves: report and weights, and its state while it is at work."""

    def __init__(self, folder: Path) -> None:
        self.report = folder / "report.json"
        self.weights = folder / "students.safetensors"
        self.state = folder / "state.safetensors"


class Workspace:
    """Paths, data and fingerprints of one experiment."""

    def __init__(self, experiment: Experiment, folder: Path, shared: Path | None = None) -> None:
        self.experiment = experiment
        self.folder = folder
        self._shared = shared or folder
        self.teacher_report = folder / "teacher" / "report.json"
        self.teacher_weights = folder / "teacher" / "weights.safetensors"
        self.teacher_state = folder / "teacher" / "state.safetensors"
        self.partition_file = folder / "partition" / "partition.json"
        self.picture = folder / "partition" / "picture.png"
        self.students = TrainingFiles(folder / "students")
        self.bundle = folder / "bundle"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep a second build of the same experiment out.

        Raises:
            StorageError: where another build runs, or the folder cannot be written.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self.folder / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise StorageError(f"cannot write to {self.folder}: {error.strerror or error}") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
        except BlockingIOError:
            raise StorageError(
                f"another build is at work in {self.folder}: wait for it or name another --work"
            ) from None
        finally:
            os.close(descriptor)

    @cached_property
    def dataset(self) -> Dataset:
        return load_data(self.experiment.data.source, self.experiment.base)

    @cached_property
    def normalisation(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Mean and standard deviation per channel, of pixels / 255."""
        section, images = self.experiment.data, self.dataset.train_images
        channels = images.shape[3]
        mean, std = section.mean, section.std
        if mean is None or std is None:
            measured_mean, measured_std = channel_moments(images)
            mean = measured_mean if mean is None else mean
            std = measured_std if std is None else std
        if len(mean) != channels or len(std) != channels or min(std) <= 0:
            raise ExperimentError(
                f"data.mean and data.std need {channels} numbers each, one a channel, and every std above 0"
            )
        return mean, std

    @cached_property
    def _splits(self) -> tuple[Pixels, Pixels]:
        section, data = self.experiment.data, self.dataset
        count = section.validation or max(1, round(len(data.train_images) * VALIDATION_SHARE))
        train, validation = split_validation(len(data.train_images), count, section.validation_seed)
        if len(train) < 2:
            raise DataError("too few training images are left beside the validation images")
        pixels = [
            Pixels(data.train_images[index], data.train_labels[index], *self.normalisation)
            for index in (train, validation)
        ]
        return pixels[0], pixels[1]

    @property
    def train(self) -> Pixels:
        return self._splits[0]

    @property
    def validation(self) -> Pixels:
        """Images of the training split that nothing trains on: for choices and for expected accuracies."""
        return self._splits[1]

    @cached_property
    def teacher_fingerprint(self) -> str:
        section = self.experiment.teacher
        data = self.experiment.data.model_dump(exclude={"source"})
        place, _, name = section.module.rpartition(":")
        files = [_file_digest(self.experiment.resolve(place))] if place.endswith(".py") else []
        network = name if files else section.module  # where a file lies is of no account
        if section.weights is not None:
            files.append(_file_digest(self.experiment.resolve(section.weights)))
        seed = self.experiment.seed if section.train else None
        facts = {**section.model_dump(exclude={"weights", "module"}), "network": network}
        return _fingerprint(self.dataset.digest, data, facts, files, seed)

    @cached_property
    def graph_fingerprint(self) -> str:
        section = self.experiment.partition
        return _fingerprint(self.teacher_fingerprint, section.weights, section.images)

    @property
    def graph(self) -> Path:
        """The folder of the filter graph, which partitions by all methods are made of."""
        return self._shared / "graphs" / self.graph_fingerprint[:16]

    @cached_property
    def partition_fingerprint(self) -> str:
        return _fingerprint(
            self.teacher_fingerprint, self.experiment.partition.model_dump(), self.experiment.seed
        )

    @cached_property
    def trunk_fingerprint(self) -> str | None:
        """Not of how the students train: experiments that differ in that alone share a trunk."""
        trunk, students = self.experiment.trunk, self.experiment.students
        if trunk is None:
            return None
        return _fingerprint(self.teacher_fingerprint, trunk.model_dump(), students.architecture)

    @property
    def trunk(self) -> TrainingFiles:
        return TrainingFiles(self._shared / "trunks" / (self.trunk_fingerprint or "none")[:16])

    def views(self, schedule: Schedule) -> Path:
        """The folder of all views that are drawn as this schedule says."""
        drawn = schedule.crop_padding, schedule.flip
        return self._shared / "views" / _fingerprint(self.teacher_fingerprint, drawn)[:16]

    @cached_property
    def students_fingerprint(self) -> str:
        return _fingerprint(
            self.partition_fingerprint,
            self.trunk_fingerprint,
            self.experiment.students.model_dump(),
            self.experiment.seed,
        )


def read_report(path: Path, fingerprint: str) -> dict[str, Any] | None:
    """A step's report, or None where the step has not been done with the present inputs."""
    report = read_json(path)
    return report if report is not None and report.get("fingerprint") == fingerprint else None


def write_report(path: Path, fingerprint: str, report: dict[str, Any]) -> None:
    write_json(path, {"fingerprint": fingerprint, **report})


def _file_digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return "missing"  # the step that needs the file says so in its own words


def _fingerprint(*values: Any) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()
