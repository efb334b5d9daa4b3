"""From distilled students to a bundle: ONNX graphs, moments for filling in, accuracy of every subset."""

import platform
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bundle import Bundle, BundleContents, Fill, InputSpec, Merger, SelfTest, subset_accuracy, write_bundle
from partitioner import Partition
from student_builder.distillation import Ensemble
from student_builder.files import read_json
from student_builder.networks import count_multiply_adds, count_parameters
from student_builder.onnx_export import answers, export_student, run_students
from student_builder.progress import Progress
from student_builder.workspace import Workspace

SELF_TEST_IMAGES = 4


def make_bundle(
    workspace: Workspace, partition: Partition, ensemble: Ensemble, path: Path, progress: Progress
) -> Bundle:
    """Export all students and write the bundle. Everything in it is measured on the exported graphs.

    Raises:
        StorageError: where `path` cannot be written or holds something else.
    """
    models = _export(workspace, ensemble, progress)
    merger = _measure_moments(workspace, ensemble, models, progress)
    validation = workspace.validation
    partials = answers(models, validation.images, "answer to validation", progress)
    with progress.task("measure every subset", 2 ** len(models) - 1) as task:
        accuracy = subset_accuracy(merger, partials, validation.labels, task.advance)
    image_shape = workspace.dataset.image_shape
    height, width, channels = image_shape
    test_images = _self_test_images(image_shape)
    teacher = read_json(workspace.teacher_report) or {}
    contents = BundleContents(
        name=workspace.experiment.name,
        input=InputSpec(height, width, channels),
        labels=workspace.dataset.label_names,
        part_sizes=partition.sizes,
        student_parts=ensemble.student_parts,
        student_models=models,
        parameters=[count_parameters(student) for student in ensemble.students],
        multiply_adds=[count_multiply_adds(s, (channels, height, width)) for s in ensemble.students],
        bias=merger.bias,
        means=merger.means,
        covariance=merger.covariance,
        fill=merger.fill,
        accuracy=accuracy,
        validation_images=len(validation),
        self_test=SelfTest(test_images, np.stack(list(run_students(models, test_images)))),
        teacher_accuracy=teacher.get("validation_accuracy"),
        experiment=_provenance(workspace),
    )
    bundle = write_bundle(path, contents)
    progress.note(f"bundle: {bundle.expected_accuracy(range(len(models))):.1%} with every student -> {path}")
    return bundle


def _export(workspace: Workspace, ensemble: Ensemble, progress: Progress) -> list[bytes]:
    mean, std = workspace.normalisation
    models = []
    with progress.task("export to ONNX", len(ensemble.students)) as task:
        for student in ensemble.students:
            models.append(export_student(student, mean, std, workspace.dataset.image_shape))  # type: ignore[arg-type]
            task.advance()
    return models


def _measure_moments(
    workspace: Workspace, ensemble: Ensemble, models: Sequence[bytes], progress: Progress
) -> Merger:
    """Mean and covariance of the partial logits, on training images: validation images only judge."""
    section = workspace.experiment.merge
    images = workspace.train.first(section.images).images
    partials = answers(models, images, "measure the moments", progress)
    return fit_merger(ensemble.student_parts, ensemble.bias.numpy(), partials, section.fill)


def fit_merger(
    student_parts: Sequence[int], bias: NDArray[np.float32], partials: NDArray[np.float32], fill: Fill
) -> Merger:
    """The merge of students whose partial logits [S, N, classes] of some images these are."""
    means = partials.mean(1, dtype=np.float64)
    covariance = None
    if fill == "ridge":
        images = partials.shape[1]
        stacked = partials.transpose(1, 0, 2).reshape(images, -1) - means.reshape(-1)
        covariance = stacked.T @ stacked / images
    return Merger(student_parts, bias, means, fill, covariance)


def _self_test_images(shape: tuple[int, int, int]) -> NDArray[np.uint8]:
    """Seeded noise: a bundle that is handed on must not carry anyone's images with it."""
    return np.random.RandomState(0).randint(0, 256, (SELF_TEST_IMAGES, *shape)).astype(np.uint8)


def _provenance(workspace: Workspace) -> dict[str, Any]:
    """The resolved experiment, and what it was built with."""
    experiment = workspace.experiment.model_dump(mode="json")
    mean, std = workspace.normalisation
    experiment["data"] |= {"mean": mean, "std": std, "validation": len(workspace.validation)}
    packages = ("nonn", "numpy", "onnx", "onnxruntime", "torch")
    versions = {name: version(name) for name in packages} | {"python": platform.python_version()}
    return {**experiment, "data_sha256": workspace.dataset.digest, "versions": versions}
