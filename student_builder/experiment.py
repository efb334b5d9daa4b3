"""One experiment is one short TOML file. docs/reference/experiment.md shows every key."""

import tomllib
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, model_validator

from bundle import MAX_STUDENTS, Fill
from partitioner import Method, Weight
from student_builder.errors import ExperimentError

Head = Literal["bridge", "linear"]
Positive = Annotated[int, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class DataSection(Section):
    source: str
    """digits, npz:PATH, folder:PATH or torchvision:NAME; paths count from the experiment file."""
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    """Per channel, of pixels / 255, as the teacher was trained; from the training images when left out."""
    validation: Positive | None = None
    """Images held back from the training split for every choice; a tenth when left out."""
    validation_seed: Seed = 1


class Schedule(Section):
    """One-cycle training: SGD with Nesterov momentum, rising to the peak rate, then a cosine to zero."""

    epochs: Positive = 30
    batch_size: Annotated[int, Field(gt=1)] = 256
    """At least 2: batch norm needs company."""
    learning_rate: Annotated[float, Field(gt=0)] = 0.2
    warmup: Share = 0.2
    momentum: Share = 0.9
    weight_decay: Annotated[float, Field(ge=0)] = 5e-4
    crop_padding: Annotated[int, Field(ge=0)] = 4
    flip: bool = True
    cutout: Annotated[int, Field(ge=0)] = 0
    small_epochs: Annotated[int, Field(ge=0)] = 0
    """The first epochs train on random crops of `small_size` instead of whole images: cheaper."""
    small_size: Positive | None = None

    @model_validator(mode="after")
    def _small_epochs_have_a_size(self) -> Self:
        if self.small_epochs and self.small_size is None:
            raise ValueError("small_epochs needs small_size")
        return self


class TeacherSection(Section):
    module: str
    """path/to/module.py:Class or package.module:Class."""
    arguments: dict[str, JsonValue] = {}
    weights: str | None = None
    features: str | None = None
    classifier: str | None = None
    train: Schedule | None = None
    """Train this architecture instead of loading weights."""

    @model_validator(mode="after")
    def _weights_or_training(self) -> Self:
        if (self.weights is None) == (self.train is None):
            raise ValueError("give either weights = PATH or a [teacher.train] table")
        return self


class PartitionSection(Section):
    method: Method = "eigenvector"
    parts: Positive | None = None
    sizes: tuple[Positive, ...] | None = None
    overlap: Positive = 1
    """In how many parts each filter is."""
    weights: Weight = "coactivation"
    images: Positive = 10_000
    """At most this many training images are looked at for the filter graph."""

    @model_validator(mode="after")
    def _parts_or_sizes(self) -> Self:
        if (self.parts is None) == (self.sizes is None):
            raise ValueError("give either parts = NUMBER or sizes = [...]")
        if self.overlap > self.part_count:
            raise ValueError(f"overlap = {self.overlap} needs as many parts")
        if self.method == "louvain" and self.sizes is not None:
            raise ValueError("louvain's sizes are whatever comes out: give parts = NUMBER")
        return self

    @property
    def part_count(self) -> int:
        return self.parts if self.sizes is None else len(self.sizes)  # type: ignore[return-value]


class DistillationSchedule(Schedule):
    temperature: Annotated[float, Field(gt=0)] = 4.0
    distillation: Annotated[float, Field(ge=0)] = 0.9
    cross_entropy: Annotated[float, Field(ge=0)] = 0.1
    views: Annotated[int, Field(ge=0, le=1000)] = 0
    """The teacher looks at this many augmented views of each training image, once, and students train on
    those in turn, one view an epoch. 0: it looks at every batch anew."""


class TrunkSection(DistillationSchedule):
    """Networks that imitate the whole teacher, from whose bodies the students start."""

    count: Annotated[int, Field(gt=0, le=MAX_STUDENTS)] = 1
    seed: Seed = 0
    """Its own, so that experiments of several seeds may share a trunk."""


class StudentsSection(DistillationSchedule):
    count: Annotated[int, Field(gt=0, le=MAX_STUDENTS)]
    architecture: str | tuple[str, ...] = "wrn-16-1"
    """Of all students, or of those of each part."""
    head: Head = "bridge"
    feature_transfer: Annotated[float, Field(ge=0)] = 20.0
    """Of students that imitate features: those with a bridge."""
    keep_parts: Share = 0.5
    """With which probability the teacher stands in for each other part while a student trains."""
    joint: Annotated[float, Field(ge=0)] = 0.0
    """Weight of the loss of all students' merge, in which each is missing with probability `failout`."""
    failout: Annotated[float, Field(ge=0, lt=1)] = 0.5
    mirror: bool = False
    """Once trained, a student looks at each image and at its mirror image."""

    def architecture_of(self, part: int) -> str:
        return self.architecture if isinstance(self.architecture, str) else self.architecture[part]


class MergeSection(Section):
    fill: Fill = "ridge"
    images: Positive = 10_000
    """At most this many training images are looked at for the moments that fill lost parts in."""


class Experiment(Section):
    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    seed: Seed = 0
    data: DataSection
    teacher: TeacherSection
    partition: PartitionSection
    trunk: TrunkSection | None = None
    students: StudentsSection
    merge: MergeSection = MergeSection()
    base: Path = Field(default=Path(), exclude=True)
    """The folder that relative paths in the file count from."""

    @model_validator(mode="after")
    def _every_part_has_a_student(self) -> Self:
        if self.students.count < self.partition.part_count:
            raise ValueError(
                f"{self.students.count} students cannot cover {self.partition.part_count} parts: "
                "raise students.count or lower partition.parts"
            )
        named = self.students.architecture
        if not isinstance(named, str) and len(named) != self.partition.part_count:
            raise ValueError(
                f"students.architecture: {len(named)} for {self.partition.part_count} parts: "
                "name one for all, or one for each part"
            )
        if not isinstance(named, str) and self.trunk is not None:
            raise ValueError("students that start from one trunk share its students.architecture: name one")
        return self

    def resolve(self, path: str) -> Path:
        return self.base / Path(path).expanduser()


def load_experiment(path: Path, seed: int | None = None) -> Experiment:
    """Read and check an experiment file. seed: instead of the file's own.

    Raises:
        ExperimentError: naming the file, the key and what is allowed there.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ExperimentError(f"there is no experiment file {path}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ExperimentError(f"{path} cannot be read: {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise ExperimentError(f"{path} is not valid TOML: {error}") from error
    if "base" in table:
        raise ExperimentError(f"{path}: base: unknown key")
    if seed is not None:
        table["seed"] = seed
    try:
        return Experiment.model_validate({"name": path.stem, **table, "base": path.resolve().parent})
    except ValidationError as error:
        raise ExperimentError(f"{path}: {_one_line(error)}") from error


def _one_line(error: ValidationError) -> str:
    problems = []
    for problem in error.errors():
        where = ".".join(str(key) for key in problem["loc"])
        what = (
            "unknown key"
            if problem["type"] == "extra_forbidden"
            else problem["msg"].removeprefix("Value error, ")
        )
        problems.append(f"{where}: {what}" if where else what)
    return "; ".join(problems)
