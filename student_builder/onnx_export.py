"""A student as an ONNX graph: raw uint8 images in, partial logits out, preprocessing included."""

import contextlib
import logging
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from student_builder.progress import Progress
from student_builder.student import Student

OPSET = 18
LARGEST_BATCH = 65536
# Without it, x86 processors without VNNI saturate sums in int8 graphs. Nothing else is affected.
EXACT_ON_X86 = "session.x64quantprecision"


class RawStudent(nn.Module):
    """images uint8 [N, H, W, C] -> partial logits float32 [N, classes]."""

    scale: Tensor
    shift: Tensor

    def __init__(self, student: Student, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.student = student
        deviation = torch.tensor(std).view(1, -1, 1, 1)
        self.register_buffer("scale", 1 / (255 * deviation))
        self.register_buffer("shift", -torch.tensor(mean).view(1, -1, 1, 1) / deviation)

    def forward(self, images: Tensor) -> Tensor:
        normalised = images.permute(0, 3, 1, 2).float() * self.scale + self.shift
        return self.student.partial_logits(self.student(normalised))


def export_student(
    student: Student, mean: Sequence[float], std: Sequence[float], image_shape: tuple[int, int, int]
) -> bytes:
    """The ONNX file, `images` -> `partial_logits`, any batch size. image_shape: height, width, channels."""
    network = RawStudent(student, mean, std).eval()
    example = torch.zeros(2, *image_shape, dtype=torch.uint8)
    with _quiet():
        program = torch.onnx.export(
            network,
            (example,),
            dynamo=True,
            input_names=["images"],
            output_names=["partial_logits"],
            dynamic_shapes=({0: torch.export.Dim("batch", min=1, max=LARGEST_BATCH)},),
            opset_version=OPSET,
            verbose=False,
        )
    assert program is not None
    model = program.model_proto
    strip(model)
    data: bytes = model.SerializeToString(deterministic=True)
    return data


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """The exporter speaks of torchvision's operators, which no student has, and of its own deprecations."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def strip(model: Any) -> None:
    """Remove traces of Python source lines and derived shapes: two thirds of a very small student's file."""
    graph = model.graph
    del graph.value_info[:], graph.metadata_props[:], model.metadata_props[:]
    for node in graph.node:
        node.ClearField("doc_string")
        del node.metadata_props[:]
    for item in (*graph.initializer, *graph.input, *graph.output):
        del item.metadata_props[:]


def answers(
    models: Sequence[bytes], images: NDArray[np.uint8], name: str, progress: Progress
) -> NDArray[np.float32]:
    """Partial logits [S, N, classes] of all students; name: of the task whose progress is shown."""
    partials = []
    with progress.task(name, len(models)) as task:
        for partial in run_students(models, images):
            partials.append(partial)
            task.advance()
    return np.stack(partials)


def run_students(
    models: Sequence[bytes], images: NDArray[np.uint8], batch_size: int = 250
) -> Iterator[NDArray[np.float32]]:
    """Partial logits [N, classes] of one student after another, by ONNX Runtime."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.add_session_config_entry(EXACT_ON_X86, "1")
    for model in models:
        session: Any = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        yield np.concatenate(
            [
                session.run(None, {"images": images[start : start + batch_size]})[0]
                for start in range(0, len(images), batch_size)
            ]
        )
