"""Tiny real students: ONNX graphs with weights that numpy can follow."""

import hashlib
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from protos import nonn_pb2, tensors

HEIGHT, WIDTH, CHANNELS, CLASSES = 4, 5, 3, 7
BUNDLE = "b" * 64


def student_model(seed: int, *, busy: int = 0) -> tuple[bytes, NDArray[np.float32]]:
    """An ONNX graph and its [H*W*C, K] weights; `busy` large matrix products make it slow, not different."""
    weights = np.random.default_rng(seed).normal(size=(HEIGHT * WIDTH * CHANNELS, CLASSES)).astype(np.float32)
    nodes = [
        helper.make_node("Cast", ["images"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Flatten", ["floats"], ["flat"], axis=1),
        helper.make_node("MatMul", ["flat", "weights"], ["logits0"]),
    ]
    constants = [numpy_helper.from_array(weights, "weights")]
    if busy:
        constants.append(numpy_helper.from_array(np.ones((1, 1), np.float32), "one"))
        constants.append(numpy_helper.from_array(np.zeros((1, 1), np.float32), "nothing"))
        constants.append(numpy_helper.from_array(np.array([1500, 1500], np.int64), "square"))
        # Sums of squares of what came before, so that nothing of it can be computed ahead of time.
        nodes.append(helper.make_node("ReduceSum", ["logits0"], ["sum"], keepdims=1))
        nodes.append(helper.make_node("Expand", ["sum", "square"], ["m0"]))
        for i in range(busy):
            nodes.append(helper.make_node("MatMul", [f"m{i}", "m0"], [f"p{i}"]))
            nodes.append(helper.make_node("Sigmoid", [f"p{i}"], [f"m{i + 1}"]))
        nodes.append(helper.make_node("ReduceMax", [f"m{busy}"], ["most"], keepdims=1))
        nodes.append(helper.make_node("Mul", ["most", "nothing"], ["zero"]))
        nodes.append(helper.make_node("Add", ["logits0", "zero"], ["partial_logits"]))
    else:
        nodes.append(helper.make_node("Identity", ["logits0"], ["partial_logits"]))
    graph = helper.make_graph(
        nodes,
        "student",
        [helper.make_tensor_value_info("images", TensorProto.UINT8, ["N", HEIGHT, WIDTH, CHANNELS])],
        [helper.make_tensor_value_info("partial_logits", TensorProto.FLOAT, ["N", CLASSES])],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model)
    return model.SerializeToString(), weights


def some_images(count: int, seed: int = 0) -> NDArray[np.uint8]:
    shape = (count, HEIGHT, WIDTH, CHANNELS)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


@dataclass
class StudentFile:
    """A student as the aggregator knows it."""

    index: int
    model: bytes
    weights: NDArray[np.float32]
    digest: str = ""

    def __post_init__(self) -> None:
        self.digest = self.digest or hashlib.sha256(self.model).hexdigest()

    def logits(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        return images.reshape(len(images), -1).astype(np.float32) @ self.weights

    def assigned(self, error: float = 0.0, bundle: str = BUNDLE) -> nonn_pb2.AssignedStudent:
        images = some_images(3, seed=99)
        return nonn_pb2.AssignedStudent(
            bundle_id=bundle,
            student=self.index,
            part=self.index,
            sha256=self.digest,
            bytes=len(self.model),
            multiply_adds=self.weights.size,
            self_test_images=tensors.encode(images),
            self_test_logits=tensors.encode(self.logits(images) + np.float32(error)),
        )


def make_student(index: int, *, busy: int = 0) -> StudentFile:
    return StudentFile(index, *student_model(index, busy=busy))
