"""A bundle judged on data: the accuracy of every subset of its students, as a table and as a plot."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from bundle import (
    Bundle,
    Fill,
    LossSummary,
    Merger,
    Precision,
    accuracy_by_lost,
    subset_accuracy,
    subset_members,
)
from student_builder.data import Dataset, load_data, split_validation
from student_builder.errors import DataError
from student_builder.files import write_file, write_json
from student_builder.onnx_export import answers
from student_builder.progress import Progress, Silent

Split = Literal["test", "validation", "train"]
SPLITS: tuple[Split, ...] = get_args(Split)


@dataclass(frozen=True)
class Evaluation:
    """Accuracies of one bundle on one split, by subset mask (bit i = student i answers) [2^S]; [0] is NaN."""

    bundle: Bundle
    source: str
    split: Split
    fill: Fill
    precision: Precision
    images: int
    accuracy: NDArray[np.float32]

    @property
    def by_lost(self) -> tuple[LossSummary, ...]:
        return accuracy_by_lost(self.accuracy)

    def to_dict(self) -> dict[str, Any]:
        """JSON values: mean, worst and best by the number of lost students, then every subset."""
        summaries = (asdict(summary) for summary in self.by_lost)
        return {
            "bundle": self.bundle.manifest.id,
            "name": self.bundle.manifest.name,
            "data": self.source,
            "split": self.split,
            "images": self.images,
            "fill": self.fill,
            "precision": self.precision,
            "by_lost": {str(summary.pop("lost")): summary for summary in summaries},
            "every_subset": [
                {"answering": list(subset_members(mask)), "accuracy": float(self.accuracy[mask])}
                for mask in range(1, len(self.accuracy))
            ],
        }

    def save(self, path: Path) -> None:
        write_json(path, self.to_dict())


def evaluate(
    bundle: Bundle,
    source: str,
    split: Split = "test",
    progress: Progress | None = None,
    fill: Fill | None = None,
    precision: Precision = "fp32",
) -> Evaluation:
    """Run every student of a bundle by ONNX Runtime and merge every subset of their partial logits.

    source: as in an experiment's data.source, paths relative to the working folder. fill: what stands in for
    lost parts, instead of the bundle's own rule. precision: with int8, students answer by their
    twins where they have one.

    Raises:
        DataError: where the data cannot be read or is not of the bundle's kind, or the bundle lacks what
            `fill` or `precision` needs.
    """
    progress = progress or Silent()
    merger = _merger(bundle, fill or bundle.manifest.fill)
    models = _models(bundle, precision)
    images, labels = select_split(bundle, load_matching(bundle, source), split)
    partials = answers(models, images, "run the students", progress)
    with progress.task("merge every subset", 2 ** len(models) - 1) as task:
        accuracy = subset_accuracy(merger, partials, labels, task.advance)
    return Evaluation(bundle, source, split, merger.fill, precision, len(images), accuracy)


def load_matching(bundle: Bundle, source: str) -> Dataset:
    """The data set of a source, which must have the bundle's classes. Raises DataError."""
    data = load_data(source)
    if data.label_names != bundle.manifest.labels:
        raise DataError(
            f"{source} and the bundle {bundle.manifest.name} name different classes: "
            "use data of the same kind"
        )
    return data


def own_source(bundle: Bundle) -> str:
    """The source that the bundle was built from, where it is one that any machine has. Raises DataError."""
    data = bundle.manifest.experiment.get("data")
    source = data.get("source") if isinstance(data, dict) else None
    if isinstance(source, str) and (source == "digits" or source.startswith("torchvision:")):
        return source
    raise DataError(f"the bundle {bundle.path} brings no data: name some with --data, for example npz:PATH")


def _models(bundle: Bundle, precision: Precision) -> list[bytes]:
    if precision == "int8" and not bundle.manifest.twins:
        raise DataError(f"no student of {bundle.path} has an int8 twin: `nonn quantize` makes them")
    return [
        bundle.student_bytes(student.index, precision if student.int8 else "fp32")
        for student in bundle.manifest.students
    ]


def _merger(bundle: Bundle, fill: Fill) -> Merger:
    own = bundle.merger
    if fill == "ridge" and own.covariance is None:
        raise DataError(
            f"the bundle {bundle.manifest.name} holds no covariance, which ridge needs: "
            "build it with merge.fill = 'ridge'"
        )
    return own.with_fill(fill)


def select_split(bundle: Bundle, data: Dataset, split: Split) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Images uint8 [N, H, W, C] and labels int64 [N].

    Raises DataError for another split than `test` of data that the bundle was not built from, and InputError
    for images of another size.
    """
    bundle.manifest.input.check(data.train_images)
    if split == "test":
        return data.test_images, data.test_labels
    try:
        section = bundle.manifest.experiment["data"]
        held_back = int(section["validation"]), int(section["validation_seed"])
    except (KeyError, TypeError, ValueError):
        raise DataError(
            "the bundle does not say which images were held back: only --split test is known"
        ) from None
    if bundle.manifest.experiment.get("data_sha256") != data.digest:
        raise DataError(
            f"this is not the data that {bundle.manifest.name} was built from, "
            f"so nothing of it is the bundle's {split} split: only --split test is known"
        )
    train, validation = split_validation(len(data.train_images), *held_back)
    index = train if split == "train" else validation
    return data.train_images[index], data.train_labels[index]


def plot(evaluation: Evaluation, path: Path) -> None:
    """Accuracy against lost students: mean, and the range over all subsets; PNG or SVG by the suffix."""
    import matplotlib

    matplotlib.use("Agg", force=False)
    from matplotlib import pyplot

    summaries = evaluation.by_lost
    lost = [summary.lost for summary in summaries]
    mean, worst, best = ([100 * getattr(s, key) for s in summaries] for key in ("mean", "worst", "best"))
    figure, axes = pyplot.subplots(figsize=(7, 4.2), layout="constrained")
    axes.fill_between(lost, worst, best, alpha=0.2, color="tab:blue", label="worst to best subset")
    axes.plot(lost, mean, "o-", color="tab:blue", label="mean over all subsets")
    for x, y in zip(lost, mean, strict=True):
        axes.annotate(
            f"{y:.1f}", (x, y), textcoords="offset points", xytext=(0, -16), ha="center", fontsize=8
        )
    teacher = evaluation.bundle.manifest.teacher_accuracy
    if teacher is not None:
        label = f"teacher, {100 * teacher:.1f} % (validation)"
        axes.axhline(100 * teacher, color="tab:gray", linestyle="--", linewidth=1, label=label)
    manifest = evaluation.bundle.manifest
    axes.set(
        title=f"{manifest.name}: {len(manifest.students)} students, {manifest.parts} parts, "
        f"{evaluation.images:,} {evaluation.split} images, fill {evaluation.fill}, {evaluation.precision}",
        xlabel="students lost",
        ylabel="top-1 accuracy, %",
        xticks=lost,
    )
    axes.set_ylim(0, 103)
    axes.grid(alpha=0.3)
    axes.legend(loc="lower left", frameon=False)
    try:
        write_file(path, lambda temporary: figure.savefig(temporary, dpi=150))
    finally:
        pyplot.close(figure)
