"""One student in ONNX Runtime: loaded from bytes, proven and timed by its self-test, run on images."""

import os
import time
from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bundle.footprint import LARGEST_RUN, student_bytes
from device_node.errors import BudgetPassed, StudentUnusable, WorkRefused

TOLERANCE: Final = 1e-3  # of the self-test: processors differ in the last bits, and in no more
# Of timing a student in its self-test; on a slow device the test itself is the only measure.
TIMING_SECONDS, TIMING_RUNS = 0.05, 10
_INPUT, _OUTPUT = "images", "partial_logits"


def _always() -> bool:
    return True


class Student:
    """From images, uint8 [N, height, width, channels], to partial logits, float32 [N, classes].

    footprint: bytes of memory that it takes, about. image_seconds: that one image takes, as measured in the
    self-test; 0 before.
    """

    def __init__(self, model: bytes, threads: int) -> None:
        """Raises StudentUnusable when ONNX Runtime cannot load it or its graph is of another form."""
        self.image_seconds = 0.0
        try:
            self._session = _session(model, threads)
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

    def self_test(self, images: NDArray[np.uint8], expected: NDArray[np.float32]) -> None:
        """Raises StudentUnusable unless the partial logits are the expected ones within TOLERANCE."""
        started = time.perf_counter()
        try:
            found = self.compute(images)
        except Exception as error:
            raise StudentUnusable(f"its self-test cannot run: {_first_line(error)}") from error
        seconds = time.perf_counter() - started
        if found.shape != expected.shape:
            raise StudentUnusable(f"its self-test gives {list(found.shape)}, expected {list(expected.shape)}")
        worst = float(np.abs(found - expected).max(initial=0.0))
        if not worst <= TOLERANCE:  # written so that NaN fails
            raise StudentUnusable(f"its self-test is off by {worst:.3g}, more than {TOLERANCE:g}")
        self.image_seconds = self._best_time(images, seconds) / len(images)

    def _best_time(self, images: NDArray[np.uint8], best: float) -> float:
        """Seconds for these images, of which `best` are known to suffice. Only the disturbed are slow."""
        spent = best
        for _ in range(TIMING_RUNS):
            if spent + best > TIMING_SECONDS:
                break
            started = time.perf_counter()
            self.compute(images)
            spent += (seconds := time.perf_counter() - started)
            best = min(best, seconds)
        return best

    def speed(self, multiply_adds: int) -> float:
        """In billions of multiply-adds a second, for a student of so many an image; 0 when not measured."""
        return multiply_adds / self.image_seconds / 1e9 if self.image_seconds else 0.0


def import_runtime() -> Any:
    """onnxruntime, imported when first needed: it takes a good part of a device's start."""
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # else it keeps a diary for its makers
    import onnxruntime

    return onnxruntime


def _session(model: bytes, threads: int) -> Any:
    runtime = import_runtime()
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = runtime.ExecutionMode.ORT_SEQUENTIAL
    # A pattern is kept for each number of images: 4 MB of WRN-16-1 with runs of 16, and no faster.
    options.enable_mem_pattern = False
    # Spinning threads would take the processor from the other students of the machine.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3  # errors are raised as well; nothing else is of use to a user
    return runtime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0][:300]


def _join(shape: tuple[Any, ...]) -> str:
    return ", ".join(str(size) if isinstance(size, int) else "?" for size in shape)
