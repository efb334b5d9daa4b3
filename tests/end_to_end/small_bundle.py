"""A bundle of eight linear students for 8x8 images, made in a moment: real graphs, and a real ridge merge."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from bundle import Bundle, BundleContents, InputSpec, Merger, SelfTest, subset_accuracy, write_bundle

STUDENTS, PARTS, CLASSES = 8, 4, 10
INPUT = InputSpec(8, 8, 1)


def random_images(count: int, seed: int) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (count, *INPUT.shape), np.uint8)


def write_small_bundle(
    path: Path, seed: int = 0, self_test_error: float = 0.0, experiment: Mapping[str, Any] | None = None
) -> Bundle:
    """Replicas of a part have nearly the same weights; labels are what all students together say.

    self_test_error: how far off the students find their self-test. experiment: the bundle's provenance.
    """
    random = np.random.default_rng(seed)
    parts = [student % PARTS for student in range(STUDENTS)]
    shared = random.normal(size=(PARTS, 64, CLASSES)) / 64
    noise = random.normal(size=(STUDENTS, 64, CLASSES)) / 640
    weights = (shared[parts] + noise).astype(np.float32)
    images = random_images(400, seed)
    partials = np.stack([images.reshape(len(images), 64).astype(np.float32) @ w for w in weights])
    stacked = partials.transpose(1, 0, 2).reshape(len(images), -1)
    merge = {
        "bias": random.normal(size=CLASSES),
        "means": partials.mean(axis=1),
        "covariance": np.cov(stacked, rowvar=False),
    }
    merger = Merger(parts, merge["bias"], merge["means"], "ridge", merge["covariance"])
    labels = merger.merge(dict(enumerate(partials))).argmax(axis=1)
    return write_bundle(
        path,
        BundleContents(
            name="small",
            input=INPUT,
            labels=[f"class {index}" for index in range(CLASSES)],
            part_sizes=[4] * PARTS,
            student_parts=parts,
            student_models=[_model(w) for w in weights],
            parameters=[64 * CLASSES] * STUDENTS,
            multiply_adds=[64 * CLASSES] * STUDENTS,
            fill="ridge",
            accuracy=subset_accuracy(merger, partials, labels),
            validation_images=len(images),
            self_test=SelfTest(images[:4], partials[:, :4] + np.float32(self_test_error)),
            experiment=experiment or {},
            **merge,
        ),
    )


def _model(weights: NDArray[np.float32]) -> bytes:
    """images uint8 [N, 8, 8, 1] -> partial_logits float32 [N, classes]."""
    nodes = [
        helper.make_node("Cast", ["images"], ["numbers"], to=TensorProto.FLOAT),
        helper.make_node("Flatten", ["numbers"], ["pixels"]),
        helper.make_node("MatMul", ["pixels", "weights"], ["partial_logits"]),
    ]
    images = helper.make_tensor_value_info("images", TensorProto.UINT8, ["N", *INPUT.shape])
    logits = helper.make_tensor_value_info("partial_logits", TensorProto.FLOAT, ["N", CLASSES])
    graph = helper.make_graph(
        nodes, "student", [images], [logits], [numpy_helper.from_array(weights, "weights")]
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    return model.SerializeToString()
