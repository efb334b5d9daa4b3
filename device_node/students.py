"""One student in ONNX Runtime: loaded from bytes, proven by its self-test, timed, run on images."""

import os
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bundle.footprint import LARGEST_RUN, student_bytes
from device_node.choice import FP32_TOLERANCE, Precision
from device_node.errors import BudgetPassed, StudentUnusable, WorkRefused
from device_node.timing import BRIEF_RUNS, BRIEF_SECONDS, time_runs

_INPUT, _OUTPUT = "images", "partial_logits"


def _always() -> bool:
    return True


class Student:
    """From images, uint8 [N, height, width, channels], to partial logits, float32 [N, classes].

    footprint: bytes of memory that it takes, about. precision: of its file. image_seconds: that one image
    takes, as measured here or earlier; 0 when not known.
    """

    def __init__(self, model: bytes, threads: int, precision: Precision = "fp32") -> None:
        """Raises StudentUnusable when ONNX Runtime cannot load it or its graph is of another form."""
        self.precision = precision
        self.image_seconds = 0.0
        try:
            self._session = _session(model, threads, precision)
        except Exception as error:  # onnxruntime's own exceptions share no base
            raise StudentUnusable(f"ONNX Runtime cannot load it: {_first_line(error)}") from error
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        found = [(item.name, item.type, len(item.shape)) for item in (*inputs, *outputs)]
        if found != [(_INPUT, "tensor(uint8)", 4), (_OUTPUT, "tensor(float)", 2)]:
            raise StudentUnusable(f"its graph is not from uint8 {_INPUT} to float32 {_OUTPUT}: {found}")
        # A dimension that the graph leaves open has a name or None here.
        self._shape: tuple[Any, ...] = tuple(inputs[0].shape[1:])
        self.footprint = student_bytes(len(model), [size for size in self._shape if isinstance(size, int)])

    def compute(self, images: NDArray[np.uint8], wanted: Callable[[], bool] = _always) -> NDArray[np.float32]:
        """Raises BudgetPassed when it is not `wanted` any longer before a run of images is begun.

        Raises WorkRefused when the graph does not take images of this shape.
        """
        if not len(images) or not self._takes(images.shape[1:]):
            raise WorkRefused(f"images of shape {list(images.shape)}, expected [N, {_join(self._shape)}]")
        runs = []
        for start in range(0, len(images), LARGEST_RUN):
            if not wanted():
                raise BudgetPassed(f"its time was over with {start} of {len(images)} images computed")
            runs.append(self._run(images[start : start + LARGEST_RUN]))
        return runs[0] if len(runs) == 1 else np.concatenate(runs)

    def _takes(self, shape: tuple[int, ...]) -> bool:
        if shape == self._shape:
            return True
        return all(
            here == size for here, size in zip(shape, self._shape, strict=True) if isinstance(size, int)
        )

    def _run(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        (logits,) = self._session.run([_OUTPUT], {_INPUT: images})
        result: NDArray[np.float32] = logits
        return result

    def self_test(
        self, images: NDArray[np.uint8], expected: NDArray[np.float32], tolerance: float = FP32_TOLERANCE
    ) -> None:
        """Raises StudentUnusable unless the partial logits are the expected ones within the tolerance."""
        try:
            found = self.compute(images)
        except Exception as error:
            raise StudentUnusable(f"its self-test cannot run: {_first_line(error)}") from error
        if found.shape != expected.shape:
            raise StudentUnusable(f"its self-test gives {list(found.shape)}, expected {list(expected.shape)}")
        worst = float(np.abs(found - expected).max(initial=0.0))
        if not worst <= tolerance:  # written so that NaN fails
            raise StudentUnusable(f"its self-test is off by {worst:.3g}, more than {tolerance:g}")

    def measure(self, images: NDArray[np.uint8]) -> None:
        """Time the first of the images, alone, briefly. Only the disturbed runs are slow: the best counts."""
        timing = time_runs(lambda: self._run(images[:1]), BRIEF_SECONDS, BRIEF_RUNS)
        self.image_seconds = timing.best / 1000

    def speed(self, multiply_adds: int) -> float:
        """In billions of multiply-adds a second, for a student of so many an image; 0 when not measured."""
        return multiply_adds / self.image_seconds / 1e9 if self.image_seconds else 0.0


def import_runtime() -> Any:
    """onnxruntime, imported when first needed: it takes a good part of a device's start."""
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # else it keeps a diary for its makers
    import onnxruntime

    return onnxruntime


def _session(model: bytes, threads: int, precision: Precision) -> Any:
    runtime = import_runtime()
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = runtime.ExecutionMode.ORT_SEQUENTIAL
    # A pattern is kept for each number of images: 4 MB of WRN-16-1 with runs of 16, and no faster.
    options.enable_mem_pattern = False
    # Spinning threads would take the processor from the other students of the machine.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if precision == "int8":  # exact where the processor would saturate sums of products: x86 without VNNI
        options.add_session_config_entry("session.x64quantprecision", "1")
    options.log_severity_level = 3  # errors are raised as well; nothing else is of use to a user
    return runtime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0][:300]


def _join(shape: tuple[Any, ...]) -> str:
    return ", ".join(str(size) if isinstance(size, int) else "?" for size in shape)
