"""Which file of a student the device serves: fp32, or its int8 twin where that is faster here."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from device_node.errors import StudentUnusable
from protos import nonn_pb2, tensors

Precision = Literal["fp32", "int8"]
Wish = Literal["auto", "fp32", "int8"]
WISHES: Final[tuple[Wish, ...]] = ("auto", "fp32", "int8")

# int8 gives a little accuracy up, and fp32 is what has been checked most: it must be that much faster.
FASTER: Final = 0.9
FP32_TOLERANCE: Final = 1e-3  # of the self-test: processors differ in the last bits, and in no more
MOST_TEST_IMAGES: Final = 256


@dataclass(frozen=True, slots=True)
class File:
    """One file of an assigned student. expected: its answers to the self-test images, within tolerance."""

    precision: Precision
    sha256: str
    bytes: int
    expected: nonn_pb2.Tensor
    tolerance: float

    def read_self_test(self, images: nonn_pb2.Tensor) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        """Images and answers. Raises StudentUnusable."""
        try:
            shown: NDArray[Any] = tensors.decode(images, nonn_pb2.UINT8, 4)
            expected: NDArray[Any] = tensors.decode(self.expected, nonn_pb2.FLOAT32, 2)
        except ValueError as error:
            raise StudentUnusable(f"its self-test is malformed: {error}") from error
        if len(shown) > MOST_TEST_IMAGES:
            raise StudentUnusable(f"its self-test has {len(shown)} images, more than {MOST_TEST_IMAGES}")
        if not 0 < self.tolerance < math.inf:
            raise StudentUnusable(f"its self-test has the tolerance {self.tolerance}")
        return shown, expected


def files_of(assigned: nonn_pb2.AssignedStudent) -> tuple[File, ...]:
    """fp32 first, and its twin if it has one."""
    exact = File("fp32", assigned.sha256, assigned.bytes, assigned.self_test_logits, FP32_TOLERANCE)
    if not assigned.HasField("int8"):
        return (exact,)
    twin = assigned.int8
    return exact, File("int8", twin.sha256, twin.bytes, twin.self_test_logits, twin.tolerance)


@dataclass(frozen=True, slots=True)
class Choice:
    """files: the first that passes its self-test is served, or, if `compare`, the faster one."""

    files: tuple[File, ...]
    compare: bool = False


def choose(files: tuple[File, ...], wish: Wish, milliseconds: Callable[[str], float | None]) -> Choice:
    """milliseconds: that a file of this digest takes for an image; None when it has not been measured."""
    if len(files) == 1 or wish == "fp32":
        return Choice(files[:1])
    exact, twin = files
    if wish == "int8":
        return Choice((twin, exact))
    known = milliseconds(exact.sha256), milliseconds(twin.sha256)
    if known[0] is None or known[1] is None:
        return Choice(files, compare=True)
    return Choice((twin, exact) if int8_pays(known[0], known[1]) else (exact,))


def int8_pays(exact: float, twin: float) -> bool:
    """Times of both on one scale."""
    return twin < FASTER * exact
